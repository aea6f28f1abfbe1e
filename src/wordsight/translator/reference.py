"""Usual features: what a word's lift is measured against."""

import torch
from jaxtyping import Float
from torch import Tensor

from wordsight.tensors import Features

#: Usual features of a translator at most, and images that they are made of.
REFERENCES, _IMAGES = 250, 2000


def reference_features(z: Features) -> Float[Tensor, "usual features"]:
    """Up to ``REFERENCES`` usual features: half-way from an image's to those most like them (Chawla and others 2002, SMOTE).

    They hold what images hold and, but for copies, are none's own. (At the mean of all features a language model writes no English;
    normal numbers with the features' covariance have too few rare things.) Images are taken evenly; of one image its features are
    left.
    """
    some = z[_evenly(len(z), _IMAGES)]
    if len(some) < 2:
        return some.clone()
    x = torch.nn.functional.normalize((some - some.mean(0)) / (some.std(0) + 1e-3))
    chosen = _evenly(len(some), REFERENCES)
    alike = x[chosen] @ x.T
    alike[torch.arange(len(chosen)), chosen] = -torch.inf
    return (some[chosen] + some[alike.argmax(1)]) / 2


def _evenly(count: int, limit: int) -> Tensor:
    return torch.linspace(0, count - 1, min(count, limit)).round().long()
