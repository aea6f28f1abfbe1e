"""What an audit could have found: the smallest gap between shares of errors that it would most likely have seen."""

from collections.abc import Sequence
from math import hypot, sqrt
from statistics import NormalDist

import numpy as np
from jaxtyping import Bool, Int
from scipy.stats import norm

from wordsight.audits.statistics import Z95, images_of_classes
from wordsight.sentences.estimates import wilson

#: The chance at which a gap counts as one that would have been found.
POWER = 0.8
_SURE = NormalDist().inv_cdf(POWER)
#: The efficiency of ranks where a t-test would be right, 3 / pi.
_RANKS = 0.955


def unseen_gap(
    present: Bool[np.ndarray, " images"],
    predicted: Bool[np.ndarray, " images"],
    label: Int[np.ndarray, " images"],
    c: int,
    *,
    level: float,
    min_images: int,
    unclear: frozenset[int] = frozenset(),
) -> float:
    """The smallest gap of either side, *missed* or *mistaken*, that would most likely have been found, in [0, 1]; 1 if none could.

    ``present``: which images have the word. ``predicted``: which are predicted as class ``c``. ``level``: one-sided, in (0, 1).
    ``min_images``: with the word, and without it, on each side. ``unclear``: true classes that have no part in the test.
    """
    found = [1.0]
    clear, own = ~np.isin(label, list(unclear)), label == c
    # On the better side images of the class have the word, and others have not.
    for rows, errors, better in ((clear & own, ~predicted, present), (clear & ~own, predicted, ~present)):
        counts = [images_of_classes(label, rows & side) for side in (better, ~better)]
        if min(map(sum, counts)) >= min_images:
            wrong = errors[rows & better]
            found.append(smallest_gap(list(zip(*counts, strict=True)), float(wrong.sum() + 0.5) / (len(wrong) + 1), level))
    return min(found)


def smallest_gap(images: Sequence[tuple[int, int]], errors: float, level: float) -> float:
    """The smallest gap between shares of errors that is found with a chance of 80%, in [0, 1]: by its margins and by its errors.

    ``images``: for each true class (images of the better side, images of the worse). ``errors``: the share of errors on the better
    side; no images count as none. ``level``: one-sided, in (0, 1).
    """
    return max(gap_of_margins(images, errors, level), gap_of_errors(images, errors))


def gap_of_errors(images: Sequence[tuple[int, int]], errors: float) -> float:
    """The smallest gap between shares of errors whose 95% interval is clear of 0 with a chance of 80%, in [0, 1].

    See ``smallest_gap``. The share on the worse side is taken to come out as far below its mean as happens in one audit of five.
    1 less ``errors`` if there is none.
    """
    pairs = [(a, b, a * b / (a + b)) for a, b in images if a and b]
    if not pairs:
        return 1 - errors
    # As if of one class, with as many images as give the same variance.
    whole = sum(weight for _, _, weight in pairs) ** 2
    better, worse = (whole / sum(pair[2] ** 2 / pair[side] for pair in pairs) for side in (0, 1))

    def clear(gap: float) -> bool:
        share = errors + gap
        error = sqrt(share * (1 - share) / worse + errors * (1 - errors) / better)
        seen = max(errors, share - _SURE * error)
        below, above = seen - wilson(seen, worse, Z95)[0], wilson(errors, better, Z95)[1] - errors
        return seen - errors > hypot(below, above)  # as in ``difference``

    low, high = 0.0, 1 - errors
    for _ in range(10 if clear(high) else 0):
        middle = (low + high) / 2
        low, high = (low, middle) if clear(middle) else (middle, high)
    return high


def gap_of_margins(images: Sequence[tuple[int, int]], errors: float, level: float) -> float:
    """The smallest gap between shares of errors that the test of margins finds with a chance of 80%, in [0, 1].

    See ``smallest_gap``. The margin is taken as normal, moved by the word: by what moves it so far that the test sees it, the
    share of errors rises from ``errors`` to ``errors`` + gap. 1 less ``errors`` if nothing could be found. Rates differ among images
    with the word, too, which costs the test of ranks 1 less 3 p (1 - p) of its images
    where a share p has the word. Rates that are wrong about the word make real power smaller still.
    """
    sizes = [(a + b, a * b / (a + b) ** 2) for a, b in images if a and b]
    limit = norm.isf(level) + norm.ppf(POWER)
    spread = sum(n * mixed for n, mixed in sizes) / max(1, sum(n for n, _ in sizes))
    # The correlation of ranks is moved sqrt(spread) / sqrt(1 + moved^2 spread), times its two efficiencies.
    size = _RANKS * sum(n * mixed * 3 * mixed for n, mixed in sizes) - limit**2 * spread
    if size <= 0:
        return 1 - errors
    return float(norm.cdf(norm.ppf(max(errors, 1e-9)) + limit / sqrt(size)) - errors)


def images_wanted(
    few: int, many: int, errors: float, level: float, gap: float, *, better: bool = False, most: int = 1000
) -> int | None:
    """How many images on the scarcer side (now ``few``, against ``many``) let a gap be seen; None for more than ``most``.

    ``better``: whether the scarcer side is the one with fewer errors.
    """
    pairs = ((n, (n, max(many, n)) if better else (max(many, n), n)) for n in range(max(1, few), most + 1))
    return next((n for n, pair in pairs if smallest_gap([pair], errors, level) <= gap), None)
