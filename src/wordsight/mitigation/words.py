"""The images of a mitigation with the rates of its word: from the word head in milliseconds, or from sampled sentences."""

import difflib
from collections import Counter
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from wordsight.audits.evidence import presence_level
from wordsight.audits.observations import Observations, own_names
from wordsight.classifiers.imagenet import label_numbers
from wordsight.errors import LabelError, TranslatorError, WordsightError
from wordsight.features.extraction import extract_stored
from wordsight.images.labelled import LabelledImages
from wordsight.models import Models
from wordsight.runtime import OnProgress
from wordsight.sentences.estimates import WordRate, WordRates
from wordsight.sentences.sampler import Sampled, image_seed
from wordsight.sentences.sampling import Sampling
from wordsight.sentences.store import sample_stored
from wordsight.storage import cache_folder
from wordsight.words.joined import check_source, join


@dataclass(frozen=True)
class Gathered:
    """The images that could be read, with the SHA-256 of each file. Their ``sampled`` is empty where none are wanted."""

    observed: Observations
    digests: list[str]


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


def gather(
    images: LabelledImages,
    models: Models,
    sampling: Sampling | None,
    *,
    store: Path | None = None,
    on_progress: OnProgress,
) -> Gathered:
    """Features of labelled images, and sentences where ``sampling`` says how; what is in the ``store`` is read from there.

    Raises LabelError if a label is none of the classifier's classes, or no image can be read.
    """
    classifier = models.classifier
    label = label_numbers(images.labels, classifier.labels)
    store = store or cache_folder()
    extracted = extract_stored(classifier, images.paths, store / "features", on_images=partial(on_progress, "features"))
    if not extracted.readable:
        raise LabelError(
            f"None of the {len(images.paths)} images can be read; the first: {next(iter(extracted.failures.values()))}"
        )
    z, readable = extracted.views.mean(1), images.take(extracted.readable)
    sampled = [Sampled(Counter(), WordRates({}, 0))] * len(z)
    if sampling is not None:
        sampled = sample_stored(
            models.lm,
            models.prefix(z),
            store / "sentences",
            sampling,
            seeds=[image_seed(sampling.seed, digest) for digest in extracted.digests],
            memory=models.memory,
            on_images=partial(on_progress, "sentences"),
        )
    failures = {str(images.paths[i]): reason for i, reason in extracted.failures.items()}
    names = own_names(readable.paths)
    observed = Observations(readable, names, label[extracted.readable], z, sampled, failures, store)
    return Gathered(observed, extracted.digests)


def word_rates(
    models: Models, observed: Observations, word: str, source: str
) -> tuple[Float[np.ndarray, " images"], Bool[Tensor, " images"]]:
    """The word's rate in each image, in [0, 1], and whether it is present there.

    ``source``: as ``source_of`` gives it. Raises WordsightError for a word that no image or every image has.
    """
    head, rates = models.word_rates(observed.z) if source != "sentences" else None, None
    if head is not None and word in head.vocabulary:
        rates = head.rates[:, head.vocabulary.index(word)].double().cpu().numpy()
    if source != "head":
        rates = np.array([_rate(s, word, None if rates is None else rates[i], source) for i, s in enumerate(observed.sampled)])
    assert rates is not None
    present = torch.from_numpy(rates >= presence_level(rates[:, None])[0])
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
