"""The audit's statistics, for every word at once. Rates are (images, words)."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from math import sqrt
from statistics import NormalDist

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy.sparse import csc_array
from scipy.special import stdtrit
from scipy.stats import norm, rankdata

from wordsight.audits.ranks import Ranks, shape_of
from wordsight.sentences.estimates import wilson

#: Standard errors to either side of a 95% interval.
Z95 = NormalDist().inv_cdf(0.975)


@dataclass(frozen=True)
class Estimate:
    """A number and its 95% interval, ``low`` to ``high``."""

    value: float
    low: float
    high: float

    @classmethod
    def around(cls, value: float, reach: float, *, low: float, high: float) -> "Estimate":
        """The interval of ``value`` with half-width ``reach``, cut to [``low``, ``high``]."""
        return cls(float(value), max(low, float(value - reach)), min(high, float(value + reach)))


def mean_estimate(
    values: Float[np.ndarray, " n"], weights: Float[np.ndarray, " n"] | None = None, *, low: float, high: float
) -> Estimate:
    """The (weighted) mean with Student's 95% interval, cut to [low, high]; the interval of a single value is [low, high].

    ``weights``: 0 or more each, not all 0. With weights the effective number of values is (sum w)^2 / sum w^2 (Kish 1965), and
    the error is that of the weighted residuals.
    """
    weights = np.ones(len(values)) if weights is None else weights
    share = weights / weights.sum()
    mean, size = float(share @ values), float(1 / (share @ share))
    if size < 1 + 1e-9:
        return Estimate(mean, low, high)
    error = sqrt(float(share**2 @ (values - mean) ** 2) * size / (size - 1))
    return Estimate.around(mean, float(stdtrit(size - 1, 0.975)) * error, low=low, high=high)


def separation(
    rates: Float[np.ndarray, "images words"] | csc_array, here: Bool[np.ndarray, " images"]
) -> Float[np.ndarray, " words"]:
    """How well each word's rate separates the images ``here`` from the rest: the area under the ROC curve, in [0, 1].

    It is the chance that an image here has a higher rate than an image elsewhere; ties count half (Mann & Whitney 1947); 0.5 is
    no separation. Raises ValueError if one of the two sets is empty.
    """
    return Ranks.of(csc_array(rates)).separation(here)


def area_interval(
    area: Float[np.ndarray, " words"], here: int, elsewhere: int
) -> tuple[Float[np.ndarray, " words"], Float[np.ndarray, " words"]]:
    """The 95% interval, (low, high), of areas under the ROC curve from so many images here and elsewhere.

    Newcombe's (2006) method 5: the ends are the areas that lie 1.96 of their own standard errors (Hanley & McNeil 1982) away, so
    an area of 1 has an interval, too.
    """
    extra = (here + elsewhere) / 2 - 1

    def reach(theta: np.ndarray) -> np.ndarray:
        spread = theta * (1 - theta) * (1 + extra * ((1 - theta) / (2 - theta) + theta / (1 + theta)))
        return Z95 * np.sqrt(spread / (here * elsewhere))

    ends = []
    for outer in (0.0, 1.0):
        inside, outside = area.astype(np.float64), np.full(len(area), outer)
        # Bisection: ``inside`` is within reach of the area, ``outside`` is not (or is the end of the range).
        for _ in range(50):
            middle = (inside + outside) / 2
            near = np.abs(middle - area) <= reach(middle)
            inside, outside = np.where(near, middle, inside), np.where(near, outside, middle)
        ends.append(inside)
    return ends[0], ends[1]


@dataclass(frozen=True)
class Selected:
    """What remains of a standard normal statistic that was looked at because it is beyond a limit: see ``after_selection``."""

    value: float
    low: float
    high: float


def after_selection(z: float, limit: float) -> Selected:
    """The mean of a statistic with variance 1 that came as ``z``, and its 95% interval, if only values beyond ``limit`` count.

    What is found near the limit is too large (the winner's curse). The likelihood of the mean given that the statistic is beyond
    the limit, with all means from 0 on alike beforehand (Yekutieli 2012), gives the value (its mean) and the interval. Far
    beyond the limit they are z and z -+ 1.96; at the limit about half of z.
    """
    means = np.linspace(0, max(z, limit) + 6, 2001)
    log = norm.logpdf(z, means) - norm.logsf(limit, means)
    weight = np.exp(log - log.max())
    weight /= weight.sum()
    low, high = np.interp([0.025, 0.975], weight.cumsum(), means)
    return Selected(float(weight @ means), float(low), float(high))


class Associations:
    """Rank correlations of each word's rate with another number of each image, within strata of images.

    One object serves many such numbers. ``rates``: in [0, 1]. ``stratum``: the stratum of each image, by number; strata of one
    or two images are left out.
    """

    def __init__(self, rates: Float[np.ndarray, "images words"] | csc_array, stratum: Int[np.ndarray, " images"]) -> None:
        by_word = csc_array(rates)
        by_image, self.words = by_word.tocsr(), shape_of(by_word)[1]
        #: The images of each stratum, and the ranks of the words' rates among them.
        self.strata: dict[int, tuple[np.ndarray, Ranks]] = {}
        for number in np.unique(stratum):
            rows = np.flatnonzero(stratum == number)
            if len(rows) > 2:
                self.strata[int(number)] = rows, Ranks.of(by_image[rows].tocsc())

    def __call__(
        self,
        values: Float[np.ndarray, " images"],
        strata: Iterable[int] | None = None,
        *,
        given: Callable[[int], Float[np.ndarray, "images others"]] | None = None,
    ) -> tuple[Float[np.ndarray, " words"], Float[np.ndarray, " words"]]:
        """For each word, a standard normal number if there is no association, and its degrees of freedom.

        ``values``: one number an image. The result is the sum of Spearman's rank correlations in the strata (default: all),
        weighted by degrees of freedom, over the root of all degrees of freedom. Without an association, and whatever the
        distributions, a correlation has mean 0 and variance 1 / (size - 1), so the result has mean 0 and variance 1. Strata in
        which the word or the values do not vary count nothing.

        ``given``: for a stratum, other numbers of all images that are held fixed. Then only the part of the values' ranks counts
        that the ranks of these numbers leave unexplained (least squares); this takes as many degrees of freedom as they have
        independent columns. The words' ranks stay as they are. For words that go along with ``given`` the result therefore
        varies less than a standard normal number: the test is conservative. (The partial correlation is not: ranks are not
        linear in each other, and the rest looks like an association of two words that both go along with ``given``.)
        """
        total, freedom = np.zeros(self.words), np.zeros(self.words)
        for number in self.strata.keys() if strata is None else self.strata.keys() & set(strata):
            rows, _ = self.strata[number]
            known = None if given is None else centred_ranks(given(number)[rows])[None]
            one = self.within(number, centred_ranks(values[rows])[None], known)
            total += one[0][0]
            freedom += one[1][0]
        return standardised(total, freedom), freedom

    def within(
        self,
        number: int,
        values: Float[np.ndarray, "numbers images"],
        known: Float[np.ndarray, "numbers images others"] | None = None,
    ) -> tuple[Float[np.ndarray, "numbers words"], Float[np.ndarray, "numbers words"]]:
        """Of one stratum, for several numbers at once: the rank correlations times the degrees of freedom, and these.

        ``values``: the centred ranks of each number among the stratum's images. ``known``: for each number the centred ranks of what
        is held fixed.
        """
        rows, ranks = self.strata[number]
        degrees = np.full(len(values), len(rows) - 1.0)
        if known is not None:
            basis, size, _ = np.linalg.svd(known, full_matrices=False)
            largest = size.max(1, keepdims=True, initial=0)
            basis = basis * (size > max(known.shape[1:]) * np.finfo(float).eps * largest)[:, None]  # as least squares has it
            rest = values - (basis @ (basis.transpose(0, 2, 1) @ values[..., None]))[..., 0]
            # Values that the others explain exactly leave rounding errors, not ranks.
            values = np.where(np.abs(rest) > 1e-9 * len(rows), rest, 0.0)
            degrees = degrees - (basis != 0).any(1).sum(1)
        length = np.sqrt((values**2).sum(1))
        degrees = np.where(length > 0, np.maximum(degrees, 0), 0)[:, None]
        direction = np.divide(values, length[:, None], out=np.zeros_like(values), where=length[:, None] > 0)
        return ranks.correlations(direction) * degrees, (ranks.squares > 0) * degrees


def standardised(total: np.ndarray, freedom: np.ndarray) -> np.ndarray:
    """Correlations times degrees of freedom, summed over strata, as standard normal numbers; 0 without any."""
    return np.divide(total, np.sqrt(freedom), out=np.zeros_like(total), where=freedom > 0)


def centred_ranks(values: Float[np.ndarray, "images *others"]) -> Float[np.ndarray, "images *others"]:
    """The rank of each image, less the mean; images with the same value share their mean rank."""
    ranks = rankdata(values, axis=0)
    return ranks - ranks.mean(0)


def images_of_classes(label: Int[np.ndarray, " images"], rows: Bool[np.ndarray, " images"]) -> list[int]:
    """How many of these images each class has, by its number; as many numbers as ``label`` has classes."""
    return np.bincount(label[rows], minlength=int(label.max()) + 1).tolist()


def difference(with_: Sequence[tuple[int, int]], without: Sequence[tuple[int, int]], *, min_images: int = 1) -> Estimate | None:
    """The difference of two shares, ``with_`` less ``without``, over paired strata; each stratum is (hits, images).

    The strata's differences are weighted by n1 n0 / (n1 + n0) (Mantel & Haenszel 1959); strata without images on one side count
    nothing. The interval is Newcombe's (1998, method 10) for one stratum, and the same square-and-add rule over several: the
    distances of each share from its Wilson limits, weighted, squared and added. None if either side has fewer than
    ``min_images`` images in strata that have both sides.
    """
    pairs = [(a, b) for a, b in zip(with_, without, strict=True) if a[1] and b[1]]
    if min(sum(a[1] for a, _ in pairs), sum(b[1] for _, b in pairs)) < max(1, min_images):
        return None
    weights = [a[1] * b[1] / (a[1] + b[1]) for a, b in pairs]
    value = below = above = 0.0
    for raw, ((hits1, n1), (hits0, n0)) in zip(weights, pairs, strict=True):
        share1, share0, weight = hits1 / n1, hits0 / n0, raw / sum(weights)
        (low1, high1), (low0, high0) = wilson(share1, n1, Z95), wilson(share0, n0, Z95)
        value += weight * (share1 - share0)
        below += weight**2 * ((share1 - low1) ** 2 + (high0 - share0) ** 2)
        above += weight**2 * ((high1 - share1) ** 2 + (share0 - low0) ** 2)
    return Estimate(value, value - sqrt(below), value + sqrt(above))
