"""Mitigate a finding: labelled images in, a better head out, measured before and after on held-out images."""

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from wordsight.audits import SENTENCES
from wordsight.audits.evidence import presence_level
from wordsight.audits.findings import Finding, Group, gaps, worse_gap
from wordsight.audits.observations import Observations, observe
from wordsight.audits.use import draw_images, gradients_at
from wordsight.classifiers.classifier import Classifier
from wordsight.classifiers.coarse import fitting
from wordsight.classifiers.head import Head
from wordsight.errors import LabelError, ModelError, WordsightError
from wordsight.explain import Explainer
from wordsight.features.extraction import extract_stored, open_rgb
from wordsight.features.maps import locate
from wordsight.images.labelled import LabelledImages, read_labelled
from wordsight.mitigation import METHODS
from wordsight.mitigation.masks import hide
from wordsight.mitigation.project import project
from wordsight.mitigation.result import Accuracies, Mitigation
from wordsight.mitigation.reweight import balanced, groups_of, hold_out, reweighing, reweight
from wordsight.mitigation.target import Target, as_target
from wordsight.models import Models
from wordsight.runtime import OnProgress, no_progress
from wordsight.sentences.sampling import Sampling
from wordsight.storage import replacing
from wordsight.tensors import Features


def check_method(method: str) -> None:
    """Raise WordsightError for a method that is none of ``METHODS``."""
    if method not in METHODS:
        raise WordsightError(f"Unknown method '{method}'; wanted one of {', '.join(METHODS)}.")


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
    """A head whose decisions use a word less, compared with the classifier's own on held-out images.

    ``reweight`` retrains the last layer on images weighed so that labels go along with the word less; ``mask`` hides the word's
    region in the training images that have it, extracts their features again and retrains; ``project`` takes the word's
    direction out of the head; ``reweight+project`` does one after the other. No group labels are used; where the data has some,
    they only score. Images of a split "train" are trained on and those of "test" (else "val") held out; without splits a random
    share ``held_out`` is. The new head is in the result even when it is no better: see ``Mitigation.better``.

    Raises WordsightError for a word that no image or every image has, LabelError for classes without images, ModelError for a
    classifier whose head is not linear.
    """
    check_method(method)
    target = as_target(finding)
    images = read_labelled(data)
    models = explainer.models
    classifier = models.classifier
    _check_classifier(classifier, target, images)
    observed = observe(images, models, sampling, store=store, on_progress=on_progress)
    rates = np.array([s.rates.words[target.word].rate if target.word in s.rates.words else 0.0 for s in observed.sampled])
    present = torch.from_numpy(rates >= presence_level(rates[:, None])[0])
    if not present.any() or present.all():
        raise WordsightError(
            f"{int(present.sum())} of {len(present)} images have '{target.word}'; wanted some that do and some that do not. "
            "Name a word as the audit's words.csv lists it."
        )
    group = groups_of(observed.label, present)
    train, held = _parts(observed.images, group, held_out, sampling.seed)
    if method != "project":
        _check_classes(observed.label[train], classifier)
    before = own_head(classifier)
    rows = (present & train).nonzero().flatten().tolist()
    after, masked, seed = before, None, sampling.seed
    if method == "mask":
        masked = _masked_folder(observed, target, models)
        z = observed.z.clone()
        z[rows] = _masked_features(models, observed, target.word, rows, masked, seed=seed, on_progress=on_progress)
        after = reweight(z[train], observed.label[train], balanced(observed.label[train]), classifier, seed=seed)
    if method in ("reweight", "reweight+project"):
        importance = reweighing(torch.from_numpy(rates)[train], observed.label[train], classifier)
        after = reweight(observed.z[train], observed.label[train], importance, classifier, seed=seed)
    if method in ("project", "reweight+project"):
        direction = word_direction(models, observed, target.word, rows, seed=seed)
        projected = project(after.weight, after.bias, [direction], observed.z[train], classifier)
        after = replace(projected, figures=after.figures)
    names, number = _true_groups(observed, classifier.labels) if images.groups else (None, group)
    c = list(classifier.labels).index(target.label)
    scores = [_score(head, observed, (train, held), number, names, present, c) for head in (before, after)]
    return Mitigation(target.label, target.word, method, names is not None, *scores, head=after, masked=masked)


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
    """The classifier's own last layer. Its bias is what it makes of features that are all zero."""
    assert classifier.head_weight is not None
    bias = classifier.logits(torch.zeros(1, classifier.features))[0]
    return Head(
        classifier.head_weight, bias, tuple(classifier.labels), classifier.spec or classifier.name, classifier.fingerprint
    )


def _parts(images: LabelledImages, group: Int[Tensor, " images"], held_out: float, seed: int) -> tuple[Tensor, Tensor]:
    if images.splits is not None:
        held = next((name for name in ("test", "val") if name in images.splits), None)
        if held is None or "train" not in images.splits:
            raise LabelError(
                f"The data has the splits {', '.join(sorted(set(images.splits)))}; wanted train, and test or val. Name them "
                "so, or leave the column out."
            )
        return torch.tensor([split == "train" for split in images.splits]), torch.tensor(
            [split == held for split in images.splits]
        )
    held = hold_out(held_out, group, seed=seed)
    return ~held, held


def _true_groups(observed: Observations, labels: Sequence[str]) -> tuple[list[str], Tensor]:
    """Label and true group, named and numbered."""
    groups = observed.images.groups
    assert groups is not None
    named = [f"{labels[int(c)]}, {group}" for c, group in zip(observed.label, groups, strict=True)]
    names = sorted(set(named))
    return names, torch.tensor([names.index(name) for name in named])


def _score(
    head: Head,
    observed: Observations,
    parts: tuple[Bool[Tensor, " images"], Bool[Tensor, " images"]],
    number: Int[Tensor, " images"],
    names: list[str] | None,
    present: Bool[Tensor, " images"],
    c: int,
) -> Accuracies:
    train, held = parts
    predicted = head.logits(observed.z[held]).argmax(1)
    label, number_here = observed.label[held], number[held]
    right = (predicted == label).float()
    groups, shares = [], []
    for g in number_here.unique().tolist():
        rows = number_here == g
        name = names[g] if names is not None else head.labels[g // 2]
        groups.append(Group(name, None if names is not None else bool(g % 2), int(rows.sum()), float(right[rows].mean())))
        shares.append(float((number[train] == g).float().mean()))
    accuracies = np.array([group.accuracy for group in groups])
    return Accuracies(
        average=float(right.mean()),
        reweighted=float(np.average(accuracies, weights=shares)) if sum(shares) else float(accuracies.mean()),
        worst=float(accuracies.min()),
        groups=groups,
        severity=worse_gap(gaps(present[held].numpy(), (predicted == c).numpy(), label.numpy(), c)),
    )


def word_direction(
    models: Models, observed: Observations, word: str, rows: Sequence[int], *, seed: int
) -> Float[Tensor, " features"]:
    """The mean direction of the word's gradient at some of these images, which have it."""
    return _mean_direction(word, gradients_at(draw_images(rows, observed, seed=seed), observed, models, seed=seed))


def _mean_direction(word: str, found: Sequence[dict[str, Float[Tensor, " features"]]]) -> Float[Tensor, " features"]:
    directions = [g / g.norm() for by_word in found if (g := by_word.get(word)) is not None and g.norm() > 0]
    if not directions:
        raise WordsightError(
            f"No image has sentences with and without '{word}', so its direction is unknown. Give more --sentences, or use "
            "--method reweight."
        )
    return torch.stack(directions).mean(0)


def _masked_folder(observed: Observations, target: Target, models: Models) -> Path:
    about = f"{models.fingerprint} {models.classifier.fingerprint} {target} {sorted(map(str, observed.images.paths))}"
    return observed.store / "masked" / hashlib.sha256(about.encode()).hexdigest()[:16]


def _masked_features(
    models: Models,
    observed: Observations,
    word: str,
    rows: Sequence[int],
    folder: Path,
    *,
    seed: int,
    on_progress: OnProgress,
) -> Features:
    """Features of these images with the word's region hidden; the masked images are written to ``folder``.

    Where all of an image's sentences have the word, or too few, the region is that of the word's mean direction.
    """
    found = gradients_at(rows, observed, models, seed=seed)
    mean = _mean_direction(word, found)
    paths = []
    for done, (row, by_word) in enumerate(zip(rows, found, strict=True), start=1):
        path = observed.images.paths[row]
        image = open_rgb(path)
        target = folder / f"{row}-{path.stem}.png"
        with replacing(target) as unfinished:
            hide(image, locate(models.classifier, image, by_word.get(word, mean))).save(unfinished, format="PNG")
        paths.append(target)
        on_progress("masks", done, len(rows))
    extracted = extract_stored(
        models.classifier, paths, observed.store / "features", on_images=partial(on_progress, "features of masked images")
    )
    assert len(extracted.readable) == len(rows)  # they were written just now
    return extracted.views.mean(1)
