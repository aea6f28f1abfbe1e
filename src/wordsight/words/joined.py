"""Join the two estimators of word rates: the sampled sentences and the word head."""

from collections.abc import Mapping
from dataclasses import dataclass
from math import hypot

from wordsight.sentences.estimates import WordRate, WordRates, wilson
from wordsight.translator.word_head import HeadRates
from wordsight.words import SOURCES

#: The head gives a rate to each of its words for every image; below this they are left out, unless a sentence has the word.
MIN_HEAD_RATE = 0.005


@dataclass(frozen=True)
class SourcedRate:
    """A word's rate and where it comes from: ``source`` is one of ``SOURCES``."""

    rate: WordRate
    source: str


def check_source(words: str) -> None:
    """Raise ValueError unless ``words`` is one of ``SOURCES``."""
    if words not in SOURCES:
        raise ValueError(f"words is '{words}', wanted one of: {', '.join(SOURCES)}.")


def head_words(head: HeadRates, row: int) -> dict[str, WordRate]:
    """The word head's rates of one image with their 95% intervals; words below ``MIN_HEAD_RATE``, too."""
    rates, reach = head.rates[row].tolist(), head.reach[row].tolist()
    return {
        word: WordRate(0, rate, max(0.0, rate - r), min(1.0, rate + r))
        for word, rate, r in zip(head.vocabulary, rates, reach, strict=True)
    }


def join(sentences: WordRates, head: Mapping[str, WordRate] | None, words: str = "both") -> dict[str, SourcedRate]:
    """Each word's rate from ``words``: "sentences", "head", or "both".

    Of a word in the head's vocabulary, "both" is the mean of the two rates, with the 95% half-width of the mean of two
    independent numbers; other words have the sentences' rate. Without a head everything comes from the sentences. Raises
    ValueError for another ``words``.
    """
    check_source(words)
    if head is None or words == "sentences":
        return {word: SourcedRate(rate, "sentences") for word, rate in sentences.words.items()}
    frequent = {word: rate for word, rate in head.items() if rate.rate >= MIN_HEAD_RATE}
    if words == "head" or sentences.sentences == 0:
        return {word: SourcedRate(rate, "head") for word, rate in frequent.items()}
    unseen = WordRate(0, 0.0, *wilson(0.0, sentences.sentences, 1.96))
    joined = {}
    for word in [*sentences.words, *(word for word in frequent if word not in sentences.words)]:
        sampled = sentences.words.get(word, unseen)
        if word in head:
            joined[word] = SourcedRate(_mean(sampled, head[word]), "both")
        else:
            joined[word] = SourcedRate(sampled, "sentences")
    return joined


def _mean(sampled: WordRate, head: WordRate) -> WordRate:
    rate = (sampled.rate + head.rate) / 2
    below = hypot(sampled.rate - sampled.low, head.rate - head.low) / 2
    above = hypot(sampled.high - sampled.rate, head.high - head.rate) / 2
    return WordRate(sampled.count, rate, max(0.0, rate - below), min(1.0, rate + above))
