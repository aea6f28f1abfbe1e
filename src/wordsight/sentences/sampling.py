"""How to sample: one object for everything that decides which sentences are drawn."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Sampling:
    """How to sample sentences.

    - ``sentences``: sentences an image, 1 or more. Four times as many halve the intervals.
    - ``top_p``: the nucleus, the share of probability that stays at each token, in (0, 1].
    - ``temperature``: divides the logits, above 0.
    - ``max_tokens``: the longest sentence in tokens, the end-of-text token included.
    - ``mode``: ``"exact"`` draws sentences like independent nucleus samples; ``"stratified"`` spreads the draws evenly over the
      distribution (every sentence keeps its expected count, word rates vary less).
    - ``precision``: draw more than ``sentences`` until every word's 95% interval reaches at most this far above and below its
      middle, in (0, 1), for instance 0.02. None: no more.
    - ``seed``: same seed, same machine: same sentences.

    Raises ValueError for a value out of range.
    """

    sentences: int = 100
    top_p: float = 0.9
    temperature: float = 1.0
    max_tokens: int = 24
    mode: str = "stratified"
    precision: float | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        if self.sentences < 1:
            raise ValueError(f"sentences is {self.sentences}, wanted at least 1.")
        if not 0 < self.top_p <= 1:
            raise ValueError(f"top_p is {self.top_p}, wanted a number above 0 and at most 1 (0.9 is usual).")
        if not self.temperature > 0:
            raise ValueError(f"temperature is {self.temperature}, wanted a number above 0 (1.0 samples the model as it is).")
        if self.max_tokens < 1:
            raise ValueError(f"max_tokens is {self.max_tokens}, wanted at least 1.")
        if self.mode not in ("stratified", "exact"):
            raise ValueError(f"mode is '{self.mode}', wanted 'stratified' or 'exact'.")
        if self.precision is not None and not 0 < self.precision < 1:
            raise ValueError(f"precision is {self.precision}, wanted a number between 0 and 1, for instance 0.02 (two points).")
