"""Take what a word adds to the features out of a head."""

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from wordsight.audits.groups import ALIKE, alikeness
from wordsight.classifiers.classifier import Classifier
from wordsight.classifiers.head import Head
from wordsight.tensors import Features

#: The ridge penalty, in images.
PENALTY = 5.0


def added_by_words(z: Features, rates: Float[np.ndarray, "images words"]) -> Float[Tensor, "words features"]:
    """What each word adds to the features while the other words stay fixed, for a rate of 1 instead of 0.

    The ridge regression of features on the rates of all words together: what a word has in common with others that go along with
    it (the class's own name, above all) is not its own.
    """
    y = torch.from_numpy(rates).double()
    y = y - y.mean(0)
    gram = y.T @ y + PENALTY * torch.eye(y.shape[1], dtype=torch.float64)
    return torch.linalg.solve(gram, y.T @ (z.double() - z.double().mean(0))).float()


def added_by_thing(
    z: Features, rates: Float[np.ndarray, "images words"], label: Int[Tensor, " images"], word: int
) -> Float[Tensor, " features"]:
    """What a thing adds to the features while the other words stay fixed: the word with this number, and other names of the thing.

    Words that are much like it among images of one class (``groups.ALIKE``: ocean, wave, beach) stand together with it, as the
    chance that any of them is said. Held fixed, they would keep most of the thing to themselves.
    """
    alike = alikeness(rates, label.numpy())[word] >= ALIKE
    thing = 1 - np.prod(1 - np.clip(rates[:, alike], 0, 1), axis=1)
    return added_by_words(z, np.concatenate([thing[:, None], rates[:, ~alike]], axis=1))[0]


def project(
    weight: Float[Tensor, "classes features"],
    bias: Float[Tensor, " classes"],
    directions: Sequence[Float[Tensor, " features"]],
    z: Features,
    label: Int[Tensor, " images"],
    classifier: Classifier,
) -> Head:
    """Take directions out of the weights of every class, changing its logits as little as that allows.

    Afterwards no logit changes when features move along a direction (``added_by_words``); the mean logits over ``z`` stay as
    they are. *Little* is the variance of the change within classes: with S the features' covariance there and b a direction,
    weights h become ``h - S^-1 b (b' h) / (b' S^-1 b)``. Unlike an orthogonal projection, that does not depend on the features'
    units, and spares directions along which images of one class hardly differ.
    """
    x = z.double()
    within = torch.stack([x[label == c].mean(0) for c in label.unique()])[label.unique(return_inverse=True)[1]]
    spread = (x - within).square().mean(0).sqrt()
    spread = torch.where(spread > 1e-6 * (1e-3 + x.abs().mean(0)), spread, 1.0)  # a feature that is always the same
    correlation = ((x - within) / spread).T @ ((x - within) / spread) / len(x)
    # As if so many images as features had been seen in which features are independent; any less is singular with few images.
    prior = x.shape[1] / (len(x) + x.shape[1])
    shrunk = (1 - prior) * correlation + prior * torch.eye(x.shape[1], dtype=torch.float64)
    b = torch.stack(list(directions)).double().T / spread[:, None]
    against = torch.linalg.solve(shrunk, b)
    taken = ((weight.double() * spread) @ b) @ torch.linalg.solve(b.T @ against, against.T) / spread
    shift = taken @ x.mean(0)
    return Head(
        (weight - taken.float()),
        (bias + shift.float()),
        tuple(classifier.labels),
        classifier.spec or classifier.name,
        classifier.fingerprint,
    )
