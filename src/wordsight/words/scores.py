"""Sentences -> how often each word is said, how sure that is, and how it compares with a reference."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from math import log, sqrt
from statistics import NormalDist

from scipy.special import stdtrit

#: Below so many sentences that should contain a word (or lack it), the differences between parts do not show all of its error.
FEW = 15
#: How many independent sentences one sentence may count for in the interval of such a word.
GAIN_AT_MOST = 3


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
    """How often one word is said. ``count``: sampled sentences that contain it.

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


@dataclass(frozen=True)
class Lift:
    """How much more often a word is said here than in the reference; see ``lift``.

    ``log_odds``: natural-log units, any finite number; 0 is no difference, positive is more here. ``z``: the same in
    standard errors; beyond about +-1.96 the difference is clear at 5% for one word looked at alone.
    """

    log_odds: float
    z: float


@dataclass(frozen=True)
class WordScore:
    """One word's row in the table of words.

    ``count``: sentences that contain the word. ``rate``: their share, in [0, 1], with its 95% interval ``low``..``high``.
    ``lift`` (natural-log odds) and ``lift_z`` (standard errors): against the reference, ``None`` without one.
    """

    word: str
    count: int
    rate: float
    low: float
    high: float
    lift: float | None
    lift_z: float | None


def rate_estimate(
    share: float, error: float, sentences: int, *, parts: int, confidence: float = 0.95
) -> tuple[float, float, float]:
    """A rate and its interval, (rate, low, high), from an estimated share and its standard error over independent parts.

    Wilson's score interval (Wilson 1927) for the number of independent sentences that would have this standard error, with
    Student's quantile for ``parts`` - 1 degrees of freedom, because the error itself is estimated. A share that no part
    differs in says nothing about its error: as many independent sentences as were drawn are assumed. Nor do the parts say all
    about a word that fewer than ``FEW`` sentences should contain, or lack: all of them can miss the same beginnings. Its
    interval is no narrower than ``GAIN_AT_MOST`` times as many independent sentences would give. The ends are at most
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
        independent = min(independent, GAIN_AT_MOST * sentences)
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


def lift(counts: WordCounts, reference: WordCounts, *, prior_strength: float = 100.0) -> dict[str, Lift]:
    """Each word of ``counts`` against the reference: the log-odds ratio with an informative Dirichlet prior.

    Monroe, Colaresi & Quinn 2008 ("Fightin' Words") compare a word with all other words of a text. A word counts once a
    sentence here, so the two outcomes are "the sentence contains w" (y of n sentences) and "it does not" (n - y), and the
    Dirichlet prior is a Beta one. Per word, its pseudo-counts are ``a = prior_strength * share`` and
    ``b = prior_strength - a`` with share = (y1 + y2 + 0.5) / (n1 + n2 + 1), pooled over both samples, so never 0 or 1::

        log_odds = log((y1 + a) / (n1 - y1 + b)) - log((y2 + a) / (n2 - y2 + b))
        variance = 1/(y1 + a) + 1/(n1 - y1 + b) + 1/(y2 + a) + 1/(n2 - y2 + b)
        z        = log_odds / sqrt(variance)

    The variance keeps all four terms: the paper drops the two of "does not contain" as small, but a word in most of the
    sentences makes them the largest. Natural-log units, any finite number; positive is more here than in the reference.
    ``prior_strength`` is in sentences: the larger, the nearer to 0 are words with little evidence. Words with a count of 0
    are left out. Raises ``ValueError`` if the reference has no sentences or the prior's strength is not positive.
    """
    if not prior_strength > 0:
        raise ValueError(f"A prior strength of {prior_strength}; it has to be above 0, for instance 100 (sentences).")
    if reference.sentences < 1:
        raise ValueError("The reference has no sentences; sample some from the mean feature first.")
    lifts = {}
    for word, here in counts.counts.items():
        if here == 0:
            continue
        there = reference.counts.get(word, 0)
        a = prior_strength * (here + there + 0.5) / (counts.sentences + reference.sentences + 1)
        b = prior_strength - a
        with_here, without_here = here + a, counts.sentences - here + b
        with_there, without_there = there + a, reference.sentences - there + b
        log_odds = log(with_here / without_here) - log(with_there / without_there)
        variance = 1 / with_here + 1 / without_here + 1 / with_there + 1 / without_there
        lifts[word] = Lift(log_odds=log_odds, z=log_odds / sqrt(variance))
    return lifts


def word_table(rates: WordRates, reference: WordCounts | None) -> list[WordScore]:
    """The words with a rate above 0, the most frequent first, ties in alphabetical order; without lifts if no reference."""
    found = {word: rate for word, rate in rates.words.items() if rate.rate > 0}
    lifts = {} if reference is None else lift(rates.expected_counts(), reference)
    table = []
    for word, rate in found.items():
        against = lifts.get(word)
        table.append(
            WordScore(
                word=word,
                **vars(rate),
                lift=None if against is None else against.log_odds,
                lift_z=None if against is None else against.z,
            )
        )
    return sorted(table, key=lambda score: (-score.rate, score.word))


def jaccard(a: Collection[str], b: Collection[str]) -> float:
    """The share of the words of either that both have, in [0, 1]; 0 if neither has any (Jaccard 1901)."""
    either = set(a) | set(b)
    return len(set(a) & set(b)) / len(either) if either else 0.0
