"""Shared array types. The names in the strings are the axes; tests check them at run time, users pay nothing."""

from typing import TypeAlias

from jaxtyping import Float, Int
from torch import Tensor

Pixels: TypeAlias = Float[Tensor, "images views 3 height width"]
"""Normalised pictures, ready for a classifier; a view is one crop of the picture."""

Features: TypeAlias = Float[Tensor, "images features"]
"""Penultimate, pooled features of a classifier (method symbol z)."""

Views: TypeAlias = Float[Tensor, "images views features"]
"""Features of several crops of each image."""

Prefix: TypeAlias = Float[Tensor, "images prefix hidden"]
"""What a translator makes of features: vectors in the language model's input space."""

TokenIds: TypeAlias = Int[Tensor, "rows tokens"]
"""Token ids of sentences, padded after the end-of-text token."""
