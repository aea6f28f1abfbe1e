"""Audit labelled images: what does a classifier go by, and where does that lead it wrong?"""

import json
import logging
from collections.abc import Sequence, Set
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
from torch import Tensor

from wordsight.audits import SENTENCES
from wordsight.audits.explained import Explained, explained
from wordsight.audits.findings import Evidence, Limits, class_words, findings
from wordsight.audits.kinds import class_itself
from wordsight.audits.observations import Observations, OnDone, rate_matrix
from wordsight.audits.places import class_places
from wordsight.audits.result import Audit, AuditedImage
from wordsight.audits.use import Uses, gradients_at
from wordsight.errors import LabelError, WordsightError
from wordsight.explain import Explainer
from wordsight.features.maps import locate
from wordsight.images.labelled import LabelledImages
from wordsight.language.content import content_words
from wordsight.report.html import render_report
from wordsight.sentences.consensus import consensus
from wordsight.sentences.sampling import Sampling
from wordsight.sentences.sampler import MEMORY
from wordsight.storage import replacing

logger = logging.getLogger(__name__)


#: The first findings get heat maps, on this many images of each kind.
_MAPPED_FINDINGS, _MAPPED_IMAGES = 6, 6


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
    observed = observe(
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
    logits = classifier.logits(observed.z)
    vocabulary, rates = rate_matrix(observed.sampled, least=limits.images)
    evidence = Evidence(vocabulary, rates, observed.label.numpy(), logits.double().numpy(), tuple(classifier.labels))
    set_apart = {word for given in apart for word in content_words(given)}
    own = [class_itself(name) for name in classifier.labels]
    words = class_words(evidence, Uses(explainer, observed, evidence, seed=seed), own, limits, apart=set_apart)
    if not words:
        predicted = np.bincount(evidence.predicted, minlength=len(classifier.labels))
        raise LabelError(
            f"There is nothing to compare: {len(observed.label)} images of {len(set(observed.label.tolist()))} labels are predicted "
            f"{int((predicted > 0).sum())} classes, {int(predicted.max())} images the most frequent, and {len(vocabulary)} words are "
            f"observed. Wanted two labels or more, a class that at least {limits.images} images are predicted and {limits.images} are "
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
    audited = _audited(observed, logits, classifier.labels)
    found = Audit(list(classifier.labels), audited, words, findings(evidence, words), observed.failures, settings)
    labels = {word.label for word in words}
    return replace(
        found,
        heat_maps=_heat_maps(found, observed, explainer, seed=seed, on_maps=on_maps),
        places=class_places(
            classifier, labels, observed.images.paths, evidence.predicted, observed.store / "places", seed=seed
        ),
        explained=_explained(evidence, labels),
    )


def _explained(evidence: Evidence, labels: Set[str]) -> list[Explained]:
    classes = [c for c, label in enumerate(evidence.classes) if label in labels]
    with np.errstate(invalid="ignore"):  # a classifier may rule classes out with minus infinity
        against_all = evidence.logits - evidence.logits.mean(1, keepdims=True)  # what all logits share changes no decision
    predicted = np.bincount(evidence.predicted, minlength=len(evidence.classes))
    return explained(evidence.rates, against_all[:, classes], [evidence.classes[c] for c in classes], predicted[classes])


def _heat_maps(
    audit: Audit, observed: Observations, explainer: Explainer, *, seed: int, on_maps: OnDone
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
    gradients = gradients_at(rows, observed, explainer, seed=seed)
    by_row = dict(zip(rows, gradients, strict=True))
    maps = {}
    for done, (row, word) in enumerate(wanted, start=1):
        path = observed.images.paths[row]
        if word in by_row[row]:
            try:
                maps[observed.names[row], word] = locate(explainer.classifier, path, by_row[row][word], square=True, side=14)
            except WordsightError as error:  # no places in the classifier, a file gone: the findings stand without maps
                logger.warning("No heat map of '%s' on %s: %s", word, path, error)
        on_maps(done, len(wanted))
    return maps


def _audited(observed: Observations, logits: Tensor, labels: Sequence[str]) -> list[AuditedImage]:
    probability, predicted = logits.softmax(1).max(1)
    groups, splits = observed.images.groups, observed.images.splits
    return [
        AuditedImage(
            image=name,
            path=path,
            label=labels[int(observed.label[i])],
            predicted=labels[int(predicted[i])],
            probability=round(float(probability[i]), 4),
            words={w: round(r.rate, 4) for w, r in sorted(one.rates.words.items(), key=lambda item: -item[1].rate)},
            sentence=next(iter(consensus(one.sentences, most=1)), ""),
            group=None if groups is None else groups[i],
            split=None if splits is None else splits[i],
        )
        for i, (name, path, one) in enumerate(zip(observed.names, observed.images.paths, observed.sampled, strict=True))
    ]


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
