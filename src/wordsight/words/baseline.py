"""Words of the mean feature: the habits of the language model, of captions, or of both."""

import hashlib
import json
import logging
from dataclasses import asdict, replace

import torch

from wordsight.language.content import rules_fingerprint
from wordsight.models import Models
from wordsight.sentences.estimates import WordRate, WordRates
from wordsight.sentences.sampler import ESTIMATOR, sample
from wordsight.sentences.sampling import Sampling
from wordsight.storage import cache_folder, read_stored, store_if_possible
from wordsight.words.joined import head_words, join

logger = logging.getLogger(__name__)

#: Sentences of the mean feature.
SENTENCES = 1000


def baseline(models: Models, sampling: Sampling, words: str) -> WordRates:
    """Word rates of the mean feature, from the same source ``words`` as the images'."""
    mean: torch.Tensor = models.translator.mean[None]
    head = None if words == "sentences" else models.word_rates(mean)
    sentences = WordRates({}, 0) if words == "head" else _sentences_of_mean(models, sampling)
    joined = join(sentences, None if head is None else head_words(head, 0), words)
    return WordRates({word: found.rate for word, found in joined.items()}, SENTENCES)


def _sentences_of_mean(models: Models, sampling: Sampling) -> WordRates:
    """The word rates of many sentences of the mean feature. Cached."""
    sampling = replace(sampling, sentences=SENTENCES, precision=None, seed=0)
    about = f"{models.fingerprint} {models.lm.fingerprint} {models.lm.dtype} {sampling} {rules_fingerprint()} {ESTIMATOR} rates"
    file = cache_folder() / "baseline" / f"{hashlib.sha256(about.encode()).hexdigest()[:32]}.json"
    stored = read_stored(file, lambda file: _rates(json.loads(file.read_text(encoding="utf-8"))))
    if stored is not None:
        return stored
    mean: torch.Tensor = models.translator.mean[None]
    found = sample(models.lm, models.prefix(mean), sampling, seeds=[0], memory=models.memory)[0].rates
    store_if_possible(file, lambda partial, rates: partial.write_text(json.dumps(asdict(rates)), encoding="utf-8"), found)
    return found


def _rates(stored: dict) -> WordRates:
    return WordRates({word: WordRate(**rate) for word, rate in stored["words"].items()}, stored["sentences"])
