"""Labelled images with their features and sentences: what audits and mitigations start from."""

import os
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Int
from torch import Tensor

from wordsight.audits import SENTENCES
from wordsight.audits.compare import rates_of, usual_words
from wordsight.classifiers.imagenet import label_numbers
from wordsight.errors import LabelError
from wordsight.explain import Explainer
from wordsight.features.extraction import extract_stored
from wordsight.images.labelled import LabelledImages
from wordsight.sentences.sampling import Sampling
from wordsight.sentences.sampler import MEMORY, Sampled, image_seed
from wordsight.sentences.store import sample_stored
from wordsight.storage import cache_folder
from wordsight.tensors import Features

OnDone = Callable[[int, int], None]


@dataclass(frozen=True)
class Observations:
    """Labelled images that could be read: their features, labels as class numbers, and what was said about each."""

    images: LabelledImages
    names: list[str]
    label: Int[Tensor, " images"]
    z: Features
    sampled: list[Sampled]
    failures: dict[str, str]
    store: Path


def observe(
    images: LabelledImages,
    explainer: Explainer,
    *,
    sentences: int = SENTENCES,
    sampling: Sampling = Sampling(),  # noqa: B008 (frozen)
    memory: int = MEMORY,
    seed: int = 0,
    store: Path | None = None,
    on_images: OnDone = lambda done, total: None,
    on_sentences: OnDone = lambda done, total: None,
) -> Observations:
    """Features of labelled images and sentences for them, from the store as far as they are there (default: the cache's).

    Raises LabelError if a label is none of the classifier's classes or no image can be read.
    """
    classifier = explainer.classifier
    repeated = [name for name, times in Counter(classifier.labels).items() if times > 1]
    if repeated:
        raise LabelError(
            f"The classifier '{classifier.name}' has several classes predicted '{repeated[0]}', wanted a name of its own for "
            "each. Give it other labels."
        )
    label = label_numbers(images.labels, classifier.labels)
    store = store or cache_folder()
    found = extract_stored(classifier, images.paths, store / "features", on_images=on_images)
    if not found.kept:
        raise LabelError(
            f"None of the {len(images.paths)} images can be read; the first: {next(iter(found.failures.values()))}"
        )
    seen = images.take(found.kept)
    names = own_names(seen.paths)
    z = found.views.mean(1)
    sampled = sample_stored(
        explainer.lm,
        explainer.prefix(z),
        store / "sentences",
        sentences=sentences,
        sampling=sampling,
        seeds=[image_seed(seed, name) for name in names],
        memory=memory,
        on_images=on_sentences,
    )
    failures = {str(images.paths[i]): reason for i, reason in found.failures.items()}
    return Observations(seen, names, label[found.kept], z, sampled, failures, store)


def own_names(paths: Sequence[Path]) -> list[str]:
    """A name for each file: its own, or, where several files have the same, its path from the folder that holds all."""
    names = [path.name for path in paths]
    if len(set(names)) == len(names):
        return names
    root = os.path.commonpath([path.resolve() for path in paths])
    return [os.path.relpath(path.resolve(), root) for path in paths]


def rate_matrix(observed: Sequence[Sampled], *, least: int) -> tuple[tuple[str, ...], np.ndarray]:
    """Words that at least ``least`` images say in one sentence of ten, and each image's rate of each (images, words)."""
    words = [{word: rate.rate for word, rate in one.rates.words.items()} for one in observed]
    vocabulary = usual_words(words, least=least)
    return vocabulary, rates_of(words, vocabulary).astype(np.float32)
