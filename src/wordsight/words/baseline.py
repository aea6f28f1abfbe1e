"""Words of the mean feature: the habits of the language model, of captions, or of both."""

import hashlib
import json
import logging
from dataclasses import asdict, replace
from importlib.resources import as_file, files
from pathlib import Path

import torch

from wordsight.language.content import rules_fingerprint
from wordsight.models import Models
from wordsight.sentences.estimates import WordRate, WordRates
from wordsight.sentences.sampler import ESTIMATOR, sample
from wordsight.sentences.sampling import Sampling
from wordsight.storage import cache_folder, read_stored, replacing
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


def baseline_name(translator: str, lm: str, dtype: torch.dtype, sampling: Sampling) -> str:
    """The name of the file that holds these sentences' rates; ``translator`` and ``lm`` are fingerprints."""
    about = f"{translator} {lm} {dtype} {_of_mean(sampling)} {rules_fingerprint()} {ESTIMATOR} rates"
    return f"{hashlib.sha256(about.encode()).hexdigest()[:32]}.json"


def sample_baseline(models: Models, sampling: Sampling) -> WordRates:
    """The word rates of many sentences of the mean feature, sampled now."""
    mean: torch.Tensor = models.translator.mean[None]
    return sample(models.lm, models.prefix(mean), _of_mean(sampling), seeds=[0], memory=models.memory)[0].rates


def write_baseline(file: Path, rates: WordRates) -> None:
    """Write rates as ``baseline`` reads them."""
    with replacing(file) as partial:
        partial.write_text(json.dumps(asdict(rates)), encoding="utf-8")


def _of_mean(sampling: Sampling) -> Sampling:
    return replace(sampling, sentences=SENTENCES, precision=None, seed=0)


def _sentences_of_mean(models: Models, sampling: Sampling) -> WordRates:
    """From the files inside the package (the starter's, with the usual sampling), from the cache, or sampled and cached."""
    name = baseline_name(models.fingerprint, models.lm.fingerprint, models.lm.dtype, sampling)
    with as_file(files("wordsight.words").joinpath("baselines", name)) as shipped:
        if shipped.exists():
            return _read(shipped)
    file = cache_folder() / "baseline" / name
    stored = read_stored(file, _read)
    if stored is not None:
        return stored
    found = sample_baseline(models, sampling)
    try:
        write_baseline(file, found)
    except OSError as error:  # a full or read-only cache costs time, not the result
        logger.warning("the baseline cannot be written to %s (%s): it will be sampled again", file, error)
    return found


def _read(file: Path) -> WordRates:
    stored = json.loads(file.read_text(encoding="utf-8"))
    return WordRates({word: WordRate(**rate) for word, rate in stored["words"].items()}, stored["sentences"])
