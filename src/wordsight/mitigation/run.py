"""Mitigate a finding: labelled images in, a better head out, measured before and after on held-out images."""

import difflib
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from wordsight.audits import SENTENCES
from wordsight.audits.evidence import presence_level
from wordsight.audits.findings import Finding
from wordsight.audits.observations import Observations, observe
from wordsight.classifiers.classifier import Classifier
from wordsight.classifiers.coarse import fitting
from wordsight.classifiers.head import DIGITS, Head
from wordsight.errors import LabelError, ModelError, WordsightError
from wordsight.explain import Explainer
from wordsight.features.store import content_digests
from wordsight.images.labelled import LabelledImages, read_labelled
from wordsight.mitigation import LEAST, METHODS
from wordsight.mitigation.accuracies import Groups, accuracies, true_groups
from wordsight.mitigation.directions import word_direction
from wordsight.mitigation.masks import masked_features, masked_folder
from wordsight.mitigation.paired import average_change, worst_change
from wordsight.mitigation.project import project
from wordsight.mitigation.result import Mitigation
from wordsight.mitigation.reweight import balanced, groups_of, hold_out, reweighing, reweight
from wordsight.mitigation.target import Target, as_target
from wordsight.models import Models
from wordsight.runtime import OnProgress, no_progress
from wordsight.sentences.sampling import Sampling


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
    method: str = "reweight+project",
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
    - ``finding``: a finding of an audit, or (class, word). Images that trained the classifier's own head, or that the finding was
      found on, are not measured on.
    - ``method``: "reweight" retrains the last layer with weights under which labels go along with the word less. "mask" hides
      the word's region in the training images that have it, extracts their features again and retrains. "project" takes the
      word's direction out of the head. "reweight+project" does one after the other.
    - ``sampling``: how to sample each image's sentences; its seed also draws the held-out images.
    - ``store``: the folder of features, sentences, gradients and masked images (default: the cache).
    - ``on_progress``: gets the stages "features" and "sentences"; for "mask" also "masks" and "features of masked images".

    The result has the new head even if it is not better: see ``Mitigation.verdict``. Raises WordsightError for an unknown method
    and for a word that no image or every image has, LabelError for classes without images and if no image is left to measure
    on, and ModelError for a classifier whose head is not linear.
    """
    check_method(method)
    target = as_target(finding)
    images = read_labelled(data)
    models = explainer.models
    classifier = models.classifier
    _check_classifier(classifier, target, images)
    observed = observe(images, models, sampling, store=store, on_progress=on_progress)
    rates, present = _word_rates(observed, target.word)
    pseudo_groups = groups_of(observed.label, present)
    digests = np.array([(digest or "")[:DIGITS] for digest in content_digests(observed.images.paths)])
    trained, found = (torch.from_numpy(np.isin(digests, sorted(known))) for known in (classifier.trained_on, target.found_on))
    train, held = _parts(observed.images, pseudo_groups, held_out, sampling.seed, trained)
    held = _unseen(held, trained, found, pseudo_groups)
    if method != "project":
        _check_classes(observed.label[train], classifier)
    before = own_head(classifier)
    task = _Task(models, observed, target, rates, present, train, sampling.seed, on_progress)
    after, masked = task.masked() if method == "mask" else (before, None)
    if method in ("reweight", "reweight+project"):
        after = task.reweighted()
    if method in ("project", "reweight+project"):
        after = task.projected(after)
    groups = true_groups(observed, classifier.labels) if images.groups else Groups(pseudo_groups, None)
    c = list(classifier.labels).index(target.label)
    measured = [accuracies(head, observed, groups, present, c, train=train, held=held) for head in (before, after)]
    was_right, is_right = (
        (head.logits(observed.z[held]).argmax(1) == observed.label[held]).numpy() for head in (before, after)
    )
    seen = frozenset(digests[train.numpy()].tolist()) - {""}
    return Mitigation(
        target.label,
        target.word,
        method,
        groups.names is not None,
        *measured,
        worst_change=worst_change(was_right, is_right, groups.number[held].numpy()),
        average_change=average_change(was_right, is_right),
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
            self.models, self.observed, self.target.word, rows, folder, seed=self.seed, on_progress=self.on_progress
        )
        label = self.observed.label[self.train]
        return reweight(z[self.train], label, balanced(label), self.models.classifier, seed=self.seed), folder

    def projected(self, head: Head) -> Head:
        direction = word_direction(self.models, self.observed, self.target.word, self.rows(), seed=self.seed)
        new = project(head.weight, head.bias, [direction], self.observed.z[self.train], self.models.classifier)
        return replace(new, figures=head.figures)


def _word_rates(observed: Observations, word: str) -> tuple[Float[np.ndarray, " images"], Bool[Tensor, " images"]]:
    """The word's rate in each image, and whether it is present there."""
    rates = np.array([s.rates.words[word].rate if word in s.rates.words else 0.0 for s in observed.sampled])
    present = torch.from_numpy(rates >= presence_level(rates[:, None])[0])
    if not present.any() or present.all():
        raise WordsightError(
            f"{int(present.sum())} of {len(present)} images have '{word}'; wanted images with the word and images without it. "
            "Name a word as the audit's words.csv lists it."
        )
    return rates, present


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


def _parts(
    images: LabelledImages,
    group: Int[Tensor, " images"],
    held_out: float,
    seed: int,
    trained: Bool[Tensor, " images"],
) -> tuple[Bool[Tensor, " images"], Bool[Tensor, " images"]]:
    """Which images train the head, and which are held out."""
    if images.splits is None and bool(trained.any()):
        return trained, ~trained
    if images.splits is None:
        held = hold_out(held_out, group, seed=seed)
        return ~held, held
    name = next((name for name in ("test", "val") if name in images.splits), None)
    if name is None or "train" not in images.splits:
        raise LabelError(
            f"The data has the splits {', '.join(sorted(set(images.splits)))}; wanted train, and test or val. Give them these "
            "names, or leave the column out."
        )
    return torch.tensor([split == "train" for split in images.splits]), torch.tensor([split == name for split in images.splits])


def _unseen(
    held: Bool[Tensor, " images"],
    trained: Bool[Tensor, " images"],
    found: Bool[Tensor, " images"],
    group: Int[Tensor, " images"],
) -> Bool[Tensor, " images"]:
    """The held-out images that neither trained the classifier's head nor are those that the finding was found on."""
    unseen = held & ~trained & ~found
    if not unseen.any():
        groups = len(group.unique())
        raise LabelError(
            f"Of {len(held)} images {int(held.sum())} are held out, but {int((held & trained).sum())} of these trained the "
            f"classifier's head and {int((held & found).sum())} are those that the finding was found on: none is left to measure "
            f"on, wanted at least {LEAST} of each of {groups} groups. Give more images, or audit a part of them only (--split)."
        )
    return unseen
