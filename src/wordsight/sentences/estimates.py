"""Word rates and their intervals."""

from collections.abc import Mapping
from dataclasses import dataclass
from math import sqrt
from statistics import NormalDist

from scipy.special import stdtrit

#: Below so many sentences that should contain a word (or lack it), the differences between parts do not show all of its error.
FEW = 15


#: How many independent sentences one sentence may count for in the interval of such a word.
MAX_GAIN = 3


@dataclass(frozen=True)
class WordCounts:
    """In how many of ``sentences`` sentences each word occurs (or is expected), each word counted once a sentence.

    Raises ``ValueError`` if a count lies outside 0..``sentences``.
    """

    counts: Mapping[str, float]
    sentences: int

    def __post_init__(self) -> None:
        if self.sentences < 0:
            raise ValueError(f"{self.sentences} sentences; the number of sentences has to be 0 or more.")
        for word, count in self.counts.items():
            if not 0 <= count <= self.sentences:
                raise ValueError(
                    f"{word!r} is counted in {count} of {self.sentences} sentences; the count has to be between 0 and "
                    f"{self.sentences}. Count a word once a sentence."
                )


@dataclass(frozen=True)
class WordRate:
    """How frequent one word is. ``count``: sampled sentences that contain it.

    ``rate``: the estimated share of sentences, in [0, 1], with its 95% interval ``low``..``high``.
    """

    count: int
    rate: float
    low: float
    high: float


@dataclass(frozen=True)
class WordRates:
    """The rates of all words found in ``sentences`` sampled sentences."""

    words: Mapping[str, WordRate]
    sentences: int

    def expected_counts(self) -> WordCounts:
        """In how many of as many sentences each word is expected; not a whole number."""
        return WordCounts({word: found.rate * self.sentences for word, found in self.words.items()}, self.sentences)


def rate_estimate(
    share: float, error: float, sentences: int, *, parts: int, confidence: float = 0.95
) -> tuple[float, float, float]:
    """A rate and its interval, (rate, low, high), from an estimated share and its standard error over independent parts.

    Wilson's score interval (Wilson 1927) for the number of independent sentences that would have this standard error, with
    Student's quantile for ``parts`` - 1 degrees of freedom, because the error itself is estimated. A share that no part
    differs in has no known error: as many independent sentences as were drawn are assumed. Nor do the parts show all
    about a word that fewer than ``FEW`` sentences should contain, or lack: all of them can miss the same beginnings. Its
    interval is no narrower than ``MAX_GAIN`` times as many independent sentences would give. The ends are at most
    the quantile times the standard error, and its square over ``sentences``, away. Shares outside of [0, 1], which an
    unbiased estimate can give for a rare word, are moved to the nearer end. Raises ``ValueError`` for a
    confidence outside (0, 1).
    """
    if not 0 < confidence < 1:
        raise ValueError(f"A confidence of {confidence}; it has to be between 0 and 1, for instance 0.95.")
    rate = min(1.0, max(0.0, share))
    if error == 0 or parts < 2:
        return rate, *wilson(rate, sentences, NormalDist().inv_cdf(0.5 + confidence / 2))
    t = float(stdtrit(parts - 1, 0.5 + confidence / 2))
    # Next to 0 and 1 an error larger than the distance to them would leave Wilson with less than one sentence.
    reach = t * error + t * t / sentences
    independent = rate * (1 - rate) / error**2
    if min(rate, 1 - rate) * sentences < FEW:
        independent = min(independent, MAX_GAIN * sentences)
    low, high = wilson(rate, independent, t) if 0 < rate < 1 else (0.0, 1.0)
    return rate, max(low, rate - reach, 0.0), min(high, rate + reach, 1.0)


def wilson(share: float, sentences: float, z: float) -> tuple[float, float]:
    """Wilson's (1927) score interval of a share of so many sentences (or images), ``z`` standard errors to either side."""
    shrink = 1 + z * z / sentences
    centre = (share + z * z / (2 * sentences)) / shrink
    half = z * sqrt(share * (1 - share) / sentences + z * z / (4 * sentences * sentences)) / shrink
    # The two ends below are exact on paper; rounding would leave them at 1e-17 or 1 - 1e-16.
    low = 0.0 if share == 0 else max(0.0, centre - half)
    high = 1.0 if share == 1 else min(1.0, centre + half)
    return low, high
