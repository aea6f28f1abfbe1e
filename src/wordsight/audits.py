"""Audit labelled images: what does a classifier go by, and where does that lead it wrong?"""

import json
import logging
import os
import random
from collections import Counter
from collections.abc import Callable, Sequence, Set
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from wordsight.audit import SENTENCES
from wordsight.audit.compare import rates_of, usual_words
from wordsight.audit.explained import Explained, explained
from wordsight.audit.findings import Evidence, Limits, class_words, findings
from wordsight.audit.kinds import class_itself
from wordsight.audit.result import Audit, AuditedImage
from wordsight.audit.statistics import Estimate, mean_estimate
from wordsight.audit.used import cosines, logit_gradients, sentence_gradients_stored, word_gradients
from wordsight.class_maps import class_places
from wordsight.errors import LabelError, WordsightError
from wordsight.explain import Explainer, image_seed
from wordsight.features.classifier import Classifier
from wordsight.features.coarse import NINE, coarse, read_class_map
from wordsight.features.extraction import extract_stored
from wordsight.fetch import cache_folder
from wordsight.files import replacing
from wordsight.images.labelled import LabelledImages
from wordsight.locating import locate
from wordsight.report.html import render_report
from wordsight.sentences.consensus import consensus
from wordsight.sentences.nucleus import Sampling
from wordsight.sentences.sampler import MEMORY, Sampled
from wordsight.sentences.store import sample_stored
from wordsight.tensors import Features
from wordsight.translator.classes import imagenet_classes
from wordsight.words.content import content_words

logger = logging.getLogger(__name__)

#: Images for each class, and sentences an image, that gradients are taken of.
GRADIENT_IMAGES, GRADIENT_SENTENCES = 64, 16
#: The first findings get heat maps, on this many images of each kind.
_MAPPED_FINDINGS, _MAPPED_IMAGES = 6, 6

OnDone = Callable[[int, int], None]


@dataclass(frozen=True)
class Said:
    """Labelled images that could be read: their features, labels as class numbers, and what was said about each."""

    images: LabelledImages
    names: list[str]
    label: Int[Tensor, " images"]
    z: Features
    sampled: list[Sampled]
    failures: dict[str, str]
    store: Path


def say(
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
) -> Said:
    """Features of labelled images and sentences for them, from the store as far as they are there (default: the cache's).

    Raises LabelError if a label is none of the classifier's classes or no image can be read.
    """
    classifier = explainer.classifier
    repeated = [name for name, times in Counter(classifier.labels).items() if times > 1]
    if repeated:
        raise LabelError(
            f"The classifier '{classifier.name}' has several classes called '{repeated[0]}', wanted a name of its own for "
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
    return Said(seen, names, label[found.kept], z, sampled, failures, store)


def own_names(paths: Sequence[Path]) -> list[str]:
    """A name for each file: its own, or, where several files have the same, its path from the folder that holds all."""
    names = [path.name for path in paths]
    if len(set(names)) == len(names):
        return names
    root = os.path.commonpath([path.resolve() for path in paths])
    return [os.path.relpath(path.resolve(), root) for path in paths]


def audit_images(
    images: LabelledImages,
    explainer: Explainer,
    *,
    sentences: int = SENTENCES,
    sampling: Sampling = Sampling(),  # noqa: B008 (frozen)
    limits: Limits = Limits(),  # noqa: B008 (frozen)
    apart: Sequence[str] = (),
    memory: int = MEMORY,
    seed: int = 0,
    store: Path | None = None,
    on_images: OnDone = lambda done, total: None,
    on_sentences: OnDone = lambda done, total: None,
    on_maps: OnDone = lambda done, total: None,
) -> Audit:
    """Audit a classifier on labelled images; labels are the classifier's own, or ImageNet synsets for its 1,000 classes.

    ``sentences`` an image are sampled; ``apart`` are words that are no finding for any class, on top of each class's own name
    and kinds. Features, sentences and gradients are stored: a second audit with other limits takes seconds, an interrupted
    one goes on. Errors are those of ``say``.
    """
    said = say(
        images,
        explainer,
        sentences=sentences,
        sampling=sampling,
        memory=memory,
        seed=seed,
        store=store,
        on_images=on_images,
        on_sentences=on_sentences,
    )
    classifier = explainer.classifier
    logits = classifier.logits(said.z)
    vocabulary, rates = rate_matrix(said.sampled, least=limits.images)
    evidence = Evidence(vocabulary, rates, said.label.numpy(), logits.double().numpy(), tuple(classifier.labels))
    set_apart = {word for given in apart for word in content_words(given)}
    own = [class_itself(name) for name in classifier.labels]
    words = class_words(evidence, Uses(explainer, said, evidence, seed=seed), own, limits, apart=set_apart)
    if not words:
        called = np.bincount(evidence.called, minlength=len(classifier.labels))
        raise LabelError(
            f"There is nothing to compare: {len(said.label)} images of {len(set(said.label.tolist()))} labels are called "
            f"{int((called > 0).sum())} classes, {int(called.max())} images the most frequent, and {len(vocabulary)} words are "
            f"said. Wanted two labels or more, a class that at least {limits.images} images are called and {limits.images} are "
            f"not, and a word that {limits.images} images say and {limits.images} do not. Give more images."
        )
    settings: dict[str, object] = {
        "classifier": classifier.name,
        "classifier_fingerprint": classifier.fingerprint[:12],
        "language_model": explainer.lm.name,
        "translator": explainer.fingerprint[:12],
        "translator_figures": explainer.card.figures,
        "sentences": sentences,
        "sampling": asdict(sampling),
        "limits": asdict(limits),
        "apart": sorted(set_apart),
        "seed": seed,
    }
    audited = _audited(said, logits, classifier.labels)
    found = Audit(list(classifier.labels), audited, words, findings(evidence, words), said.failures, settings)
    labels = {word.label for word in words}
    return replace(
        found,
        heat_maps=_heat_maps(found, said, explainer, seed=seed, on_maps=on_maps),
        places=class_places(classifier, labels, said.images.paths, evidence.called, said.store / "places", seed=seed),
        explained=_explained(evidence, labels),
    )


def _explained(evidence: Evidence, labels: Set[str]) -> list[Explained]:
    classes = [c for c, label in enumerate(evidence.classes) if label in labels]
    with np.errstate(invalid="ignore"):  # a classifier may rule classes out with minus infinity
        against_all = evidence.logits - evidence.logits.mean(1, keepdims=True)  # what all logits share changes no decision
    called = np.bincount(evidence.called, minlength=len(evidence.classes))
    return explained(evidence.rates, against_all[:, classes], [evidence.classes[c] for c in classes], called[classes])


def _heat_maps(
    audit: Audit, said: Said, explainer: Explainer, *, seed: int, on_maps: OnDone
) -> dict[tuple[str, str], np.ndarray]:
    """Heat maps of the findings' words on their example images, as far as some of an image's sentences say them."""
    if explainer.classifier.locate is None:
        return {}
    row_of = {image.image: row for row, image in enumerate(audit.images)}
    wanted = [
        (row_of[image.image], finding.about.word)
        for finding in audit.findings[:_MAPPED_FINDINGS]
        for some in audit.example_images(finding, most=_MAPPED_IMAGES).values()
        for image in some
        if image.words.get(finding.about.word, 0) > 0
    ]
    rows = sorted({row for row, _ in wanted})
    gradients = gradients_at(rows, said, explainer, seed=seed)
    by_row = dict(zip(rows, gradients, strict=True))
    maps = {}
    for done, (row, word) in enumerate(wanted, start=1):
        path = said.images.paths[row]
        if word in by_row[row]:
            try:
                maps[said.names[row], word] = locate(explainer.classifier, path, by_row[row][word], square=True, side=14)
            except WordsightError as error:  # no places in the classifier, a file gone: the findings stand without maps
                logger.warning("No heat map of '%s' on %s: %s", word, path, error)
        on_maps(done, len(wanted))
    return maps


def _audited(said: Said, logits: Tensor, labels: Sequence[str]) -> list[AuditedImage]:
    probability, called = logits.softmax(1).max(1)
    groups, splits = said.images.groups, said.images.splits
    return [
        AuditedImage(
            image=name,
            path=path,
            label=labels[int(said.label[i])],
            called=labels[int(called[i])],
            probability=round(float(probability[i]), 4),
            words={w: round(r.rate, 4) for w, r in sorted(one.rates.words.items(), key=lambda item: -item[1].rate)},
            sentence=next(iter(consensus(one.sentences, most=1)), ""),
            group=None if groups is None else groups[i],
            split=None if splits is None else splits[i],
        )
        for i, (name, path, one) in enumerate(zip(said.names, said.images.paths, said.sampled, strict=True))
    ]


class Uses:
    """How much a class's logit uses words, asked class by class (``findings.UsedOf``).

    The gradients are taken at the ``GRADIENT_IMAGES`` images that tell most about the words, whatever they are called. What an
    image tells of a word's gradient goes by the word's variance in its sentences, r (1 - r) at rate r: of a word that all
    sentences have, or none, nothing. Images weigh so much in the mean, too.
    """

    def __init__(self, explainer: Explainer, said: Said, evidence: Evidence, *, seed: int) -> None:
        self._explainer, self._said, self._evidence, self._seed = explainer, said, evidence, seed

    def __call__(self, c: int, words: Sequence[int]) -> list[Estimate | None]:
        if not words:
            return []
        rates = self._evidence.rates[:, words].astype(float)
        tells = rates * (1 - rates)
        most = most_telling(tells, GRADIENT_IMAGES)
        found = gradients_at(most.tolist(), self._said, self._explainer, seed=self._seed)
        classifier = self._explainer.classifier
        directions = logit_gradients(classifier.head, self._said.z[most.tolist()].to(classifier.device), c)
        seen = [cosines(direction, by_word) for direction, by_word in zip(directions, found, strict=True)]
        used: list[Estimate | None] = []
        for column, name in enumerate(self._evidence.vocabulary[word] for word in words):
            known = [i for i, one in enumerate(seen) if name in one and tells[most[i], column] > 0]
            values, weights = np.array([seen[i][name] for i in known]), tells[most[known], column]
            used.append(mean_estimate(values, weights, low=-1, high=1) if known else None)
        return used


def most_telling(tells: Float[np.ndarray, "images words"], most: int) -> Int[np.ndarray, " chosen"]:
    """The images that tell most, in order: at most ``most``, by their shares of what all tell of each word, added up."""
    shares = tells / np.maximum(tells.sum(0), 1e-12)
    return np.sort(np.argsort(-shares.sum(1), kind="stable")[:most])


def some_of(rows: Sequence[int], said: Said, *, seed: int, most: int = GRADIENT_IMAGES) -> list[int]:
    """At most ``most`` of these images, drawn by the seed, in order.

    Every image has a number of its own, so that of overlapping images the same ones are drawn: stored gradients serve again.
    """
    return sorted(sorted(rows, key=lambda row: random.Random(f"image {seed} {said.names[row]}").random())[:most])


def gradients_at(
    rows: Sequence[int], said: Said, explainer: Explainer, *, seed: int
) -> list[dict[str, Float[Tensor, " features"]]]:
    """grad_z log rate(w) of the words said about each of these images, by ``GRADIENT_SENTENCES`` of its sentences.

    They are the same sentences of an image in every audit, so that stored gradients serve again.
    """
    chosen = [
        _choose(said.sampled[row].sentences, GRADIENT_SENTENCES, random.Random(f"{seed} {said.names[row]}")) for row in rows
    ]
    gradients = sentence_gradients_stored(
        explainer.lm, explainer.translator, said.z[list(rows)], chosen, said.store / "gradients"
    )
    return [
        word_gradients(own, [content_words(sentence) for sentence in some]) for own, some in zip(gradients, chosen, strict=True)
    ]


def _choose(sentences: Counter[str], most: int, draw: random.Random) -> list[str]:
    """Some of the sampled sentences, each with its own chance."""
    everyone = sorted(sentence for sentence in sentences.elements() if sentence)
    return draw.sample(everyone, min(most, len(everyone)))


def rate_matrix(said: Sequence[Sampled], *, least: int) -> tuple[tuple[str, ...], np.ndarray]:
    """Words that at least ``least`` images say in one sentence of ten, and each image's rate of each (images, words)."""
    words = [{word: rate.rate for word, rate in one.rates.words.items()} for one in said]
    vocabulary = usual_words(words, least=least)
    return vocabulary, rates_of(words, vocabulary).astype(np.float32)


def fitting(classifier: Classifier, labels: Sequence[str], class_map: Path | None = None) -> Classifier:
    """The classifier, or, for labels of ImageNet-9 and a classifier of ImageNet's 1,000 classes, its view through those nine.

    ``class_map`` is the release's ``in_to_in9.json``; without it classes are mapped by WordNet (386 of them, where the release
    has 370).
    """
    if len(classifier.labels) != len(imagenet_classes()) or not set(labels) <= set(NINE):
        return classifier
    by_wordnet = {i: one.nine for i, one in enumerate(imagenet_classes()) if one.nine}
    return coarse(classifier, read_class_map(class_map) if class_map is not None else by_wordnet, NINE)


def label_numbers(labels: Sequence[str], known: Sequence[str]) -> torch.Tensor:
    """The classifier's class number of each label, by its name or, for ImageNet's 1,000 classes, its synset.

    Raises LabelError for labels that the classifier does not have.
    """
    number = {name: i for i, name in enumerate(known)}
    if len(known) == len(imagenet_classes()):
        number |= {one.synset: i for i, one in enumerate(imagenet_classes())}
        number |= {one.name: i for i, one in enumerate(imagenet_classes()) if one.name not in number}
    missing = sorted(set(labels) - number.keys())
    if missing:
        shown = ", ".join(repr(name) for name in missing[:5]) + (", ..." if len(missing) > 5 else "")
        raise LabelError(
            f"{len(missing)} of {len(set(labels))} labels are none of the classifier's {len(known)} classes: {shown}. Name the "
            "classes as the classifier does, or train a head for them with 'wordsight head'."
        )
    return torch.tensor([number[name] for name in labels], dtype=torch.long)


def write_audit(audit: Audit, out: Path) -> list[Path]:
    """Write ``findings.json``, ``words.csv``, ``images.jsonl`` and ``report.html`` into a folder; returns the files."""
    texts = {
        "findings.json": audit.to_json() + "\n",
        "words.csv": audit.to_dataframe().to_csv(index=False),
        "images.jsonl": "".join(json.dumps({**asdict(i), "path": str(i.path)}) + "\n" for i in audit.images),
        "report.html": render_report(audit, heat_maps=audit.heat_maps),
    }
    for name, text in texts.items():
        with replacing(out / name) as partial:
            partial.write_text(text, encoding="utf-8")
    return [out / name for name in texts]
