"""What an audit could have found: the smallest gap between shares of errors that it would most likely have seen."""

from collections.abc import Sequence
from math import sqrt

from scipy.stats import norm

#: The chance at which a gap counts as one that would have been found.
POWER = 0.8
#: The efficiency of ranks where a t-test would be right, 3 / pi.
_RANKS = 0.955


def smallest_gap(images: Sequence[tuple[int, int]], errors: float, level: float) -> float:
    """The smallest gap between shares of errors that the test of margins finds with a chance of 80%, in [0, 1].

    ``images``: for each true class (images with the word, images without). ``errors``: the share of errors on the better side;
    no images count as none. ``level``: one-sided, in (0, 1). The margin is taken as normal, moved by the word: by what moves
    it so far that the test sees it, the share of errors rises from ``errors`` to ``errors`` + gap. 1 less ``errors`` if nothing
    could be found. Rates differ among images with the word, too, which costs the test of ranks 1 less 3 p (1 - p) of its images
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


def images_wanted(have: int, other: int, errors: float, level: float, gap: float, *, most: int = 1000) -> int | None:
    """How many images on the scarcer side (now ``have``, against ``other``) let a gap be seen; None for more than ``most``."""
    return next((n for n in range(have, most + 1) if n and smallest_gap([(n, max(other, n))], errors, level) <= gap), None)
