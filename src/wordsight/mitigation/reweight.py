"""Retrain a head on images weighted so that a word no longer separates the classes."""

from dataclasses import replace

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from wordsight.classifiers.classifier import Classifier
from wordsight.classifiers.head import Head
from wordsight.features.heads import fit_head
from wordsight.tensors import Features

#: The penalties on the squared weights that are tried; the fewer images carry the weight, the larger the best one.
PENALTIES = (1.0, 10.0, 100.0, 1000.0, 10_000.0)
#: The maximum weight of an image, in medians of its label's weights: enough if 95% of a label's images have the word.
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
    """Retrain the last layer with images weighted by ``importance``, 0 or more.

    The penalty is the one of ``PENALTIES`` with the lowest weighted loss in cross-validation on these images with ``folds``
    folds: where few images carry the weight, losses are more informative than accuracies. ``seed`` draws the folds.
    """
    labels = tuple(classifier.labels)
    fold = spread_over(folds, label, importance, seed=seed)
    losses = []
    for penalty in PENALTIES:
        loss = torch.zeros(len(z))
        for number in range(folds):
            trained, held = fold != number, fold == number
            # The only image of a label is never left out: without it the label could not be learned.
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

    ``rate``: of the word, in [0, 1]. Kamiran & Calders (2012) give an image of label y in group a the weight
    P(y) P(a) / P(y, a) = P(y) / P(y | a). Here the group is the word's rate, and P(y | rate) is a logistic regression: the higher
    the rate of a word that is rare in the image's label, the larger the weight. (Groups by presence would consist mainly of
    images of the frequent kind whose rate is wrong.) No weight is above ``MAX_WEIGHT`` times its label's median: otherwise a
    single wrong label could dominate.
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
    """Weights under which all groups have the same total weight; their mean is 1."""
    _, number, size = group.unique(return_inverse=True, return_counts=True)
    return (len(group) / len(size) / size)[number]


def groups_of(label: Int[Tensor, " images"], present: Bool[Tensor, " images"]) -> Int[Tensor, " images"]:
    """A number for each pair of label and presence of the word: 2 * label, plus 1 with the word."""
    return 2 * label + present.long()


def spread_over(
    folds: int, label: Int[Tensor, " images"], importance: Float[Tensor, " images"], *, seed: int
) -> Int[Tensor, " images"]:
    """A fold for each image; the images of every label, and the heavy ones among them, are spread evenly over the folds.

    scikit-learn's ``StratifiedKFold`` spreads labels, but not weights.
    """
    fold = torch.zeros(len(label), dtype=torch.long)
    generator = torch.Generator().manual_seed(seed)
    for number in label.unique():
        rows = (label == number).nonzero().flatten()
        rows = rows[torch.randperm(len(rows), generator=generator)]
        rows = rows[importance[rows].argsort(stable=True)]
        first = int(torch.randint(folds, (1,), generator=generator))
        fold[rows] = (first + torch.arange(len(rows))) % folds
    return fold


def hold_out(
    share: float, group: Int[Tensor, " images"], *, seed: int, among: Bool[Tensor, " images"] | None = None
) -> Bool[Tensor, " images"]:
    """A share, in [0, 1], of each group, drawn at random; at least one image of each group is not held out.

    ``among``: the images that may be held out; all by default. scikit-learn's ``train_test_split`` refuses groups of one image.
    """
    held = torch.zeros(len(group), dtype=torch.bool)
    generator = torch.Generator().manual_seed(seed)
    for g in group.unique():
        own = group == g
        rows = (own if among is None else own & among).nonzero().flatten()
        count = min(len(rows), int(own.sum()) - 1, round(share * int(own.sum())))
        held[rows[torch.randperm(len(rows), generator=generator)[:count]]] = True
    return held
