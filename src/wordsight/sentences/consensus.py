"""Which of many sampled sentences agree best with the others."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from itertools import islice
from math import exp, log, sqrt

_LENGTHS = (1, 2, 3, 4)
#: Sentences that are compared one by one with others, and with how many at most: all pairs of thousands would take minutes.
_CANDIDATES, _OTHERS = 32, 256

Grams = Sequence[Counter[tuple[str, ...]]]
"""A sentence's n-grams with their counts, for n = 1 to 4."""


def consensus(sentences: Counter[str], *, limit: int = 3) -> list[str]:
    """The ``limit`` sentences that agree best with all of them (given with their counts), best first.

    A sentence's agreement is its mean BLEU-4 against the others (minimum Bayes risk, Kumar & Byrne 2004; ``bleu``). The
    candidates are the 32 sentences with the highest mean cosine of n-gram counts, over n = 1 to 4, to all others; they are
    compared with the 256 most frequent. Ties fall to the more frequent, then to the alphabet. Empty sentences are left out.
    """
    counts = {sentence: count for sentence, count in sentences.items() if sentence}
    grams = {sentence: _ngrams(sentence) for sentence in counts}
    near = _mean_cosines(counts, grams)
    candidates = sorted(counts, key=lambda s: (-round(near[s], 9), -counts[s], s))[: max(limit, _CANDIDATES)]
    others = list(islice(sorted(counts, key=lambda s: (-counts[s], s)), _OTHERS))
    agreement = {
        sentence: sum(
            (counts[o] - (o == sentence)) * bleu(grams[sentence], grams[o]) for o in others if counts[o] > (o == sentence)
        )
        for sentence in candidates
    }
    return sorted(candidates, key=lambda s: (-round(agreement[s], 9), -counts[s], s))[:limit]


def bleu(grams: Grams, reference: Grams) -> float:
    """BLEU-4 of one sentence against another, in [0, 1], with one added to the counts of n > 1 (Lin & Och 2004)."""
    length, wanted = sum(grams[0].values()), sum(reference[0].values())
    total = 0.0
    for n, (own, theirs) in enumerate(zip(grams, reference, strict=True)):
        common = sum(min(count, theirs[gram]) for gram, count in own.items())
        extra = 1 if n else 0
        if common + extra == 0:
            return 0.0
        total += log((common + extra) / (sum(own.values()) + extra))
    return exp(total / len(grams) + min(0.0, 1 - wanted / length))


def _mean_cosines(counts: dict[str, int], grams: dict[str, Grams]) -> dict[str, float]:
    scores: dict[str, float] = defaultdict(float)
    for n in range(len(_LENGTHS)):
        vectors = {s: _unit(grams[s][n]) for s in counts}
        total: dict[tuple[str, ...], float] = defaultdict(float)
        for sentence, vector in vectors.items():
            for gram, value in vector.items():
                total[gram] += counts[sentence] * value
        for sentence, vector in vectors.items():
            own = 1.0 if vector else 0.0  # its agreement with itself says nothing
            scores[sentence] += sum(value * total[gram] for gram, value in vector.items()) - own
    return scores


def _ngrams(sentence: str) -> Grams:
    words = sentence.lower().replace(".", " ").replace(",", " ").split()
    return [Counter(tuple(words[i : i + n]) for i in range(len(words) - n + 1)) for n in _LENGTHS]


def _unit(grams: Counter[tuple[str, ...]]) -> dict[tuple[str, ...], float]:
    length = sqrt(sum(v * v for v in grams.values()))
    return {gram: value / length for gram, value in grams.items()}
