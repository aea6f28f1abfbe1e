"""Join the two estimators of word rates: the sampled sentences and the word head."""

from collections.abc import Mapping
from dataclasses import dataclass
from math import exp, hypot, log

from wordsight.errors import TranslatorError
from wordsight.models import Models
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


def check_words(models: Models, words: str) -> None:
    """Raise ValueError unless ``words`` is one of ``SOURCES``, and TranslatorError for "head" if the translator has no word head."""
    check_source(words)
    if words == "head" and models.translator.words is None:
        raise TranslatorError(
            f"The translator for '{models.card.classifier}' has no word head, wanted one for words from the head. Take the words "
            "from sentences, or make the translator anew with 'wordsight train' or 'wordsight transfer'."
        )


def head_words(head: HeadRates, row: int) -> dict[str, WordRate]:
    """The word head's rates of one image with their 95% intervals; words below ``MIN_HEAD_RATE``, too."""
    rates, reach = head.rates[row].tolist(), head.reach[row].tolist()
    return {
        word: WordRate(0, rate, max(0.0, rate - r), min(1.0, rate + r))
        for word, rate, r in zip(head.vocabulary, rates, reach, strict=True)
    }


def join(sentences: WordRates, head: Mapping[str, WordRate] | None, words: str = "both") -> dict[str, SourcedRate]:
    """Each word's rate from ``words``: "sentences", "head", or "both".

    Of a word in the head's vocabulary, "both" is the mean of the two log-odds, with the 95% half-width of the mean of two
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
    """The mean of the two log-odds, which ranks words better than the mean of the rates; intervals likewise."""
    rate = (_logit(sampled.rate) + _logit(head.rate)) / 2
    below = hypot(_logit(sampled.rate) - _logit(sampled.low), _logit(head.rate) - _logit(head.low)) / 2
    above = hypot(_logit(sampled.high) - _logit(sampled.rate), _logit(head.high) - _logit(head.rate)) / 2
    return WordRate(sampled.count, *(1 / (1 + exp(-x)) for x in (rate, rate - below, rate + above)))


#: A rate that is taken for this one if it is less, so that one source alone cannot rule a word out.
_FLOOR = 0.002


def _logit(rate: float) -> float:
    rate = min(max(rate, _FLOOR), 1 - _FLOOR)
    return log(rate / (1 - rate))
