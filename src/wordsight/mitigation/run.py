"""Mend a classifier: a finding and labelled images in, a better head out, with before and after on held-out images."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from wordsight.audits import SENTENCES
from wordsight.audits.findings import Group, gaps, presence_level, worse_gap
from wordsight.audits.observations import Observations, OnDone
from wordsight.audits.use import gradients_at, some_of
from wordsight.classifiers.head import Head, save_head
from wordsight.errors import LabelError, ModelError, WordsightError
from wordsight.explain import Explainer
from wordsight.features.extraction import extract_stored, open_rgb
from wordsight.features.maps import locate
from wordsight.images.labelled import LabelledImages
from wordsight.mitigation.masks import hide
from wordsight.mitigation.project import project
from wordsight.mitigation.result import Accuracies, Mitigation
from wordsight.mitigation.reweight import balanced, groups_of, hold_out, reweighing, reweight
from wordsight.sentences.sampling import Sampling
from wordsight.sentences.sampler import MEMORY
from wordsight.storage import replacing
from wordsight.tensors import Features

METHODS = ("reweight", "mask", "project", "reweight+project")


@dataclass(frozen=True)
class Target:
    """A word of a class that is to be mitigation."""

    label: str
    word: str


def read_finding(finding: str, label: str | None = None) -> Target:
    """The first finding of a ``findings.json`` (of class ``label``, if given), or a word with its class.

    Raises WordsightError if the file is none or holds no such finding.
    """
    path = Path(finding)
    if not path.suffix:
        if label is None:
            raise WordsightError(f"The word '{finding}' came without a class; name the class that it is used for with --label.")
        return Target(label, finding)
    try:
        found = json.loads(path.read_text(encoding="utf-8"))["findings"]
        suspects = [Target(one["label"], one["word"]) for one in found]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise WordsightError(
            f"{finding} cannot be read as findings ({type(error).__name__}: {error}). Give the findings.json that 'wordsight "
            "audit' wrote, or a word with --label CLASS."
        ) from error
    suspects = [one for one in suspects if label in (None, one.label)]
    if not suspects:
        of = f" of class '{label}'" if label else ""
        raise WordsightError(
            f"{finding} holds no finding{of}, so there is nothing to mitigate. Give a word with --label CLASS."
        )
    return suspects[0]


def mitigate(
    images: LabelledImages,
    explainer: Explainer,
    target: Target,
    out: Path,
    *,
    method: str = "reweight+project",
    held_out: float = 0.3,
    sentences: int = SENTENCES,
    sampling: Sampling = Sampling(),  # noqa: B008 (frozen)
    memory: int = MEMORY,
    seed: int = 0,
    store: Path | None = None,
    on_images: OnDone = lambda done, total: None,
    on_sentences: OnDone = lambda done, total: None,
) -> Mitigation:
    """Make a head whose decisions no longer hang on a word, write it to ``out``, and compare it with the classifier's own.

    ``reweight`` retrains the last layer on images weighed so that labels go along with the word less; ``mask`` hides the
    word's region in the training images that say it (written to a folder beside ``out``), extracts their features again and
    retrains; ``project`` takes the word's direction out of the head; ``reweight+project`` does one after the other. No group
    labels are used; where the data has some, they only score. Images of a split "train" are trained on and those of "test"
    (else "val") held out; without splits a random share ``held_out`` is. The head is written even when it is no better: see
    ``Mitigation.better``.
    """
    if method not in METHODS:
        raise WordsightError(f"Unknown method '{method}'; wanted one of {', '.join(METHODS)}.")
    classifier = explainer.classifier
    if target.label not in classifier.labels:
        raise LabelError(
            f"'{target.label}' is none of the classifier's {len(classifier.labels)} classes; name one of them with --label."
        )
    if classifier.head_weight is None:
        raise ModelError(
            f"The last layer of '{classifier.name}' is not linear, or is seen through coarser classes; wanted a linear one to "
            "replace. Train one for the data's classes with 'wordsight head'."
        )
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
    rates = np.array([one.rates.words[target.word].rate if target.word in one.rates.words else 0.0 for one in observed.sampled])
    present = torch.from_numpy(rates >= presence_level(rates[:, None])[0])
    if not present.any() or present.all():
        raise WordsightError(
            f"{int(present.sum())} of {len(present)} images say '{target.word}'; wanted some that do and some that do not. "
            "Name a word as the audit's words.csv lists it."
        )
    group = groups_of(observed.label, present)
    train, held = _parts(observed.images, group, held_out, seed)
    before = own_head(explainer)
    missing = sorted(set(range(len(classifier.labels))) - set(observed.label[train].tolist()))
    if missing and method != "project":
        raise LabelError(
            f"{len(missing)} of the classifier's {len(classifier.labels)} classes have no image to train on (first: "
            f"'{classifier.labels[missing[0]]}'); a retrained head could never call them. Use --method project, add images, or "
            "train a head for the data's classes with 'wordsight head'."
        )
    rows = (present & train).nonzero().flatten().tolist()
    after = before
    if method == "mask":
        z = observed.z.clone()
        folder = out.with_name(out.stem + "-masked")
        z[rows] = _masked_features(explainer, observed, target.word, rows, folder, seed=seed, on_images=on_images)
        after = reweight(z[train], observed.label[train], balanced(observed.label[train]), classifier, seed=seed)
    if method in ("reweight", "reweight+project"):
        importance = reweighing(torch.from_numpy(rates)[train], observed.label[train], classifier)
        after = reweight(observed.z[train], observed.label[train], importance, classifier, seed=seed)
    if method in ("project", "reweight+project"):
        direction = word_direction(explainer, observed, target.word, rows, seed=seed)
        projected = project(after.weight, after.bias, [direction], observed.z[train], classifier)
        after = replace(projected, figures=after.figures)
    c = list(classifier.labels).index(target.label)
    names, number = (
        _true_groups(observed.images, observed.label, classifier.labels) if observed.images.groups else (None, group)
    )
    scored = [_score(head, observed, held, train, number, names, present, c) for head in (before, after)]
    mitigation = Mitigation(target.label, target.word, method, names is not None, *scored)
    figures = {"mitigation": {"label": target.label, "word": target.word, "method": method}, **after.figures}
    figures |= {name: {"average": a.average, "worst": a.worst} for name, a in (("before", scored[0]), ("after", scored[1]))}
    save_head(out, replace(after, figures=figures))
    return mitigation


def own_head(explainer: Explainer) -> Head:
    """The classifier's own last layer. Its bias is what it makes of features that are all zero."""
    classifier = explainer.classifier
    assert classifier.head_weight is not None
    bias = classifier.logits(torch.zeros(1, classifier.features))[0]
    return Head(classifier.head_weight, bias, tuple(classifier.labels), classifier.name, classifier.fingerprint)


def to_json(mitigation: Mitigation, out: Path) -> str:
    """One line of JSON."""
    return json.dumps({"head": str(out), "better": mitigation.better, **asdict(mitigation)})


def _parts(images: LabelledImages, group: Int[Tensor, " images"], held_out: float, seed: int) -> tuple[Tensor, Tensor]:
    if images.splits is not None:
        held = next((name for name in ("test", "val") if name in images.splits), None)
        if held is None or "train" not in images.splits:
            raise LabelError(
                f"The data has the splits {', '.join(sorted(set(images.splits)))}; wanted train, and test or val. Name them "
                "so, or leave the column out."
            )
        return torch.tensor([one == "train" for one in images.splits]), torch.tensor([one == held for one in images.splits])
    held = hold_out(held_out, group, seed=seed)
    return ~held, held


def _true_groups(images: LabelledImages, label: Int[Tensor, " images"], labels: Sequence[str]) -> tuple[list[str], Tensor]:
    """Label and true group, named and numbered."""
    assert images.groups is not None
    named = [f"{labels[int(c)]}, {group}" for c, group in zip(label, images.groups, strict=True)]
    names = sorted(set(named))
    return names, torch.tensor([names.index(name) for name in named])


def _score(
    head: Head,
    observed: Observations,
    held: Bool[Tensor, " images"],
    train: Bool[Tensor, " images"],
    number: Int[Tensor, " images"],
    names: list[str] | None,
    present: Bool[Tensor, " images"],
    c: int,
) -> Accuracies:
    predicted = head.logits(observed.z[held]).argmax(1)
    label, number_here = observed.label[held], number[held]
    right = (predicted == label).float()
    groups, shares = [], []
    for g in number_here.unique().tolist():
        rows = number_here == g
        name = names[g] if names is not None else head.labels[g // 2]
        groups.append(Group(name, None if names is not None else bool(g % 2), int(rows.sum()), float(right[rows].mean())))
        shares.append(float((number[train] == g).float().mean()))
    accuracies = np.array([one.accuracy for one in groups])
    return Accuracies(
        average=float(right.mean()),
        reweighted=float(np.average(accuracies, weights=shares)) if sum(shares) else float(accuracies.mean()),
        worst=float(accuracies.min()),
        groups=groups,
        severity=worse_gap(gaps(present[held].numpy(), (predicted == c).numpy(), label.numpy(), c)),
    )


def word_direction(
    explainer: Explainer, observed: Observations, word: str, rows: Sequence[int], *, seed: int
) -> Float[Tensor, " features"]:
    """The mean direction of the word's gradient at some of these images, which say it."""
    return _mean_direction(word, gradients_at(some_of(rows, observed, seed=seed), observed, explainer, seed=seed))


def _mean_direction(word: str, found: Sequence[dict[str, Float[Tensor, " features"]]]) -> Float[Tensor, " features"]:
    directions = [g / g.norm() for by_word in found if (g := by_word.get(word)) is not None and g.norm() > 0]
    if not directions:
        raise WordsightError(
            f"No image has sentences with and without '{word}', so its direction is unknown. Give more --sentences, or use "
            "--method reweight."
        )
    return torch.stack(directions).mean(0)


def _masked_features(
    explainer: Explainer,
    observed: Observations,
    word: str,
    rows: Sequence[int],
    folder: Path,
    *,
    seed: int,
    on_images: OnDone,
) -> Features:
    """Features of these images with the word's region hidden; the masked pictures are written to ``folder``.

    Where all of an image's sentences say the word, or too few, the region is that of the word's mean direction.
    """
    found = gradients_at(rows, observed, explainer, seed=seed)
    mean = _mean_direction(word, found)
    paths = []
    for done, (row, by_word) in enumerate(zip(rows, found, strict=True), start=1):
        path = observed.images.paths[row]
        image = open_rgb(path)
        target = folder / f"{row}-{path.stem}.png"
        with replacing(target) as partial:
            hide(image, locate(explainer.classifier, image, by_word.get(word, mean))).save(partial, format="PNG")
        paths.append(target)
        on_images(done, len(rows))
    extracted = extract_stored(explainer.classifier, paths, observed.store / "features")
    assert len(extracted.kept) == len(rows)  # they were written just now
    return extracted.views.mean(1)
