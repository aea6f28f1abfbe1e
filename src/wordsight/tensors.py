"""Shared array types, and what identifies a set of weights.

The names in the strings are the axes; tests check them at run time, users pay nothing.
"""

import hashlib
from collections.abc import Mapping
from typing import TypeAlias

import torch
from jaxtyping import Float, Int
from torch import Tensor

Pixels: TypeAlias = Float[Tensor, "images views channels height width"]
"""Normalised images, ready for a classifier; a view is one crop of the image."""

Features: TypeAlias = Float[Tensor, "images features"]
"""Penultimate, pooled features of a classifier (method symbol z)."""

Views: TypeAlias = Float[Tensor, "images views features"]
"""Features of several crops of each image."""

Prefix: TypeAlias = Float[Tensor, "images prefix hidden"]
"""What a translator makes of features: vectors in the language model's input space."""

TokenIds: TypeAlias = Int[Tensor, "rows tokens"]
"""Token ids of sentences, padded after the end-of-text token."""


def weights_fingerprint(weights: Mapping[str, Tensor]) -> str:
    """SHA-256 over every tensor's name, shape and 2,048 of its values (first and last), as float32.

    A sample, so that a model of many gigabytes takes no longer than a small one.
    """
    digest = hashlib.sha256()
    for name in sorted(weights):
        values = weights[name].detach().flatten()
        digest.update(f"{name} {tuple(weights[name].shape)}".encode())
        digest.update(torch.cat([values[:1024], values[-1024:]]).float().cpu().numpy().tobytes())
    return digest.hexdigest()
