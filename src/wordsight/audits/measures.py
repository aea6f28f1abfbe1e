"""How word rates go along with predictions and margins: what the steps *encoded* and *harmful* test.

The margin of a class is its logit less the largest of the other classes' logits: tests rank it, so that multiplying all logits by a
constant, which changes no decision, changes no finding.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy.stats import norm

from wordsight.audits.evidence import Evidence, clarity, clearest_other, largest_of_others, saturated
from wordsight.audits.ranks import Ranks
from wordsight.audits.statistics import Associations, area_interval, centred_ranks, standardised


@dataclass(frozen=True)
class Measures:
    """The measures of all words for class ``c``.

    - ``area``: the area under the ROC curve of each word's rate, for images predicted as c, in [0, 1], with its 95% interval
      ``low``, ``high``.
    - ``p_encoded``: the p-value of the step *encoded*, in [0, 1].
    - ``sides``: how the margin rises with each word's rate beyond the classes' own words, in standard errors; first among the
      images of c, then among the images of other classes.
    - ``p_harmful``: the p-value of the step *harmful*, in [0, 1].
    - ``strength``: both sides together, in standard errors.
    - ``unclear``: true classes (by number) whose images have no part in the step *harmful*, see ``evidence.saturated``.
    """

    c: int
    area: Float[np.ndarray, " words"]
    low: Float[np.ndarray, " words"]
    high: Float[np.ndarray, " words"]
    p_encoded: Float[np.ndarray, " words"]
    sides: tuple[np.ndarray, np.ndarray]
    p_harmful: Float[np.ndarray, " words"]
    strength: Float[np.ndarray, " words"]
    unclear: frozenset[int] = frozenset()


def judged_classes(evidence: Evidence, min_images: int) -> list[int]:
    """Classes with at least ``min_images`` images predicted as the class, as many not, and true images of it and of others."""
    count = len(evidence.label)
    predicted, own = (np.bincount(classes, minlength=len(evidence.classes)) for classes in (evidence.predicted, evidence.label))
    judged = (np.minimum(predicted, count - predicted) >= min_images) & (own > 0) & (own < count)
    return judged.nonzero()[0].tolist()


def measure(
    evidence: Evidence,
    words: Int[np.ndarray, " usual"],
    classes: Sequence[int],
    naming: Bool[np.ndarray, "classes words"],
    *,
    on_classes: Callable[[int, int], None] = lambda done, total: None,
) -> list[Measures]:
    """The measures of these words (by number) for each of these classes. ``naming``: which words may name which class.

    Images of a class that is ``saturated`` have no part in the step *harmful*: that a clear image has a larger margin and more
    words could not be told from a shortcut.
    """
    rates, predicted = evidence.rates[:, words], evidence.predicted
    margins = evidence.logits - largest_of_others(evidence.logits)
    clear = clarity(evidence, naming)
    ranks, associations = Ranks.of(rates), Associations(rates, evidence.label)
    unclear = frozenset(np.flatnonzero(saturated(evidence, naming)).tolist())
    within, beyond = _Sides.of(classes, associations.words), _Sides.of(classes, associations.words)
    for done, (k, (rows, _)) in enumerate(associations.strata.items()):
        on_classes(done, len(associations.strata))
        margin = centred_ranks(margins[rows][:, classes]).T
        within.add(k, *associations.within(k, margin))
        if k not in unclear:
            beyond.add(k, *associations.within(k, margin, _held_fixed(clear[rows], classes, k)))
    on_classes(len(associations.strata), len(associations.strata))
    found = []
    for row, c in enumerate(classes):
        area = ranks.separation(predicted == c)
        low, high = area_interval(area, int((predicted == c).sum()), int((predicted != c).sum()))
        sides = beyond.row(row)
        p_encoded = _encoded(ranks.p_higher(predicted == c, area), together(within.row(row)))
        found.append(
            Measures(
                c, area, low, high, p_encoded, (sides[0][0], sides[1][0]), _either_or_both(sides), together(sides), unclear
            )
        )
    return found


def _held_fixed(
    clear: Float[np.ndarray, "images classes"], classes: Sequence[int], k: int
) -> Float[np.ndarray, "judged images 2"]:
    """``evidence.held_fixed`` as centred ranks among these images of class ``k``, for each of ``classes``."""
    first = centred_ranks(clear[:, classes]).T
    second = np.repeat(centred_ranks(clear[:, k])[None], len(classes), axis=0)
    if k in classes:
        second[list(classes).index(k)] = centred_ranks(clearest_other(clear, k))
    return np.stack([first, second], 2)


@dataclass(frozen=True)
class _Sides:
    """Sums over true classes, for each judged class (rows) apart for its own images and for the others: see ``Associations``."""

    classes: Int[np.ndarray, " judged"]
    total: Float[np.ndarray, "2 judged words"]
    freedom: Float[np.ndarray, "2 judged words"]

    @classmethod
    def of(cls, classes: Sequence[int], words: int) -> "_Sides":
        zeros = np.zeros((2, len(classes), words))
        return cls(np.array(classes), zeros, zeros.copy())

    def add(self, k: int, total: Float[np.ndarray, "judged words"], freedom: Float[np.ndarray, "judged words"]) -> None:
        """Add what the images of true class ``k`` give."""
        for side, rows in enumerate((self.classes == k, self.classes != k)):
            self.total[side, rows] += total[rows]
            self.freedom[side, rows] += freedom[rows]

    def row(self, row: int) -> list[tuple[Float[np.ndarray, " words"], Float[np.ndarray, " words"]]]:
        """The standard normal numbers of one judged class and their degrees of freedom: of its own images, and of the others."""
        return [
            (standardised(total[row], freedom[row]), freedom[row])
            for total, freedom in zip(self.total, self.freedom, strict=True)
        ]


def _encoded(enriched: Float[np.ndarray, " words"], within: Float[np.ndarray, " words"]) -> Float[np.ndarray, " words"]:
    """The smaller p of two tests, doubled: enriched in the images of a class, or rising with the margin within true classes.

    Where another class has the word by nature, only the second can show that this one uses it.
    """
    return np.minimum(1, 2 * np.minimum(enriched, norm.sf(within)))


def _either_or_both(sides: Sequence[tuple[np.ndarray, np.ndarray]]) -> Float[np.ndarray, " words"]:
    """The smallest p of each side and of both together, times three: a class that loses its own images without a word need not
    take others for it, and the sum of the two sides would miss it.
    """
    p = [norm.sf(z) for z, _ in sides] + [norm.sf(together(sides))]
    return np.minimum(1, len(p) * np.min(p, axis=0))


def together(sides: Sequence[tuple[np.ndarray, np.ndarray]]) -> Float[np.ndarray, " words"]:
    """The class's own images and the others, with equal weight however many classes there are (Stouffer et al. 1949)."""
    known = sum((freedom > 0).astype(float) for _, freedom in sides)
    return sum(z for z, _ in sides) / np.sqrt(np.maximum(known, 1))
