"""Two heads on the same images: how much the worst group changed, with an interval that holds for a worst group."""

from dataclasses import dataclass
from math import sqrt
from statistics import NormalDist

import numpy as np
from jaxtyping import Bool, Int

from wordsight.mitigation import LEAST
from wordsight.sentences.estimates import wilson

LEVEL = 0.95


@dataclass(frozen=True)
class Change:
    """A change of an accuracy, in [-1, 1], with its 95% interval ``low``..``high``."""

    value: float
    low: float
    high: float


def average_change(before: Bool[np.ndarray, " images"], after: Bool[np.ndarray, " images"]) -> Change:
    """The change of the accuracy over all images. ``before`` and ``after``: which images each head gets right."""
    low, high = paired_interval(before, after, _z(1))
    return Change(float(after.mean() - before.mean()), low, high)


def worst_change(
    before: Bool[np.ndarray, " images"], after: Bool[np.ndarray, " images"], group: Int[np.ndarray, " images"]
) -> Change:
    """The change of the accuracy of the worst group, which need not be the same one before and after.

    The worst group is chosen by the same images, so that its accuracy looks lower than it is, and the next head's higher. The
    change is ``max over w of min over g of (after_g - before_w)``: the bound of this is taken from intervals of each difference
    (paired where g is w), each at a level of 5% / (2 G) a side for G groups. By Bonferroni both ends then hold at 95%, whichever
    groups are the worst. With a group of fewer than ``LEAST`` images the interval is -1..1.
    """
    groups = np.unique(group)
    right = {g: (before[group == g], after[group == g]) for g in groups.tolist()}
    value = min(a.mean() for _, a in right.values()) - min(b.mean() for b, _ in right.values())
    if min(len(b) for b, _ in right.values()) < LEAST:
        return Change(float(value), -1.0, 1.0)
    z = _z(len(groups))
    low = high = -1.0
    for w, (b, _) in right.items():
        ends = [paired_interval(b, a, z) if g == w else independent_interval(b, a, z) for g, (_, a) in right.items()]
        low, high = max(low, min(end[0] for end in ends)), max(high, min(end[1] for end in ends))
    return Change(float(value), low, high)


def independent_interval(
    before: Bool[np.ndarray, " images"], after: Bool[np.ndarray, " others"], z: float
) -> tuple[float, float]:
    """Interval of a difference of shares of different images: Newcombe's (1998) hybrid of two Wilson intervals (method 10)."""
    p, q = float(before.mean()), float(after.mean())
    (l1, u1), (l2, u2) = wilson(p, len(before), z), wilson(q, len(after), z)
    return q - p - sqrt((q - l2) ** 2 + (u1 - p) ** 2), q - p + sqrt((u2 - q) ** 2 + (p - l1) ** 2)


def paired_interval(before: Bool[np.ndarray, " images"], after: Bool[np.ndarray, " images"], z: float) -> tuple[float, float]:
    """Interval of a difference of shares of the same images: Newcombe's (1998) for paired data (method 10).

    Two Wilson intervals, with the correlation of the two answers, corrected for continuity.
    """
    n, p, q = len(before), float(before.mean()), float(after.mean())
    (l1, u1), (l2, u2) = wilson(p, n, z), wilson(q, n, z)
    both, neither = int((before & after).sum()), int((~before & ~after).sum())
    only_before, only_after = int((before & ~after).sum()), int((~before & after).sum())
    product = both * neither - only_before * only_after
    product = max(product - n / 2, 0) if product > 0 else product
    scale = (both + only_before) * (only_after + neither) * (both + only_after) * (only_before + neither)
    phi = product / sqrt(scale) if scale else 0.0
    down, up = (q - l2, u1 - p), (u2 - q, p - l1)
    low = q - p - sqrt(max(0.0, down[0] ** 2 - 2 * phi * down[0] * down[1] + down[1] ** 2))
    return low, q - p + sqrt(max(0.0, up[0] ** 2 - 2 * phi * up[0] * up[1] + up[1] ** 2))


def _z(groups: int) -> float:
    return NormalDist().inv_cdf(1 - (1 - LEVEL) / (2 * groups))
