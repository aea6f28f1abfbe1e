"""Retrain a head on images weighed so that a word no longer separates the classes."""

from dataclasses import replace

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from wordsight.classifiers.classifier import Classifier
from wordsight.classifiers.head import Head
from wordsight.features.heads import fit_head
from wordsight.tensors import Features

#: Penalties on the squared weights that are tried; where few images weigh most they ask for more.
PENALTIES = (1.0, 10.0, 100.0, 1000.0, 10_000.0)


#: How many times as much as its label's median image an image may weigh: what it takes if 95% of a label have a word.
MAX_WEIGHT = 20.0


def reweight(
    z: Features,
    label: Int[Tensor, " images"],
    importance: Float[Tensor, " images"],
    classifier: Classifier,
    *,
    folds: int = 4,
    seed: int = 0,
) -> Head:
    """Retrain the last layer with images weighed by ``importance``.

    The penalty is the one with the lowest loss in cross-validation on these images with the same weights: where few images
    weigh much, losses are more informative than accuracies.
    """
    labels = tuple(classifier.labels)
    fold = spread_over(folds, label, importance, seed=seed)
    losses = []
    for penalty in PENALTIES:
        loss = torch.zeros(len(z))
        for number in range(folds):
            trained, held = fold != number, fold == number
            # An image that is all there is of its label stays in: without it the label could not be learned at all.
            trained |= torch.isin(label, label[held]) & ~torch.isin(label, label[trained])
            head = fit_head(z[trained], label[trained], labels, classifier, importance=importance[trained], penalty=penalty)
            loss[held] = torch.nn.functional.cross_entropy(head.logits(z[held]), label[held], reduction="none")
        losses.append(float((loss * importance).mean()))
    best = PENALTIES[losses.index(min(losses))]
    head = fit_head(z, label, labels, classifier, importance=importance, penalty=best)
    return replace(head, figures={"penalty": best, "loss_in_cross_validation": round(min(losses), 4)})


def reweighing(
    rate: Float[Tensor, " images"], label: Int[Tensor, " images"], classifier: Classifier
) -> Float[Tensor, " images"]:
    """Weights under which the label goes along with the word less, or not at all; their mean in every label is 1.

    Kamiran & Calders (2012) weigh an image of label y in group a by P(y) P(a) / P(y, a) = P(y) / P(y | a). Here the group is a
    word's ``rate``, so P(y | rate) comes from a logistic regression: the surer a word is that does not go with its image's
    label, the more the image weighs. Hard groups would be mostly those images of the common kind whose rate errs. No image
    weighs more than ``MAX_WEIGHT`` times its label's median: a wrong label would carry everything else.
    """
    odds = fit_head(rate[:, None].float(), label, classifier.labels, classifier).logits(rate[:, None].float())
    given = odds.softmax(1).gather(1, label[:, None])[:, 0]
    weights = 1 / given
    for own in (label == c for c in label.unique()):
        heaviest = MAX_WEIGHT * weights[own].median()
        weights[own] = weights[own].clamp(max=float(heaviest))
        weights[own] /= weights[own].mean()
    return weights


def balanced(group: Int[Tensor, " images"]) -> Float[Tensor, " images"]:
    """Weights under which every group weighs the same and the mean is 1."""
    _, number, size = group.unique(return_inverse=True, return_counts=True)
    return (len(group) / len(size) / size)[number]


def groups_of(label: Int[Tensor, " images"], present: Bool[Tensor, " images"]) -> Int[Tensor, " images"]:
    """A number for each label with the word, and each without it."""
    return 2 * label + present.long()


def spread_over(
    folds: int, label: Int[Tensor, " images"], importance: Float[Tensor, " images"], *, seed: int
) -> Int[Tensor, " images"]:
    """A fold for each image; every label's images, and those of them that weigh most, are spread as evenly as can be."""
    fold = torch.zeros(len(label), dtype=torch.long)
    generator = torch.Generator().manual_seed(seed)
    for number in label.unique():
        rows = (label == number).nonzero().flatten()
        rows = rows[torch.randperm(len(rows), generator=generator)]
        rows = rows[importance[rows].argsort(stable=True)]
        first = int(torch.randint(folds, (1,), generator=generator))
        fold[rows] = (first + torch.arange(len(rows))) % folds
    return fold


def hold_out(share: float, group: Int[Tensor, " images"], *, seed: int) -> Bool[Tensor, " images"]:
    """A share of each group, drawn at random; a group's last image is not held out."""
    held = torch.zeros(len(group), dtype=torch.bool)
    generator = torch.Generator().manual_seed(seed)
    for g in group.unique():
        rows = (group == g).nonzero().flatten()
        held_out = min(len(rows) - 1, round(share * len(rows)))
        held[rows[torch.randperm(len(rows), generator=generator)[:held_out]]] = True
    return held
