"""Better heads: retrained on data in which the word no longer tells the classes apart, or without the word's direction."""

from collections.abc import Sequence
from dataclasses import replace

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from wordsight.features.classifier import Classifier
from wordsight.features.head import Head, fit_head
from wordsight.tensors import Features

#: Penalties on the squared weights that are tried; few images in a group ask for more.
PENALTIES = (1.0, 10.0, 100.0, 1000.0, 10_000.0)


def reweight(
    z: Features,
    label: Int[Tensor, " images"],
    group: Int[Tensor, " images"],
    classifier: Classifier,
    *,
    folds: int = 4,
    seed: int = 0,
) -> Head:
    """Retrain the last layer with every group weighing the same (deep feature reweighting, Kirichenko et al. 2023).

    ``group`` numbers the groups, label and suspect word present or not. The penalty is the one with the lowest loss in
    cross-validation on these images, groups weighing the same: losses say more than accuracies where a group has few images.
    """
    labels = tuple(classifier.labels)
    fold = spread_over(folds, group, seed=seed)
    losses = []
    for penalty in PENALTIES:
        loss = torch.zeros(len(z))
        for one in range(folds):
            kept, held = fold != one, fold == one
            # An image that is all there is of its label stays in: without it the label could not be learned at all.
            kept |= torch.isin(label, label[held]) & ~torch.isin(label, label[kept])
            head = fit_head(z[kept], label[kept], labels, classifier, importance=balanced(group[kept]), penalty=penalty)
            loss[held] = torch.nn.functional.cross_entropy(head.logits(z[held]), label[held], reduction="none")
        losses.append(float((loss * balanced(group)).mean()))
    best = PENALTIES[losses.index(min(losses))]
    head = fit_head(z, label, labels, classifier, importance=balanced(group), penalty=best)
    return replace(head, figures={"penalty": best, "loss_in_cross_validation": round(min(losses), 4)})


def project(
    weight: Float[Tensor, "classes features"],
    bias: Float[Tensor, " classes"],
    directions: Sequence[Float[Tensor, " features"]],
    z: Features,
    classifier: Classifier,
) -> Head:
    """Take the words' directions out of every class's weights; mean logits over ``z`` stay as they are.

    Afterwards the gradient of each of these words' rates is orthogonal to every logit: the decision no longer uses it.
    """
    basis = torch.linalg.qr(torch.stack(list(directions)).double().T).Q
    taken = (weight.double() @ basis) @ basis.T
    shift = taken @ z.double().mean(0)
    return Head(
        (weight - taken.float()), (bias + shift.float()), tuple(classifier.labels), classifier.name, classifier.fingerprint
    )


def balanced(group: Int[Tensor, " images"]) -> Float[Tensor, " images"]:
    """Weights under which every group weighs the same and the mean is 1."""
    _, number, size = group.unique(return_inverse=True, return_counts=True)
    return (len(group) / len(size) / size)[number]


def groups_of(label: Int[Tensor, " images"], present: Bool[Tensor, " images"]) -> Int[Tensor, " images"]:
    """A number for each label with the word, and each without it."""
    return 2 * label + present.long()


def spread_over(folds: int, group: Int[Tensor, " images"], *, seed: int) -> Int[Tensor, " images"]:
    """A fold for each image; every group is spread over the folds as evenly as can be, starting at a random one."""
    fold = torch.zeros(len(group), dtype=torch.long)
    generator = torch.Generator().manual_seed(seed)
    for g in group.unique():
        rows = (group == g).nonzero().flatten()
        first = int(torch.randint(folds, (1,), generator=generator))
        fold[rows[torch.randperm(len(rows), generator=generator)]] = (first + torch.arange(len(rows))) % folds
    return fold


def hold_out(share: float, group: Int[Tensor, " images"], *, seed: int) -> Bool[Tensor, " images"]:
    """A share of each group, drawn at random; a group's last image is not held out."""
    held = torch.zeros(len(group), dtype=torch.bool)
    generator = torch.Generator().manual_seed(seed)
    for g in group.unique():
        rows = (group == g).nonzero().flatten()
        most = min(len(rows) - 1, round(share * len(rows)))
        held[rows[torch.randperm(len(rows), generator=generator)[:most]]] = True
    return held
