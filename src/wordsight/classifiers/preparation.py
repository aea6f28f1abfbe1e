"""A user's transform as a classifier's preparation of images."""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from PIL import Image
from torch import Tensor

from wordsight.classifiers.classifier import Prepare
from wordsight.errors import ModelError

_WANTED = "(channels, height, width) or (views, channels, height, width)"


def preparation(transform: Callable[[Image.Image], Any], name: str) -> Prepare:
    """``transform`` with its output as (views, channels, height, width); its errors name ``name``'s transform."""

    def prepare(image: Image.Image) -> Float[Tensor, "views channels height width"]:
        made = transform(image)
        if not isinstance(made, Tensor | np.ndarray) and hasattr(made, "__getitem__") and "pixel_values" in made:
            made = made["pixel_values"]
        try:
            pixels = torch.as_tensor(np.asarray(made) if isinstance(made, list) else made)
        except (RuntimeError, TypeError, ValueError):
            raise ModelError(_returned(transform, name, _described(made))) from None
        pixels = pixels[None] if pixels.ndim == 3 else pixels
        if pixels.ndim != 4 or 0 in pixels.shape:
            raise ModelError(_returned(transform, name, f"a tensor of shape {tuple(pixels.shape)}"))
        return pixels.float()

    return prepare


def probe(prepare: Prepare, transform: object, name: str) -> Float[Tensor, "views channels height width"]:
    """Squares of random colours, prepared: they differ at whatever size they are seen. Raises ModelError if that fails."""
    squares = np.random.default_rng(0).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    try:
        return prepare(Image.fromarray(squares).resize((320, 320), Image.Resampling.NEAREST))
    except ModelError:
        raise
    except Exception as error:  # the user's code
        raise ModelError(
            f"The transform of '{name}' ({_shown(transform)}) failed on an RGB image of 320 x 320 pixels "
            f"({type(error).__name__}: {error}). Wanted a normalised tensor {_WANTED} of a PIL image."
        ) from error


def _returned(transform: object, name: str, what: str) -> str:
    return (
        f"The transform of '{name}' ({_shown(transform)}) gave {what}, wanted {_WANTED}: a normalised tensor. Add ToTensor and "
        "Normalize, or check their order."
    )


def _shown(transform: object) -> str:
    return getattr(transform, "__qualname__", None) or type(transform).__name__


def _described(made: object) -> str:
    if isinstance(made, Image.Image):
        return f"a PIL image of {made.width} x {made.height} pixels"
    return "nothing" if made is None else f"a {type(made).__name__}"
