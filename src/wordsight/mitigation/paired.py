"""Two heads on the same images: how much the worst group changed, with an interval that holds for a worst group."""

from collections.abc import Collection
from math import sqrt
from statistics import NormalDist

import numpy as np
from jaxtyping import Bool, Int

from wordsight.audits.statistics import Estimate
from wordsight.mitigation import LEAST
from wordsight.sentences.estimates import wilson

LEVEL = 0.95


def average_change(before: Bool[np.ndarray, " images"], after: Bool[np.ndarray, " images"]) -> Estimate:
    """The change of the accuracy over all images, in [-1, 1]. ``before`` and ``after``: which images each head gets right."""
    low, high = paired_interval(before, after, _z(1))
    return Estimate(float(after.mean() - before.mean()), low, high)


def worst_change(
    before: Bool[np.ndarray, " images"],
    after: Bool[np.ndarray, " images"],
    group: Int[np.ndarray, " images"],
    *,
    suspect: int | None = None,
) -> Estimate:
    """The change of the accuracy of the worst group, which need not be the same one before and after.

    The worst group is chosen by the same images, so that its accuracy looks lower than it is, and the next head's higher. The
    change is ``max over w of min over g of (after_g - before_w)``: the bound of this is taken from intervals of each difference
    (paired where g is w), each at a level of 5% / (2 G) a side for G groups. By Bonferroni both ends then hold at 95%, whichever
    groups are the worst. ``suspect``: the group that other images say is the worst before. For the lower end half of the 2.5% is
    spent on it, the rest on the others: the interval holds whether it is the worst or not. With a group of fewer than ``LEAST``
    images the interval is -1..1.
    """
    groups = np.unique(group).tolist()
    right = {g: (before[group == g], after[group == g]) for g in groups}
    value = min(a.mean() for _, a in right.values()) - min(b.mean() for b, _ in right.values())
    if min(len(b) for b, _ in right.values()) < LEAST:
        return Estimate(float(value), -1.0, 1.0)
    share = {w: 1 / len(groups) for w in groups}
    if suspect in share and len(groups) > 1:
        share = {w: 0.5 if w == suspect else 0.5 / (len(groups) - 1) for w in groups}
    low = high = -1.0
    for w, (b, _) in right.items():
        z_low, z_high = _z(share[w]), _z(1 / len(groups))
        make = {g: paired_interval if g == w else independent_interval for g in groups}
        low = max(low, min(make[g](b, a, z_low)[0] for g, (_, a) in right.items()))
        high = max(high, min(make[g](b, a, z_high)[1] for g, (_, a) in right.items()))
    return Estimate(float(value), low, high)


def likely_worst(right: Bool[np.ndarray, " images"], group: Int[np.ndarray, " images"], among: Collection[int]) -> int | None:
    """Of the groups ``among``, the one with the largest share of errors, (errors + 1) / (images + 2), on these images.

    Laplace's rule: of groups without an error, as on images that trained the head, it is the one with the fewest images.
    """
    share = {g: (int((~right[group == g]).sum()) + 1) / (int((group == g).sum()) + 2) for g in sorted(among)}
    return max(share, key=lambda g: share[g], default=None)


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


def _z(share: float) -> float:
    """Standard errors to a side of an interval that may fail with this share of the probability that all may."""
    return NormalDist().inv_cdf(1 - (1 - LEVEL) / 2 * share)
