"""How much a class uses words: its reliance on them, from the audited images; labels are not looked at."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int

from wordsight.audits.evidence import Evidence
from wordsight.audits.statistics import Z95, Estimate
from wordsight.words.reliance import BLOCKS, effects, random_heads, reliance

#: The ridge penalty, in images: audits have fewer images than ``words.reliance`` is made for.
PENALTY = 5.0


@dataclass(frozen=True)
class Use:
    """How much a class uses a word.

    - ``reliance``: by how many standard deviations the word moves the class's logit (less the mean over classes) while the other
      words stay fixed, for a rate of 1 instead of 0.
    - ``against_rival``: the same of the class's logit less that of ``rival``, the class that is most often next to it.
    - ``chance``: what 95% of random heads of the same feature covariance stay within, 0 or more.
    - ``changes``: the share of images predicted as other classes that become this class when the word is added at its usual
      strength, in [0, 1].
    """

    reliance: Estimate
    chance: float = 0.0
    against_rival: Estimate | None = None
    rival: str | None = None
    changes: float | None = None

    def clear(self, minimum: float) -> bool:
        """Whether either reliance is at least ``minimum``, its interval above 0, and more than random heads have by chance."""
        found = [self.reliance] if self.against_rival is None else [self.reliance, self.against_rival]
        return any(one.low > 0 and one.value >= max(minimum, self.chance) for one in found)


class Reliances:
    """How much each class uses each word, class by class (``findings.UsedOf``), from the audited images themselves.

    ``z``: the images' features, which say what random heads would show; without them, heads of any logits whatever. Labels are
    not looked at.
    """

    def __init__(self, evidence: Evidence, z: Float[np.ndarray, "images features"] | None = None) -> None:
        self._evidence = evidence
        rates = evidence.rates.astype(np.float64)
        self._present = evidence.present()
        finite = np.isfinite(evidence.logits).all(0)  # a classifier may rule classes out with minus infinity
        self._columns = {int(c): i for i, c in enumerate(np.flatnonzero(finite))}
        self._enough = len(rates) >= 2 * BLOCKS and rates.shape[1] > 0 and len(self._columns) > 1
        if not self._enough:
            return
        logits = evidence.logits[:, finite].astype(np.float64)
        self._rivals = _rivals(logits)
        self._all = reliance(rates, logits, penalty=PENALTY)
        self._near = effects(rates, logits - logits[:, self._rivals], penalty=PENALTY)
        z = np.eye(len(rates)) if z is None else z.astype(np.float64)
        self._chance = Z95 * random_heads(rates, z, penalty=PENALTY)
        self._logits = logits
        self._names = [evidence.classes[c] for c in self._columns]

    def __call__(self, c: int, words: Sequence[int]) -> list[Use | None]:
        """None for a class whose logits are not finite, and for all with fewer than twenty images."""
        if not self._enough or c not in self._columns:
            return [None] * len(words)
        i = self._columns[c]
        several = len(self._columns) > 2
        return [
            Use(
                reliance=_estimate(self._all.value[i, w], self._all.reach[i, w]),
                chance=float(self._chance[w]),
                against_rival=_estimate(self._near.value[i, w], self._near.reach[i, w]) if several else None,
                rival=self._names[self._rivals[i]] if several else None,
                changes=self._changes(i, w),
            )
            for w in words
        ]

    def _changes(self, i: int, w: int) -> float:
        present, rates = self._present[:, w], self._evidence.rates[:, w]
        strength = rates[present].mean() - (rates[~present].mean() if not present.all() else 0.0) if present.any() else 0.0
        moved = self._logits + strength * self._all.value[:, w] * self._all.spread
        return changed_to(self._logits.argmax(1), moved.argmax(1), i)


def changed_to(before: Int[np.ndarray, " images"], after: Int[np.ndarray, " images"], c: int) -> float:
    """The share of images predicted as another class than ``c`` before that are predicted as c after; 0 without such images."""
    others: Bool[np.ndarray, " images"] = before != c
    return float((after[others] == c).mean()) if others.any() else 0.0


def _rivals(logits: Float[np.ndarray, "images classes"]) -> Int[np.ndarray, " classes"]:
    """For each class the other class whose logit is on average highest where this one is; of all images if it is nowhere."""
    predicted = logits.argmax(1)
    rivals = np.zeros(logits.shape[1], dtype=int)
    for c in range(logits.shape[1]):
        here = predicted == c
        mean = logits[here if here.any() else slice(None)].mean(0)
        mean[c] = -np.inf
        rivals[c] = mean.argmax()
    return rivals


def _estimate(value: float, reach: float) -> Estimate:
    return Estimate(float(value), float(value - reach), float(value + reach))
