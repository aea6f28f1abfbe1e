"""How much a class uses words: its reliance on them, from the audited images; labels are not looked at."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from wordsight.audits.evidence import Evidence
from wordsight.audits.statistics import Z95, Estimate
from wordsight.words.reliance import BLOCKS, effects, random_heads

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
        finite = np.isfinite(evidence.logits).all(0)  # a classifier may rule classes out with minus infinity
        self._columns = {int(c): i for i, c in enumerate(np.flatnonzero(finite))}
        self._enough = len(evidence.label) >= 2 * BLOCKS and len(evidence.vocabulary) > 0 and len(self._columns) > 1
        if not self._enough:
            return
        logits = evidence.logits[:, finite].astype(np.float64)
        self._rivals = _rivals(logits)
        # Against all classes, and against the rivals: of one regression.
        targets = np.concatenate([logits - logits.mean(1, keepdims=True), logits - logits[:, self._rivals]], 1)
        self._found = effects(evidence.rates, targets, penalty=PENALTY)
        z = np.eye(len(logits)) if z is None else z
        self._chance = Z95 * random_heads(evidence.rates, z, penalty=PENALTY)
        self._logits, self._predicted, self._changed = logits, logits.argmax(1), dict[int, np.ndarray]()
        self._names = [evidence.classes[c] for c in self._columns]

    def __call__(self, c: int, words: Sequence[int]) -> list[Use | None]:
        """None for a class whose logits are not finite, and for all with fewer than twenty images."""
        if not self._enough or c not in self._columns:
            return [None] * len(words)
        i, found = self._columns[c], self._found
        near = i + len(self._columns)
        several = len(self._columns) > 2
        return [
            Use(
                reliance=_estimate(found.value[i, w], found.reach[i, w]),
                chance=float(self._chance[w]),
                against_rival=_estimate(found.value[near, w], found.reach[near, w]) if several else None,
                rival=self._names[self._rivals[i]] if several else None,
                changes=float(self._changes(w)[i]),
            )
            for w in words
        ]

    def _changes(self, w: int) -> Float[np.ndarray, " classes"]:
        if w not in self._changed:
            present, rates, of_all = self._evidence.has(w), self._evidence.column(w), len(self._columns)
            strength = 0.0
            if present.any():
                strength = rates[present].mean() - (rates[~present].mean() if not present.all() else 0.0)
            moved = self._logits + strength * self._found.value[:of_all, w] * self._found.spread[:of_all]
            self._changed[w] = changed_to(self._predicted, moved.argmax(1), of_all)
        return self._changed[w]


def changed_to(
    before: Int[np.ndarray, " images"], after: Int[np.ndarray, " images"], classes: int
) -> Float[np.ndarray, " classes"]:
    """For each class, the share of images predicted as another before that are predicted as it after; 0 without such images."""
    others = len(before) - np.bincount(before, minlength=classes)
    came = np.bincount(after[after != before], minlength=classes)
    return np.divide(came, others, out=np.zeros(classes), where=others > 0)


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
