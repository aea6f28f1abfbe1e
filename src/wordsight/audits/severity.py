"""Severity: how much more frequent errors are without a word, or with it."""

from collections.abc import Sequence
from math import hypot

import numpy as np
from jaxtyping import Bool, Int
from scipy.stats import norm

from wordsight.audits.statistics import Z95, Estimate, after_selection, difference, images_of_classes


def gaps(
    present: Bool[np.ndarray, " images"],
    predicted: Bool[np.ndarray, " images"],
    label: Int[np.ndarray, " images"],
    c: int,
    *,
    min_images: int = 1,
) -> tuple[Estimate | None, Estimate | None]:
    """The two gaps between shares of errors for a word and class ``c``, each in [-1, 1] with its 95% interval.

    *missed*: among images of c, the share not predicted as c without the word, less that share with it. *mistaken*: among
    images of other classes, the share predicted as c with the word, less that share without it, within each true class.
    ``present``: which images have the word. ``predicted``: which images are predicted as c. A gap is None if one of its sides
    has fewer than ``min_images`` images.
    """

    def counts(errors: Bool[np.ndarray, " images"], rows: Bool[np.ndarray, " images"]) -> list[tuple[int, int]]:
        return list(zip(images_of_classes(label, rows & errors), images_of_classes(label, rows), strict=True))

    own = label == c
    missed = [counts(~predicted, own & rows)[c : c + 1] for rows in (~present, present)]
    mistaken = [counts(predicted, ~own & rows) for rows in (present, ~present)]
    return difference(*missed, min_images=min_images), difference(*mistaken, min_images=min_images)


def worse_gap(found: tuple[Estimate | None, Estimate | None]) -> Estimate | None:
    """The severity: the larger of the two gaps; None if both are None."""
    return max((gap for gap in found if gap), key=lambda gap: gap.value, default=None)


def shrunk(gaps: Sequence[Estimate], z: float, limit: float) -> Estimate:
    """The larger gap of a word that was found because a statistic came as ``z``, beyond ``limit``, both in standard errors.

    The gap is taken to err as the statistic does: by as many standard errors as that is too large (``after_selection``) it is
    moved down. Since the two err only partly alike, what is left is rather too small than too large. Of two ``gaps`` it is moved
    down, too, by what the larger of two numbers with their errors is too large on average (Clark 1961).
    """
    gap, left = max(gaps, key=lambda one: one.value), after_selection(z, limit)
    below, above = (gap.value - gap.low) / Z95, (gap.high - gap.value) / Z95
    excess = _excess(gaps)
    value = max(0.0, gap.value - excess - (z - left.value) * below)
    low = max(-1.0, gap.value - excess - (z - left.low) * below)
    high = min(1.0, gap.value + (left.high - z) * (above if left.high > z else below))
    return Estimate(value, low, max(value, high))


def _excess(gaps: Sequence[Estimate]) -> float:
    """The mean of the larger of two normal numbers, less the larger of their means; 0 for a single one."""
    if len(gaps) < 2:
        return 0.0
    apart = abs(gaps[0].value - gaps[1].value)
    error = hypot(*((gap.high - gap.low) / 2 / Z95 for gap in gaps))
    return error * float(norm.pdf(apart / error)) - apart * float(norm.sf(apart / error)) if error > 0 else 0.0
