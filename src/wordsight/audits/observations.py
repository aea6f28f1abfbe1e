"""Labelled images with their features and sentences: the input of audits and mitigations."""

import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from jaxtyping import Int
from torch import Tensor

from wordsight.audits.compare import rates_of, usual_words
from wordsight.audits.duplicates import fold
from wordsight.classifiers.imagenet import label_numbers
from wordsight.engines import LOCAL, Engine
from wordsight.errors import LabelError
from wordsight.features.extraction import extract_stored
from wordsight.images.labelled import LabelledImages
from wordsight.models import Models
from wordsight.runtime import OnProgress, no_progress
from wordsight.sentences.sampler import Sampled, image_seed
from wordsight.sentences.sampling import Sampling
from wordsight.sentences.store import sample_stored
from wordsight.storage import cache_folder
from wordsight.tensors import Features


@dataclass(frozen=True)
class Observations:
    """The labelled images that could be read, in one order, with what audits and mitigations need of them.

    ``names``: a name of its own for each image. ``label``: the class's number. ``z``: features. ``sampled``: sentences and word
    rates. ``failures``: the other images' paths, with reasons. ``store``: the folder of features, sentences and gradients. ``copies``:
    images that were left out because they are identical or nearly identical to another one.
    """

    images: LabelledImages
    names: list[str]
    label: Int[Tensor, " images"]
    z: Features
    sampled: list[Sampled]
    failures: dict[str, str]
    store: Path
    copies: int = 0


def observe(
    images: LabelledImages,
    models: Models,
    sampling: Sampling,
    *,
    store: Path | None = None,
    fold_copies: bool = False,
    engine: Engine = LOCAL,
    on_progress: OnProgress = no_progress,
) -> Observations:
    """Features of labelled images and sentences for them; what is in the ``store`` (default: the cache) is read from there.

    ``engine``: where features and sentences are made. ``fold_copies``: identical and near-identical images count once (see
    ``duplicates.fold``). ``on_progress`` gets the stages "features" and "sentences". Raises LabelError if two classes have the
    same name, a label is none of the classifier's classes, or no image can be read.
    """
    classifier = models.classifier
    repeated = [name for name, times in Counter(classifier.labels).items() if times > 1]
    if repeated:
        raise LabelError(
            f"The classifier '{classifier.name}' has several classes named '{repeated[0]}', wanted a different name for each. "
            "Give it other labels."
        )
    label = label_numbers(images.labels, classifier.labels)
    store = store or cache_folder()
    extracted = extract_stored(
        classifier, images.paths, store / "features", engine=engine, on_images=partial(on_progress, "features")
    )
    if not extracted.readable:
        raise LabelError(
            f"None of the {len(images.paths)} images can be read; the first: {next(iter(extracted.failures.values()))}"
        )
    z, rows, digests = extracted.views.mean(1), extracted.readable, extracted.digests
    if fold_copies:
        counts = fold(z.numpy(), digests).tolist()
        z, rows, digests = z[counts], [rows[i] for i in counts], [digests[i] for i in counts]
    readable = images.take(rows)
    names = own_names(readable.paths)
    seeds = [image_seed(sampling.seed, digest) for digest in digests]
    sampled = []
    for start in range(0, len(z), _PREFIXES):

        def on_images(done: int, _: int, *, start: int = start) -> None:
            on_progress("sentences", start + done, len(z))

        part = slice(start, start + _PREFIXES)
        sampled += sample_stored(
            models.lm,
            models.prefix(z[part]),
            store / "sentences",
            sampling,
            seeds=seeds[part],
            memory=models.memory,
            engine=engine,
            on_images=on_images,
        )
    failures = {str(images.paths[i]): reason for i, reason in extracted.failures.items()}
    return Observations(readable, names, label[rows], z, sampled, failures, store, len(extracted.readable) - len(rows))


#: Images whose prefixes are in memory at a time: some 300 MiB.
_PREFIXES = 16_384


def own_names(paths: Sequence[Path]) -> list[str]:
    """A name for each file: its own, or, if two files share a name, the path of each from the folder that contains all."""
    names = [path.name for path in paths]
    if len(set(names)) == len(names):
        return names
    root = os.path.commonpath([path.resolve() for path in paths])
    return [os.path.relpath(path.resolve(), root) for path in paths]


def rate_matrix(sampled: Sequence[Sampled], *, min_images: int) -> tuple[tuple[str, ...], np.ndarray]:
    """Words with a rate of 0.1 or more in ``min_images`` images, and each image's rate of each (images, words)."""
    words = [{word: rate.rate for word, rate in image.rates.words.items()} for image in sampled]
    vocabulary = usual_words(words, min_images=min_images)
    return vocabulary, rates_of(words, vocabulary).astype(np.float32)
