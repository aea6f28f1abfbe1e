"""Audit a classifier on labelled images: which words its decisions use, and where they go along with errors."""

import logging
from collections.abc import Sequence, Set
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path

import numpy as np
from torch import Tensor

from wordsight.audits import SENTENCES
from wordsight.audits.evidence import Evidence
from wordsight.audits.explained import Explained, explained
from wordsight.audits.findings import Limits, class_words, findings, naming_of, unclear_classes
from wordsight.audits.focus import class_focus
from wordsight.audits.groups import with_leaders
from wordsight.audits.kinds import class_itself
from wordsight.audits.observations import Observations, head_scores, observe, rate_matrix, with_sentences
from wordsight.audits.reliances import Reliances
from wordsight.audits.result import Audit, AuditedImage
from wordsight.audits.untested import power, untested
from wordsight.audits.use import gradients_at
from wordsight.classifiers.coarse import fitting
from wordsight.engines import Engine, engine_named
from wordsight.errors import LabelError, WordsightError
from wordsight.explain import Explainer
from wordsight.features.maps import locate
from wordsight.images.labelled import LabelledImages, read_labelled
from wordsight.language.content import content_words
from wordsight.models import Models
from wordsight.runtime import OnProgress, no_progress
from wordsight.sentences.consensus import consensus
from wordsight.sentences.sampler import Sampled
from wordsight.sentences.sampling import Sampling
from wordsight.words.gradients import head_gradients

logger = logging.getLogger(__name__)


#: The first findings get heat maps, on this many images of each kind.
_MAPPED_FINDINGS, _MAPPED_IMAGES = 6, 6
#: Images at most that get sentences to quote, if the words come from the word head, and sentences at most for each: a second or less.
_QUOTED, _TO_QUOTE_FROM = 24, 8


def audit(
    explainer: Explainer,
    data: object,
    *,
    sampling: Sampling = Sampling(sentences=SENTENCES),  # noqa: B008 (frozen)
    limits: Limits = Limits(),  # noqa: B008 (frozen)
    words: str | None = None,
    apart: Sequence[str] = (),
    split: str | None = None,
    store: Path | None = None,
    engine: str | Engine = "local",
    on_progress: OnProgress = no_progress,
) -> Audit:
    """Find words that a classifier's decisions use and that go along with errors, on labelled images.

    - ``data``: what ``read_labelled`` reads, or its ``split``. Labels are the classifier's own, or ImageNet synsets for its
      1,000 classes; for the labels of ImageNet-9 the classifier is reduced to those nine.
    - ``words``: where word rates come from. "head": the translator's word head, milliseconds for all images; sentences are
      sampled only for the first findings' examples. "sentences": sampled for every image. "both": the mean of the two. Default: "head"
      if the translator has one, else "sentences".
    - ``sampling``: how to sample an image's sentences. ``limits``: what a word has to reach to be a finding.
    - Identical and near-identical images (copies, bursts) count once; the result says how many were left out as ``copies``.
    - ``apart``: words that are no finding for any class, besides each class's own name and kinds.
    - ``store``: the folder of features, sentences and gradients (default: the cache). With them, a second audit with other limits
      takes seconds, and an interrupted audit goes on.
    - ``engine``: where features and sentences are made: "local", this process, or "ray", the processors or GPUs of this machine
      or a cluster (``pip install 'wordsight[ray]'``). The result is the same.
    - ``on_progress``: gets the stages "features", "sentences", "tests", "findings", "positions", "gradients" and "heat maps".

    Raises LabelError for labels that the classifier does not have, and if there is nothing to compare; TranslatorError for
    "head" if the translator has no word head.
    """
    images = read_labelled(data, split=split)
    models = replace(explainer.models, classifier=fitting(explainer.classifier, images.labels, images.class_map))
    classifier = models.classifier
    where = engine_named(engine, device=classifier.device)
    observed = observe(
        images, models, sampling, store=store, words=words, fold_copies=True, engine=where, on_progress=on_progress
    )
    logits = classifier.logits(observed.z)
    words_of = observed.words()
    vocabulary, rates = rate_matrix(words_of, min_images=limits.images)
    evidence = Evidence(
        vocabulary,
        rates,
        observed.label.numpy(),
        logits.double().numpy(),
        tuple(classifier.labels),
        head_scores(observed, vocabulary),
    )
    set_apart = {word for given in apart for word in content_words(given)}
    own = [class_itself(name) for name in classifier.labels]
    naming = naming_of(evidence, own, set_apart)
    reliances = Reliances(evidence, observed.z.numpy())
    table = class_words(evidence, reliances, own, limits, apart=set_apart, on_progress=on_progress)
    if not table:
        raise LabelError(_nothing_to_compare(evidence, limits))
    result = Audit(
        classes=list(classifier.labels),
        images=_audited(observed, words_of, logits, classifier.labels),
        words=table,
        findings=with_leaders(evidence, findings(evidence, table), naming),
        failures=observed.failures,
        copies=observed.copies,
        untested=untested(evidence, table, limits),
        power=power(evidence, table),
        unclear=unclear_classes(evidence, naming),
        settings=_settings(models, images, sampling, limits, sorted(set_apart)) | {"words": observed.source},
    )
    mapped = _mapped(result)
    if observed.source == "head" and mapped:
        quoted = sorted({row for row, _ in mapped})[:_QUOTED]
        few = replace(sampling, sentences=min(sampling.sentences, _TO_QUOTE_FROM), precision=None)
        observed = with_sentences(observed, quoted, models, few, on_progress=on_progress)
        quotes = {row: _quote(observed.sampled[row]) for row in quoted}
        with_quotes = [replace(image, sentence=quotes.get(row, "")) for row, image in enumerate(result.images)]
        result = replace(result, images=with_quotes)
    labels = {word.label for word in table}
    focus = class_focus(
        classifier,
        labels,
        observed.images.paths,
        evidence.predicted,
        observed.store / "focus",
        seed=sampling.seed,
        on_classes=partial(on_progress, "positions"),
    )
    return replace(
        result,
        heat_maps=_heat_maps(mapped, observed, models, seed=sampling.seed, on_progress=on_progress),
        focus=focus,
        explained=_explained(evidence, labels),
    )


def _mapped(result: Audit) -> list[tuple[int, str]]:
    """The images (by number) and words that heat maps are made of: examples of the first findings that have the word."""
    row_of = {image.image: row for row, image in enumerate(result.images)}
    return [
        (row_of[image.image], finding.about.word)
        for finding in result.leading[:_MAPPED_FINDINGS]
        for examples in result.example_images(finding, limit=_MAPPED_IMAGES).values()
        for image in examples
        if image.words.get(finding.about.word, 0) > 0
    ]


def _nothing_to_compare(evidence: Evidence, limits: Limits) -> str:
    predicted = np.bincount(evidence.predicted, minlength=len(evidence.classes))
    return (
        f"There is nothing to compare: the {len(evidence.label)} images have {len(set(evidence.label.tolist()))} labels and "
        f"{int((predicted > 0).sum())} predicted classes, the largest with {int(predicted.max())} images, and "
        f"{len(evidence.vocabulary)} words are frequent enough. Wanted two labels or more, a class that at least "
        f"{limits.images} images are predicted as and {limits.images} are not, and a word that {limits.images} images have and "
        f"{limits.images} do not. Give more images."
    )


def _settings(
    models: Models, images: LabelledImages, sampling: Sampling, limits: Limits, apart: list[str]
) -> dict[str, object]:
    """The settings of an audit; "spec", "data", "translator_file" and "lm_name" as the user named them."""
    return {
        "classifier": models.classifier.name,
        "classifier_fingerprint": models.classifier.fingerprint[:12],
        "language_model": models.lm.name,
        "translator": models.fingerprint[:12],
        "translator_figures": models.card.figures,
        "sampling": asdict(sampling),
        "limits": asdict(limits),
        "apart": apart,
        "spec": models.classifier.spec,
        "data": images.source,
        "translator_file": models.translator_file,
        "lm_name": models.lm_name,
    }


def _explained(evidence: Evidence, labels: Set[str]) -> list[Explained]:
    classes = [c for c, label in enumerate(evidence.classes) if label in labels]
    with np.errstate(invalid="ignore"):  # a classifier may rule classes out with minus infinity
        against_all = evidence.logits - evidence.logits.mean(1, keepdims=True)  # what all logits share changes no decision
    predicted = np.bincount(evidence.predicted, minlength=len(evidence.classes))
    return explained(evidence.rates, against_all[:, classes], [evidence.classes[c] for c in classes], predicted[classes])


def _heat_maps(
    mapped: Sequence[tuple[int, str]], observed: Observations, models: Models, *, seed: int, on_progress: OnProgress
) -> dict[tuple[str, str], np.ndarray]:
    """Heat maps of words on images: by the word head's gradient, or by that of the image's sentences where it has one."""
    if models.classifier.locate is None or not mapped:
        return {}
    gradient_of: dict[tuple[int, str], Tensor] = {}
    if observed.source == "head":
        for word in {word for _, word in mapped}:
            rows = [row for row, other in mapped if other == word]
            gradients = head_gradients(models.translator, observed.z[rows], word)
            assert gradients is not None  # every word is the head's
            gradient_of |= {(row, word): gradient for row, gradient in zip(rows, gradients, strict=True)}
    else:
        rows = sorted({row for row, _ in mapped})
        for row, by_word in zip(rows, gradients_at(rows, observed, models, seed=seed, on_progress=on_progress), strict=True):
            gradient_of |= {(row, word): gradient for word, gradient in by_word.items()}
    maps = {}
    for done, (row, word) in enumerate(mapped, start=1):
        path = observed.images.paths[row]
        if (row, word) in gradient_of:
            try:
                maps[observed.names[row], word] = locate(models.classifier, path, gradient_of[row, word], square=True, side=14)
            except WordsightError as error:  # no spatial feature map, a file gone: the findings stand without maps
                logger.warning("No heat map of '%s' on %s: %s", word, path, error)
        on_progress("heat maps", done, len(mapped))
    return maps


def _audited(
    observed: Observations, words: Sequence[dict[str, float]], logits: Tensor, labels: Sequence[str]
) -> list[AuditedImage]:
    probability, predicted = logits.softmax(1).max(1)
    groups, splits = observed.images.groups, observed.images.splits
    return [
        AuditedImage(
            image=name,
            path=path,
            label=labels[int(observed.label[i])],
            predicted=labels[int(predicted[i])],
            probability=round(float(probability[i]), 4),
            words={word: round(rate, 4) for word, rate in words[i].items()},
            sentence=_quote(sampled),
            group=None if groups is None else groups[i],
            split=None if splits is None else splits[i],
        )
        for i, (name, path, sampled) in enumerate(zip(observed.names, observed.images.paths, observed.sampled, strict=True))
    ]


def _quote(sampled: Sampled) -> str:
    """The sentence that agrees best with the others; "" without sentences."""
    return next(iter(consensus(sampled.sentences, limit=1)), "")
