"""The accuracies of a head on held-out images, by group."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Int
from torch import Tensor, tensor

from wordsight.audits.findings import Group
from wordsight.audits.observations import Observations
from wordsight.audits.severity import gaps, worse_gap
from wordsight.classifiers.head import Head
from wordsight.mitigation.result import Accuracies


@dataclass(frozen=True)
class Groups:
    """The group of each image, by number; ``names`` of true groups, or None for label and presence of a word."""

    number: Int[Tensor, " images"]
    names: list[str] | None


def true_groups(observed: Observations, labels: Sequence[str]) -> Groups:
    """The groups of label and the data's own group. The data must have groups."""
    assert observed.images.groups is not None
    named = [f"{labels[int(c)]}, {group}" for c, group in zip(observed.label, observed.images.groups, strict=True)]
    names = sorted(set(named))
    return Groups(tensor([names.index(name) for name in named]), names)


def accuracies(
    head: Head,
    observed: Observations,
    groups: Groups,
    present: Bool[Tensor, " images"],
    c: int,
    *,
    train: Bool[Tensor, " images"],
    held: Bool[Tensor, " images"],
) -> Accuracies:
    """The accuracies of a head on the images ``held``, and the severity of the word ``present`` for class ``c`` there.

    The reweighted average takes the groups' shares of the images ``train``.
    """
    predicted = head.logits(observed.z[held]).argmax(1)
    label, number = observed.label[held], groups.number[held]
    right = (predicted == label).float()
    measured, shares = [], []
    for g in number.unique().tolist():
        rows = number == g
        name = head.labels[g // 2] if groups.names is None else groups.names[g]
        has_word = bool(g % 2) if groups.names is None else None
        measured.append(Group(name, has_word, int(rows.sum()), float(right[rows].mean())))
        shares.append(float((groups.number[train] == g).float().mean()))
    by_group = np.array([group.accuracy for group in measured])
    return Accuracies(
        average=float(right.mean()),
        reweighted=float(np.average(by_group, weights=shares)) if sum(shares) else float(by_group.mean()),
        worst=float(by_group.min()),
        groups=measured,
        severity=worse_gap(gaps(present[held].numpy(), (predicted == c).numpy(), label.numpy(), c)),
    )
