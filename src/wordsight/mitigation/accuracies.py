"""The accuracies of a head on held-out images, by group."""

from collections.abc import Sequence, Set
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Int
from torch import Tensor, tensor

from wordsight.audits.findings import Group
from wordsight.audits.observations import Observations
from wordsight.audits.severity import gaps, worse_gap
from wordsight.audits.statistics import Estimate
from wordsight.classifiers.head import Head
from wordsight.mitigation import LEAST
from wordsight.mitigation.paired import average_change, likely_worst, worst_change
from wordsight.mitigation.parts import Parts
from wordsight.mitigation.result import Accuracies
from wordsight.mitigation.target import Target


@dataclass(frozen=True)
class Groups:
    """The group of each image, by number; ``names`` of true groups, or None for label and presence of a word."""

    number: Int[Tensor, " images"]
    names: list[str] | None

    def name(self, g: int, labels: Sequence[str], word: str) -> str:
        """A group's name, with the presence of the word where that makes it."""
        return self.names[g] if self.names is not None else f"{labels[g // 2]}, {'with' if g % 2 else 'without'} '{word}'"


@dataclass(frozen=True)
class Measurable:
    """``counted``: the groups whose worst one is measured; ``small``: images of those left out, fewer than ``LEAST`` each.

    ``enough``: whether no group that the verdict needs is left out.
    """

    counted: frozenset[int]
    small: dict[int, int]
    enough: bool


def measurable(groups: Groups, held: Bool[Tensor, " images"], label: Int[Tensor, " images"], c: int) -> Measurable:
    """Which groups have ``LEAST`` images or more to measure on.

    Of the data's own groups the verdict needs all. Of label and word it needs those that the finding is about: class ``c``
    without the word, and one other class with it at least; others may be few where classes are many.
    """
    others = {2 * int(k) + 1 for k in label.unique() if k != c}
    wanted = set(groups.number.tolist()) | (set() if groups.names is not None else {2 * c} | others)
    sizes = {g: int((groups.number[held] == g).sum()) for g in sorted(wanted)}
    counted = frozenset(g for g, size in sizes.items() if size >= LEAST)
    small = {g: size for g, size in sizes.items() if size < LEAST}
    return Measurable(counted, small, not small if groups.names is not None else 2 * c in counted and bool(others & counted))


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
    counted: Set[int],
) -> Accuracies:
    """The accuracies of a head on the images ``held``, and the severity of the word ``present`` for class ``c`` there.

    The reweighted average takes the groups' shares of the images ``train``. The worst group is one of those ``counted``.
    """
    predicted = head.logits(observed.z[held]).argmax(1)
    label, number = observed.label[held], groups.number[held]
    right = (predicted == label).float()
    measured, shares, worst = [], [], []
    for g in number.unique().tolist():
        rows = number == g
        name = head.labels[g // 2] if groups.names is None else groups.names[g]
        has_word = bool(g % 2) if groups.names is None else None
        measured.append(Group(name, has_word, int(rows.sum()), float(right[rows].mean())))
        shares.append(float((groups.number[train] == g).float().mean()))
        worst += [measured[-1].accuracy] if g in counted or not counted else []
    by_group = np.array([group.accuracy for group in measured])
    return Accuracies(
        average=float(right.mean()),
        reweighted=float(np.average(by_group, weights=shares)) if sum(shares) else float(by_group.mean()),
        worst=min(worst),
        groups=measured,
        severity=worse_gap(gaps(present[held].numpy(), (predicted == c).numpy(), label.numpy(), c)),
    )


@dataclass(frozen=True)
class Measured:
    """Accuracies of the old and the new head, their changes, and the groups that have too few images to count (with how many)."""

    before: Accuracies
    after: Accuracies
    worst_change: Estimate
    average_change: Estimate
    too_small: dict[str, int]


def measure(
    heads: tuple[Head, Head],
    observed: Observations,
    groups: Groups,
    parts: Parts,
    present: Bool[Tensor, " images"],
    target: Target,
) -> Measured:
    """Measure two heads on the images ``parts.held``. ``present``: which images have the target's word.

    Where a group that the verdict needs has too few images (see ``measurable``), the interval of the change is -1..1.
    """
    labels, label, held = heads[0].labels, observed.label, parts.held
    c = labels.index(target.label)
    of = measurable(groups, held, label, c)
    before, after = (
        accuracies(head, observed, groups, present, c, train=parts.train, held=held, counted=of.counted) for head in heads
    )
    old, new = ((head.logits(observed.z).argmax(1) == label).numpy() for head in heads)
    group, rest, measured = groups.number.numpy(), parts.rest.numpy(), held.numpy()
    rows = measured & np.isin(group, sorted(of.counted))
    worst = Estimate(after.worst - before.worst, -1.0, 1.0)
    if of.enough:
        suspect = likely_worst(old[rest], group[rest], of.counted)
        worst = worst_change(old[rows], new[rows], group[rows], suspect=suspect)
    too_small = {groups.name(g, labels, target.word): size for g, size in of.small.items()}
    return Measured(before, after, worst, average_change(old[measured], new[measured]), too_small)
