"""Which of many sampled sentences agree best with the others."""

from collections import Counter, defaultdict
from math import sqrt

_LENGTHS = (1, 2, 3, 4)


def consensus(sentences: Counter[str], *, most: int = 3) -> list[str]:
    """The ``most`` sentences that agree best with all of them (given with their counts), best first.

    A sentence's agreement is its mean similarity to the other sentences: the cosine of n-gram counts, averaged over n = 1
    to 4, as CIDEr compares captions (Vedantam et al. 2015) but without its weighting by rarity. Ties fall to the more
    frequent, then to the alphabet. Empty sentences are left out.
    """
    counts = {sentence: count for sentence, count in sentences.items() if sentence}
    scores: dict[str, float] = defaultdict(float)
    for n in _LENGTHS:
        vectors = {s: _unit_ngrams(s, n) for s in counts}
        total: dict[tuple[str, ...], float] = defaultdict(float)
        for sentence, vector in vectors.items():
            for gram, value in vector.items():
                total[gram] += counts[sentence] * value
        for sentence, vector in vectors.items():
            own = 1.0 if vector else 0.0  # its agreement with itself says nothing
            scores[sentence] += sum(value * total[gram] for gram, value in vector.items()) - own
    return sorted(counts, key=lambda s: (-round(scores[s], 9), -counts[s], s))[:most]


def _unit_ngrams(sentence: str, n: int) -> dict[tuple[str, ...], float]:
    words = sentence.lower().replace(".", " ").replace(",", " ").split()
    grams = Counter(tuple(words[i : i + n]) for i in range(len(words) - n + 1))
    length = sqrt(sum(v * v for v in grams.values()))
    return {gram: value / length for gram, value in grams.items()}
