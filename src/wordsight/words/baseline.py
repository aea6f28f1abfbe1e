"""Words of usual features: the habits of the language model, of captions, or of both."""

import hashlib
import json
import logging
from dataclasses import asdict, replace
from functools import partial
from importlib.resources import files
from math import ceil
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor

from wordsight.language.content import rules_fingerprint
from wordsight.models import Models
from wordsight.runtime import OnProgress, no_progress
from wordsight.sentences.estimates import WordRate, WordRates
from wordsight.sentences.sampler import ESTIMATOR, sample
from wordsight.sentences.sampling import Sampling
from wordsight.storage import cache_folder, read_stored, replacing, store_if_possible
from wordsight.tensors import Features
from wordsight.translator.word_head import HeadRates
from wordsight.words.joined import head_words, join

logger = logging.getLogger(__name__)

#: Sentences of all usual features together.
SENTENCES = 1000
#: The starter's, inside the package; benchmarks/train_starter.py makes it.
SHIPPED = "starter_baseline.json"


def baseline(models: Models, sampling: Sampling, words: str, *, on_progress: OnProgress = no_progress) -> WordRates:
    """Mean word rates of usual features (``Translator.reference``), from the same source ``words`` as the images'.

    Their 95% intervals are those of a mean over images. With a translator file that has no usual features: of the mean feature.
    """
    head = None if words == "sentences" else _head_at_reference(models)
    sentences = WordRates({}, 0) if words == "head" else _sentences_at_reference(models, sampling, on_progress)
    joined = join(sentences, head, words)
    return WordRates({word: found.rate for word, found in joined.items()}, SENTENCES)


def reference(models: Models) -> Features:
    """The translator's usual features, or the mean feature."""
    translator = models.translator
    return translator.reference if len(translator.reference) else translator.mean[None]


def mean_over_images(rates: Float[Tensor, "images words"]) -> tuple[Float[Tensor, " words"], Float[Tensor, " words"]]:
    """The mean of each word's rates over two images or more, and the half-width of its 95% interval."""
    return rates.mean(0), 1.96 * rates.std(0) / len(rates) ** 0.5


def _head_at_reference(models: Models) -> dict[str, WordRate] | None:
    found = models.word_rates(reference(models))
    if found is None or len(found.rates) == 1:
        return found and head_words(found, 0)
    mean, reach = mean_over_images(found.rates)
    return head_words(HeadRates(found.vocabulary, mean[None], reach[None]), 0)


def _sentences_at_reference(models: Models, sampling: Sampling, on_progress: OnProgress) -> WordRates:
    """The word rates of many sentences of usual features. The starter's are shipped, others cached: they take a minute."""
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
    about = f"{models.fingerprint} {models.lm.fingerprint} {sampling} {rules_fingerprint()} {ESTIMATOR} usual"
    return hashlib.sha256(about.encode() + reference(models).half().cpu().numpy().tobytes()).hexdigest()


def sample_baseline(models: Models, sampling: Sampling, *, on_progress: OnProgress = no_progress) -> WordRates:
    """Mean word rates of usual features, from ``sampling.sentences`` sentences of all together, sampled."""
    z = reference(models)
    found = sample(
        models.lm,
        models.prefix(z),
        replace(sampling, sentences=ceil(sampling.sentences / len(z))),
        seeds=range(sampling.seed, sampling.seed + len(z)),
        memory=models.memory,
        on_sentences=partial(on_progress, "sentences of usual features"),
    )
    if len(z) == 1:
        return found[0].rates
    words = sorted({word for image in found for word in image.rates.words})
    rates = torch.tensor([[getattr(image.rates.words.get(word), "rate", 0.0) for word in words] for image in found])
    counts = [sum(image.rates.words[word].count for image in found if word in image.rates.words) for word in words]
    means = zip(words, counts, *(x.tolist() for x in mean_over_images(rates)), strict=True)
    return WordRates({w: WordRate(n, m, max(0.0, m - r), min(1.0, m + r)) for w, n, m, r in means}, sampling.sentences)


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
