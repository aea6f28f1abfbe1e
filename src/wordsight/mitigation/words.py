"""The rates of a mitigation's word: from the word head in milliseconds, or from sampled sentences."""

import difflib

import numpy as np
import torch
from jaxtyping import Bool, Float
from scipy.sparse import csc_array
from torch import Tensor

from wordsight.audits.evidence import presence_level
from wordsight.audits.observations import Observations
from wordsight.errors import TranslatorError, WordsightError
from wordsight.models import Models
from wordsight.sentences.estimates import WordRate, WordRates
from wordsight.sentences.sampler import Sampled
from wordsight.words.joined import check_source, join


def source_of(models: Models, word: str, words: str | None) -> str:
    """Where the word's rates come from, one of ``words.SOURCES``; for None the word head if it has the word, else sentences.

    Raises ValueError for an unknown source, and TranslatorError for "head" without a word head or with a word that it lacks.
    """
    head = models.translator.words
    if words is None:
        return "head" if head is not None and word in head.vocabulary else "sentences"
    check_source(words)
    if words == "head" and (head is None or word not in head.vocabulary):
        known = () if head is None else head.vocabulary
        near = difflib.get_close_matches(word, known, n=1)
        meant = f" Did you mean '{near[0]}'?" if near else ""
        raise TranslatorError(
            f"'{word}' came for the word head, which knows {len(known)} words and not this one.{meant} Take it from sentences "
            "(--words sentences), or name another word."
        )
    return words


def word_rates(observed: Observations, word: str) -> tuple[Float[np.ndarray, " images"], Bool[Tensor, " images"]]:
    """The word's rate in each image, in [0, 1], and whether it is present there.

    They come from ``observed.source``. Raises WordsightError for a word that no image or every image has.
    """
    source, rates = observed.source, None
    head = observed.head if source != "sentences" else None
    if head is not None and word in head.vocabulary:
        rates = head.rates[:, head.vocabulary.index(word)].double().numpy()
    if source != "head":
        rates = np.array([_rate(s, word, None if rates is None else rates[i], source) for i, s in enumerate(observed.sampled)])
    assert rates is not None
    present = torch.from_numpy(rates >= presence_level(csc_array(rates[:, None]))[0])
    if not present.any() or present.all():
        raise WordsightError(
            f"{int(present.sum())} of {len(present)} images have '{word}'; wanted images with the word and images without it. "
            "Name a word as the audit's words.csv lists it."
        )
    return rates, present


def _rate(sampled: Sampled, word: str, head: float | None, source: str) -> float:
    own = {found: rate for found, rate in sampled.rates.words.items() if found == word}
    known = None if head is None else {word: WordRate(0, head, head, head)}
    joined = join(WordRates(own, sampled.rates.sentences), known, source)
    return joined[word].rate.rate if word in joined else 0.0
