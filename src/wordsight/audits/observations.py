"""Labelled images with their features and sentences: the input of audits and mitigations."""

import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

import numpy as np
from jaxtyping import Float, Int
from scipy.sparse import csc_array
from torch import Tensor

from wordsight.audits.compare import rates_of, usual_words
from wordsight.audits.duplicates import fold
from wordsight.audits.evidence import ScoresOf
from wordsight.classifiers.imagenet import label_numbers, unknown_labels
from wordsight.engines import LOCAL, Engine
from wordsight.errors import LabelError
from wordsight.features.extraction import extract_stored
from wordsight.images.labelled import LabelledImages
from wordsight.images.readable import without_unreadable
from wordsight.models import Models
from wordsight.runtime import OnProgress, no_progress
from wordsight.sentences.sampler import NO_SENTENCES, Sampled, image_seed
from wordsight.sentences.sampling import Sampling
from wordsight.sentences.store import sample_stored
from wordsight.storage import cache_folder
from wordsight.tensors import Features
from wordsight.translator.word_head import HeadRates
from wordsight.words.joined import MIN_HEAD_RATE, check_words, head_words, join


@dataclass(frozen=True)
class Observations:
    """The labelled images that could be read, in one order, with what audits and mitigations need of them.

    ``names``: a name of its own for each image. ``label``: the class's number. ``z``: features. ``sampled``: sentences and their word
    rates, empty where none are sampled. ``failures``: the other images' paths or rows, with reasons. ``store``: the folder of
    features, sentences and gradients. ``copies``: images that were left out because they are identical or nearly identical to
    another one. ``digests``: the SHA-256 of each image's file. ``head``: the word head's rates, None without one. ``source``: where
    word rates come from, one of ``words.SOURCES``.
    """

    images: LabelledImages
    names: list[str]
    label: Int[Tensor, " images"]
    z: Features
    sampled: list[Sampled]
    failures: dict[str, str]
    store: Path
    copies: int = 0
    digests: list[str] = field(default_factory=list)
    head: HeadRates | None = None
    source: str = "sentences"

    def words(self) -> list[dict[str, float]]:
        """Each image's rate of each of its words, in [0, 1], the most frequent first; from the head those above half a percent."""
        if self.source == "head":
            assert self.head is not None
            return [_frequent(self.head.vocabulary, rates) for rates in self.head.rates.numpy()]
        joined = []
        for row, sampled in enumerate(self.sampled):
            own = join(sampled.rates, None if self.head is None else head_words(self.head, row), self.source)
            joined.append(dict(sorted(((word, found.rate.rate) for word, found in own.items()), key=lambda item: -item[1])))
        return joined


def _frequent(vocabulary: Sequence[str], rates: Float[np.ndarray, " words"]) -> dict[str, float]:
    order = np.argsort(-rates, kind="stable")
    order = order[: int((rates >= MIN_HEAD_RATE).sum())]
    return {vocabulary[int(i)]: float(rates[i]) for i in order}


def observe(
    images: LabelledImages,
    models: Models,
    sampling: Sampling,
    *,
    store: Path | None = None,
    words: str | None = "sentences",
    fold_copies: bool = False,
    engine: Engine = LOCAL,
    on_progress: OnProgress = no_progress,
) -> Observations:
    """Features of labelled images and their words; what is in the ``store`` (default: the cache) is read from there.

    ``words``: where word rates come from, one of ``words.SOURCES``; None for the word head if the translator has one, else
    sentences. With "head" no sentences are sampled (see ``with_sentences``). A class that the classifier lacks and of which no image
    can be read is left out and named, as ``train_head`` does. ``engine``: where features and sentences are made.
    ``fold_copies``: identical and near-identical images count once (see ``duplicates.fold``). ``on_progress`` gets the stages
    "features" and "sentences". Raises LabelError if two classes have the same name, a label is none of the classifier's classes,
    or no image can be read; TranslatorError for "head" if the translator has no word head.
    """
    source = _source(models, words)
    classifier = models.classifier
    repeated = [name for name, times in Counter(classifier.labels).items() if times > 1]
    if repeated:
        raise LabelError(
            f"The classifier '{classifier.name}' has several classes named '{repeated[0]}', wanted a different name for each. "
            "Give it other labels."
        )
    images = without_unreadable(images, unknown_labels(images.labels, classifier.labels))
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
    failures = images.left_out | {str(images.paths[i]): reason for i, reason in extracted.failures.items()}
    observed = Observations(
        readable,
        names,
        label[rows],
        z,
        [NO_SENTENCES] * len(rows),
        failures,
        store,
        copies=len(extracted.readable) - len(rows),
        digests=digests,
        head=models.word_rates(z),
        source=source,
    )
    if source == "head":
        return observed
    return with_sentences(observed, range(len(rows)), models, sampling, engine=engine, on_progress=on_progress)


def with_sentences(
    observed: Observations,
    rows: Sequence[int],
    models: Models,
    sampling: Sampling,
    *,
    engine: Engine = LOCAL,
    on_progress: OnProgress = no_progress,
) -> Observations:
    """The same with sentences for these images, by number; those that were sampled before are read from the store."""
    rows = list(rows)
    sampled = list(observed.sampled)
    for start in range(0, len(rows), _PREFIXES):

        def on_images(done: int, _: int, *, start: int = start) -> None:
            on_progress("sentences", start + done, len(rows))

        part = rows[start : start + _PREFIXES]
        made = sample_stored(
            models.lm,
            models.prefix(observed.z[part]),
            observed.store / "sentences",
            sampling,
            seeds=[image_seed(sampling.seed, observed.digests[row]) for row in part],
            memory=models.memory,
            engine=engine,
            on_images=on_images,
        )
        for row, found in zip(part, made, strict=True):
            sampled[row] = found
    return replace(observed, sampled=sampled)


def _source(models: Models, words: str | None) -> str:
    if words is None:
        return "sentences" if models.translator.words is None else "head"
    check_words(models, words)
    return words


#: Images whose prefixes are in memory at a time: some 300 MiB.
_PREFIXES = 16_384


def own_names(paths: Sequence[Path]) -> list[str]:
    """A name for each file: its own, or, if two files share a name, the path of each from the folder that contains all."""
    names = [path.name for path in paths]
    if len(set(names)) == len(names):
        return names
    root = os.path.commonpath([path.resolve() for path in paths])
    return [os.path.relpath(path.resolve(), root) for path in paths]


def rate_matrix(words: Sequence[Mapping[str, float]], *, min_images: int) -> tuple[tuple[str, ...], csc_array]:
    """Words with a rate of 0.1 or more in ``min_images`` images, and each image's rate of each (images x words, in single precision).

    ``words``: each image's rates.
    """
    vocabulary = usual_words(words, min_images=min_images)
    return vocabulary, csc_array(rates_of(words, vocabulary), dtype=np.float32)


#: Rates nearer to 0 or 1 than this are alike.
_EDGE = 1e-6


def head_scores(observed: Observations, vocabulary: Sequence[str]) -> ScoresOf | None:
    """The log-odds of the word head's rates, which do not saturate; NaN for words that it does not have, None without a head."""
    head = observed.head
    if head is None:
        return None
    number = {word: i for i, word in enumerate(head.vocabulary)}
    column = np.array([number.get(word, -1) for word in vocabulary], dtype=int)

    def scores(words: Int[np.ndarray, " words"]) -> Float[np.ndarray, "images words"]:
        rates = head.rates[:, column[words]].double().numpy().clip(_EDGE, 1 - _EDGE)
        return np.where(column[words] >= 0, np.log(rates / (1 - rates)), np.nan)

    return scores
