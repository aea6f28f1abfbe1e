"""Mitigate a finding: labelled images in, a better head out, measured before and after on held-out images."""

import difflib
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from wordsight.audits import SENTENCES
from wordsight.audits.findings import Finding
from wordsight.audits.observations import Observations, observe, rate_matrix
from wordsight.audits.result import Audit
from wordsight.classifiers.classifier import Classifier
from wordsight.classifiers.coarse import fitting
from wordsight.classifiers.head import Head, image_key
from wordsight.errors import LabelError, ModelError, WordsightError
from wordsight.explain import Explainer
from wordsight.images.labelled import LabelledImages, read_labelled
from wordsight.mitigation import METHODS
from wordsight.mitigation.accuracies import Groups, measure, true_groups
from wordsight.mitigation.masks import masked_features, masked_folder
from wordsight.mitigation.parts import split_up
from wordsight.mitigation.project import added_by_thing, project
from wordsight.mitigation.result import Mitigation
from wordsight.mitigation.reweight import balanced, groups_of, reweighing, reweight
from wordsight.mitigation.target import Target, as_target
from wordsight.mitigation.words import source_of, word_rates
from wordsight.models import Models
from wordsight.runtime import OnProgress, no_progress
from wordsight.sentences.sampling import Sampling

#: Images that have a word, for it to be held fixed when another word's direction is fitted.
_USUAL = 5


def check_method(method: str) -> None:
    """Raise WordsightError for a method that is none of ``METHODS``."""
    if method not in METHODS:
        near = difflib.get_close_matches(method, METHODS, n=1)
        meant = f" Did you mean '{near[0]}'?" if near else ""
        raise WordsightError(f"Unknown method '{method}'.{meant} Wanted one of {', '.join(METHODS)}.")


def mitigate(
    explainer: Explainer,
    data: object,
    finding: Finding | tuple[str, str] | Target,
    *,
    audit: Audit | None = None,
    method: str = "reweight+project",
    words: str | None = None,
    held_out: float = 0.3,
    sampling: Sampling = Sampling(sentences=SENTENCES),  # noqa: B008 (frozen)
    store: Path | None = None,
    on_progress: OnProgress = no_progress,
) -> Mitigation:
    """Make a head whose decisions use a word less, and compare it with the classifier's own on held-out images.

    - ``data``: what ``read_labelled`` reads. Images of the split "train" train the head, those of "test" (else "val") are held
      out. Without splits the images that did not train the classifier's own head are held out, if it remembers which did
      (``train_head``), else a random share ``held_out``, in (0, 1), of each pseudo-group. Group labels are not used for training;
      where the data has groups, accuracies are measured on them.
    - ``finding``: a finding of an ``audit``, or (class, word). Images that trained the classifier's own head, that the audit looked
      at, or that are copies of such, are not measured on.
    - ``method``: "reweight" retrains the last layer with weights under which labels go along with the word less. "mask" hides
      the word's region in the training images that have it, extracts their features again and retrains. "project" takes the
      word's direction out of the head. "reweight+project" does one after the other.
    - ``words``: where the word's rates come from: "head" (the translator's word head: milliseconds), "sentences", or "both". Default:
      the head if it knows the word, else sentences.
    - ``sampling``: how to sample each image's sentences, if any; its seed also draws the held-out images.
    - ``store``: the folder of features, sentences, gradients and masked images (default: the cache).
    - ``on_progress``: gets the stages "features" and "sentences"; for "mask" also "gradients", "masks" and "features of masked
      images".

    The result has the new head even if it is not better: see ``Mitigation.verdict``. Raises WordsightError for an unknown method
    and for a word that no image or every image has, TranslatorError for a word that the word head lacks, LabelError for classes
    without images and if no image is left to measure on, and ModelError for a classifier whose head is not linear.
    """
    check_method(method)
    target = as_target(finding, audit)
    images = read_labelled(data)
    models, classifier = explainer.models, explainer.classifier
    source = source_of(models, target.word, words)
    _check_classifier(classifier, target, images)
    observed = observe(images, models, sampling, store=store, words=source, on_progress=on_progress)
    rates, present = word_rates(observed, target.word)
    pseudo_groups = groups_of(observed.label, present)
    parts = split_up(
        observed.images,
        observed.z,
        observed.digests,
        observed.label,
        pseudo_groups,
        trained_on=classifier.trained_on,
        found_on=target.found_on,
        share=held_out,
        seed=sampling.seed,
    )
    if method != "project":
        _check_classes(observed.label[parts.train], classifier)
    before = own_head(classifier)
    task = _Task(models, observed, target, rates, present, parts.train, sampling.seed, on_progress)
    after, masked = task.masked() if method == "mask" else (before, None)
    if method in ("reweight", "reweight+project"):
        after = task.reweighted()
    if method in ("project", "reweight+project"):
        after = task.projected(after)
    groups = true_groups(observed, classifier.labels) if images.groups else Groups(pseudo_groups, None)
    train = parts.train.nonzero().flatten().tolist()
    seen = frozenset(image_key(observed.digests[i]) for i in train)
    measured = measure((before, after), observed, groups, parts, present, target)
    return Mitigation(
        target.label,
        target.word,
        method,
        groups.names is not None,
        **vars(measured),
        words=source,
        failures=observed.failures,
        head=replace(after, trained_on=classifier.trained_on | seen),
        masked=masked,
    )


@dataclass(frozen=True)
class _Task:
    """What the methods make a new head of: ``rates`` of the word, ``present`` images and ``train`` images."""

    models: Models
    observed: Observations
    target: Target
    rates: Float[np.ndarray, " images"]
    present: Bool[Tensor, " images"]
    train: Bool[Tensor, " images"]
    seed: int
    on_progress: OnProgress

    def rows(self) -> list[int]:
        """The training images that have the word, by number."""
        return (self.present & self.train).nonzero().flatten().tolist()

    def reweighted(self) -> Head:
        z, label = self.observed.z[self.train], self.observed.label[self.train]
        importance = reweighing(torch.from_numpy(self.rates)[self.train], label, self.models.classifier)
        return reweight(z, label, importance, self.models.classifier, seed=self.seed)

    def masked(self) -> tuple[Head, Path]:
        """The new head and the folder of the masked images."""
        folder, rows = masked_folder(self.observed, self.target, self.models), self.rows()
        z = self.observed.z.clone()
        z[rows] = masked_features(
            self.models,
            self.observed,
            self.target.word,
            rows,
            folder,
            seed=self.seed,
            on_progress=self.on_progress,
        )
        label = self.observed.label[self.train]
        return reweight(z[self.train], label, balanced(label), self.models.classifier, seed=self.seed), folder

    def projected(self, head: Head) -> Head:
        train = self.train.nonzero().flatten().tolist()
        words_of = self.observed.words()
        vocabulary, usual = rate_matrix([words_of[i] for i in train], min_images=_USUAL)
        others = usual[:, [i for i, word in enumerate(vocabulary) if word != self.target.word]].toarray()
        rates = np.column_stack([self.rates[train], others])
        z, label = self.observed.z[self.train], self.observed.label[self.train]
        direction = added_by_thing(z, rates, label, 0)
        new = project(head.weight, head.bias, [direction], z, label, self.models.classifier)
        return replace(new, figures=head.figures)


def _check_classifier(classifier: Classifier, target: Target, images: LabelledImages) -> None:
    if target.label not in classifier.labels and fitting(classifier, images.labels, images.class_map) is classifier:
        raise LabelError(
            f"'{target.label}' is none of the classifier's {len(classifier.labels)} classes; name one of them with --label."
        )
    if classifier.head_weight is None or target.label not in classifier.labels:
        raise ModelError(
            f"The last layer of '{classifier.name}' is not linear, or is seen through coarser classes; wanted a linear one to "
            "replace. Train one for the data's classes with 'wordsight head'."
        )


def _check_classes(label: Int[Tensor, " images"], classifier: Classifier) -> None:
    missing = sorted(set(range(len(classifier.labels))) - set(label.tolist()))
    if missing:
        raise LabelError(
            f"{len(missing)} of the classifier's {len(classifier.labels)} classes have no image to train on (first: "
            f"'{classifier.labels[missing[0]]}'); a retrained head could never predict them. Use --method project, add images, "
            "or train a head for the data's classes with 'wordsight head'."
        )


def own_head(classifier: Classifier) -> Head:
    """The classifier's own last layer, which is linear. Its bias is the logits of features that are all zero."""
    assert classifier.head_weight is not None
    bias = classifier.logits(torch.zeros(1, classifier.features))[0]
    return Head(
        classifier.head_weight, bias, tuple(classifier.labels), classifier.spec or classifier.name, classifier.fingerprint
    )
