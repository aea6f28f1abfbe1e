"""How each word compares with a baseline."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from math import log, sqrt

from wordsight.sentences.estimates import WordCounts, WordRate, WordRates, wilson
from wordsight.words.joined import SourcedRate


@dataclass(frozen=True)
class Lift:
    """How much more frequent a word is here than in the baseline; see ``lift``.

    ``log_odds``: natural-log units, any finite number; 0 is no difference, positive is more here. ``z``: the same in
    standard errors; beyond about +-1.96 the difference is clear at 5% for one word looked at alone.
    """

    log_odds: float
    z: float


@dataclass(frozen=True)
class WordScore:
    """One word's row in the table of words.

    ``count``: sentences that contain the word. ``rate``: how probable it is that a description of the image has it, in [0, 1],
    with its 95% interval ``low``..``high``. ``source``: where the rate comes from, "sentences", "head" (the word head) or "both".
    ``lift`` (natural-log odds) and ``lift_z`` (standard errors): against the baseline, ``None`` without one.
    """

    word: str
    count: int
    rate: float
    low: float
    high: float
    lift: float | None
    lift_z: float | None
    source: str = "sentences"


def lift(
    counts: WordCounts,
    baseline: WordCounts,
    *,
    prior_strength: float = 100.0,
    errors: tuple[Mapping[str, float], Mapping[str, float]] | None = None,
) -> dict[str, Lift]:
    """Each word of ``counts`` against the baseline: the log-odds ratio with an informative Dirichlet prior.

    Monroe, Colaresi & Quinn 2008 ("Fightin' Words") compare a word with all other words of a text. A word counts once a
    sentence here, so the two outcomes are "the sentence contains w" (y of n sentences) and "it does not" (n - y), and the
    Dirichlet prior is a Beta one. Per word, its pseudo-counts are ``a = prior_strength * share`` and
    ``b = prior_strength - a`` with share = (y1 + y2 + 0.5) / (n1 + n2 + 1), pooled over both samples, so never 0 or 1::

        log_odds = log((y1 + a) / (n1 - y1 + b)) - log((y2 + a) / (n2 - y2 + b))
        variance = 1/(y1 + a) + 1/(n1 - y1 + b) + 1/(y2 + a) + 1/(n2 - y2 + b)
        z        = log_odds / sqrt(variance)

    The variance keeps all four terms: the paper drops the two of "does not contain" as small, but a word in most of the
    sentences makes them the largest. Natural-log units, any finite number; positive is more here than in the baseline.
    ``prior_strength`` is in sentences: the larger, the nearer to 0 are words with little evidence. Words with a count of 0
    are left out.

    ``errors``: standard errors of the words' rates, here and in the baseline, where they are measured and not those of plain
    counts. With n sentences a rate's error is then that of its log-odds times ``p (1 - p) (n + prior_strength) / n``, where p is
    the rate with its pseudo-counts. Raises ``ValueError`` if the baseline has no sentences or the prior's strength is not positive.
    """
    if not prior_strength > 0:
        raise ValueError(f"A prior strength of {prior_strength}; it has to be above 0, for instance 100 (sentences).")
    if baseline.sentences < 1:
        raise ValueError("The baseline has no sentences; sample some from usual features first.")
    lifts = {}
    for word, here in counts.counts.items():
        if here == 0:
            continue
        there = baseline.counts.get(word, 0)
        a = prior_strength * (here + there + 0.5) / (counts.sentences + baseline.sentences + 1)
        b = prior_strength - a
        with_here, without_here = here + a, counts.sentences - here + b
        with_there, without_there = there + a, baseline.sentences - there + b
        log_odds = log(with_here / without_here) - log(with_there / without_there)
        if errors is None:
            variance = 1 / with_here + 1 / without_here + 1 / with_there + 1 / without_there
        else:
            variance = (errors[0][word] * counts.sentences * (1 / with_here + 1 / without_here)) ** 2
            variance += (errors[1].get(word, 0.0) * baseline.sentences * (1 / with_there + 1 / without_there)) ** 2
        lifts[word] = Lift(log_odds=log_odds, z=log_odds / sqrt(variance))
    return lifts


def word_table(rates: Mapping[str, SourcedRate], baseline: WordRates | None, *, sentences: int) -> list[WordScore]:
    """The words with a rate above 0, the most frequent first, ties in alphabetical order; without lifts if no baseline.

    ``sentences``: how many sentences the rates count for in the lift's shrinkage. Its standard error is that of the two rates'
    intervals.
    """
    found = {word: rate for word, rate in rates.items() if rate.rate.rate > 0}
    counts = WordCounts({word: rate.rate.rate * sentences for word, rate in found.items()}, sentences)
    lifts = {}
    if baseline is not None:
        never = WordRate(0, 0.0, *wilson(0.0, baseline.sentences, _Z))
        errors = (
            {word: _error(rate.rate) for word, rate in found.items()},
            {word: _error(baseline.words.get(word, never)) for word in found},
        )
        lifts = lift(counts, baseline.expected_counts(), errors=errors)
    table = []
    for word, rate in found.items():
        against = lifts.get(word)
        table.append(
            WordScore(
                word=word,
                **vars(rate.rate),
                lift=None if against is None else against.log_odds,
                lift_z=None if against is None else against.z,
                source=rate.source,
            )
        )
    return sorted(table, key=lambda score: (-score.rate, score.word))


_Z = 1.96


def _error(rate: WordRate) -> float:
    """The standard error that a rate's 95% interval stands for; never 0, as a rate never is known exactly."""
    return max(rate.high - rate.low, 1e-6) / (2 * _Z)


def jaccard(a: Collection[str], b: Collection[str]) -> float:
    """The share of the words of either that both have, in [0, 1]; 0 if neither has any (Jaccard 1901)."""
    either = set(a) | set(b)
    return len(set(a) & set(b)) / len(either) if either else 0.0
