"""Words of the mean feature: the habits of the language model, of captions, or of both."""

import hashlib
import json
import logging
from dataclasses import asdict, replace
from functools import partial
from importlib.resources import files
from pathlib import Path

import torch

from wordsight.language.content import rules_fingerprint
from wordsight.models import Models
from wordsight.runtime import OnProgress, no_progress
from wordsight.sentences.estimates import WordRate, WordRates
from wordsight.sentences.sampler import ESTIMATOR, sample
from wordsight.sentences.sampling import Sampling
from wordsight.storage import cache_folder, read_stored, replacing, store_if_possible
from wordsight.words.joined import head_words, join

logger = logging.getLogger(__name__)

#: Sentences of the mean feature.
SENTENCES = 1000
#: The starter's, inside the package; benchmarks/train_starter.py makes it.
SHIPPED = "starter_baseline.json"


def baseline(models: Models, sampling: Sampling, words: str, *, on_progress: OnProgress = no_progress) -> WordRates:
    """Word rates of the mean feature, from the same source ``words`` as the images'."""
    mean: torch.Tensor = models.translator.mean[None]
    head = None if words == "sentences" else models.word_rates(mean)
    sentences = WordRates({}, 0) if words == "head" else _sentences_of_mean(models, sampling, on_progress)
    joined = join(sentences, None if head is None else head_words(head, 0), words)
    return WordRates({word: found.rate for word, found in joined.items()}, SENTENCES)


def _sentences_of_mean(models: Models, sampling: Sampling, on_progress: OnProgress) -> WordRates:
    """The word rates of many sentences of the mean feature. The starter's are shipped, others cached: they take a minute."""
    sampling = replace(sampling, sentences=SENTENCES, precision=None, seed=0)
    key = baseline_key(models, sampling)
    shipped = json.loads((files("wordsight") / SHIPPED).read_text(encoding="utf-8"))
    if shipped["key"] == key:
        return WordRates({word: WordRate(*rate) for word, rate in shipped["words"].items()}, SENTENCES)
    file = cache_folder() / "baseline" / f"{hashlib.sha256(f'{key} {models.lm.dtype}'.encode()).hexdigest()[:32]}.json"
    stored = read_stored(file, lambda file: _rates(json.loads(file.read_text(encoding="utf-8"))))
    if stored is not None:
        return stored
    found = sample_baseline(models, sampling, on_progress=on_progress)
    store_if_possible(file, lambda partial, rates: partial.write_text(json.dumps(asdict(rates)), encoding="utf-8"), found)
    return found


def baseline_key(models: Models, sampling: Sampling) -> str:
    """SHA-256 of everything that decides these rates but the weights' precision, which moves them by less than chance does."""
    about = f"{models.fingerprint} {models.lm.fingerprint} {sampling} {rules_fingerprint()} {ESTIMATOR} rates"
    return hashlib.sha256(about.encode()).hexdigest()


def sample_baseline(models: Models, sampling: Sampling, *, on_progress: OnProgress = no_progress) -> WordRates:
    """Word rates of the mean feature, sampled."""
    mean: torch.Tensor = models.translator.mean[None]
    (found,) = sample(
        models.lm,
        models.prefix(mean),
        sampling,
        seeds=[sampling.seed],
        memory=models.memory,
        on_sentences=partial(on_progress, "sentences of the mean feature"),
    )
    return found.rates


def write_shipped(models: Models, path: Path) -> None:
    """Write the file ``SHIPPED`` for these models and the default sampling."""
    sampling = Sampling(sentences=SENTENCES)
    found = sample_baseline(models, sampling).words
    words = {word: [r.count, *(round(end, 6) for end in (r.rate, r.low, r.high))] for word, r in found.items()}
    lines = ",\n".join(f"{json.dumps(word)}: {json.dumps(rate)}" for word, rate in words.items())
    with replacing(path) as partial:
        partial.write_text(f'{{"key": "{baseline_key(models, sampling)}", "words": {{\n{lines}\n}}}}\n', encoding="utf-8")


def _rates(stored: dict) -> WordRates:
    return WordRates({word: WordRate(**rate) for word, rate in stored["words"].items()}, stored["sentences"])
