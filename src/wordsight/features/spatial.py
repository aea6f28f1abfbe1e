"""Where in the picture a direction of the features comes from: Grad-CAM for any direction (Selvaraju et al. 2017).

The gradient of ``direction . z`` at the last spatial feature map is averaged over places, the map's channels are summed with
these weights, and what is negative is cut off. For a class the direction is the gradient of its logit; for a word, that of the
logarithm of its rate.
"""

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from math import isqrt
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from PIL import Image
from torch import Tensor, nn

from wordsight.errors import ModelError

Locate = Callable[[Float[Tensor, "n 3 height width"], Float[Tensor, "n features"]], Float[Tensor, "n rows columns"]]
"""Pixels and a direction for each -> a map of where the direction comes from; 0 or more, on the scale of the gradient."""


def locator(module: nn.Module, head: nn.Module, name: str) -> Locate:
    """``Locate`` for a torch module whose last layer is ``head``. Raises ModelError, when used, if it has no spatial map."""
    known: list[nn.Module] = []  # the layer, once it is found

    def locate(pixels: Tensor, direction: Tensor) -> Tensor:
        for layer in known or _spatial_layers(module, pixels[:1]):
            found = _activation_map(module, head, layer, pixels, direction)
            if found is not None:
                known[:] = [layer]
                return found
        raise ModelError(
            f"'{name}' has no layer whose output still has places, so words cannot be located. Wanted feature maps (n, "
            "channels, rows, columns) or patch tokens (n, tokens, channels) that the features depend on."
        )

    return locate


def _spatial_layers(module: nn.Module, pixels: Tensor) -> list[nn.Module]:
    """The modules whose output has places, the last to run first."""
    seen: list[nn.Module] = []

    def note(layer: nn.Module, _inputs: Any, output: Any) -> None:
        if isinstance(output, Tensor) and _places(output) is not None:
            seen.append(layer)

    with ExitStack() as stack, torch.inference_mode():
        for layer in module.modules():
            if layer is not module:
                stack.callback(layer.register_forward_hook(note).remove)
        module(pixels)
    return seen[::-1]


def _activation_map(module: nn.Module, head: nn.Module, layer: nn.Module, pixels: Tensor, direction: Tensor) -> Tensor | None:
    """The map at one layer; None if the features do not depend on its places."""
    kept: dict[str, Tensor] = {}

    def cut(_layer: nn.Module, _inputs: Any, output: Tensor) -> Tensor:
        kept["map"] = output.detach().requires_grad_()
        return kept["map"].clone()  # what follows may change it in place

    def keep(_head: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        kept["z"] = inputs[0].flatten(1)

    with torch.enable_grad():
        hooks = [layer.register_forward_hook(cut), head.register_forward_pre_hook(keep)]
        try:
            module(pixels)
        finally:
            for hook in hooks:
                hook.remove()
        if not kept["z"].requires_grad:
            return None
        (gradient,) = torch.autograd.grad(kept["z"], kept["map"], grad_outputs=direction.to(kept["z"].dtype))
    values, gradients = _places(kept["map"].detach()), _places(gradient)
    assert values is not None
    assert gradients is not None
    if not bool(gradients.any()):  # a class token's own path: its last layer does not look at the patches
        return None
    weight = gradients.mean((2, 3), keepdim=True)
    return (weight * values).sum(1).clamp(min=0).float().cpu()


def _places(output: Tensor) -> Float[Tensor, "n channels rows columns"] | None:
    """A layer's output as a map with places, or None if it has none."""
    if output.ndim == 4:
        if output.shape[1] == output.shape[2] != output.shape[3]:  # channels last, as Swin has them
            output = output.permute(0, 3, 1, 2)
        return output if min(output.shape[2:]) > 1 else None
    if output.ndim == 3:
        side = isqrt(output.shape[1])
        if side < 2:
            return None
        patches = output[:, output.shape[1] - side * side :]  # class and register tokens come first
        return patches.transpose(1, 2).unflatten(2, (side, side))
    return None


@dataclass(frozen=True)
class Box:
    """A rectangle in a picture, in shares of its width and height."""

    left: float
    top: float
    right: float
    bottom: float


def view_boxes(prepare: Callable[[Image.Image], Tensor], size: tuple[int, int]) -> list[Box]:
    """Which part of a picture of ``size`` (width, height) each view of ``prepare`` shows.

    A picture whose red is its x and whose green is its y goes through the preparation; black and white say what it does to
    values. Works for whatever resizes, crops and normalises.
    """
    width, height = size
    x, y = np.meshgrid(np.linspace(0, 255, width), np.linspace(0, 255, height))
    ramp = Image.fromarray(np.stack([x, y, np.zeros_like(x)], axis=-1).round().astype(np.uint8))
    black, white = (prepare(Image.new("RGB", size, colour)) for colour in ("black", "white"))
    shares = (prepare(ramp) - black) / (white - black).abs().clamp(min=1e-6)
    boxes = []
    for red, green, _ in shares:
        (left, right), (top, bottom) = _ends(red.mean(0)), _ends(green.mean(1))
        boxes.append(Box(left, top, right, bottom))
    return boxes


def _ends(centres: Float[Tensor, " pixels"]) -> tuple[float, float]:
    """The outer edges of a line of pixels whose centres lie at these shares of the picture."""
    half = float((centres[-1] - centres[0]) / (len(centres) - 1) / 2)
    return min(1.0, max(0.0, float(centres[0]) - half)), min(1.0, max(0.0, float(centres[-1]) + half))


def middle_square(box: Box, size: tuple[int, int]) -> Box:
    """The same rectangle in shares of the picture's middle square; parts of it may lie outside [0, 1]."""
    width, height = size
    side = min(width, height)
    left, top = (width - side) / 2, (height - side) / 2
    return Box(
        (box.left * width - left) / side,
        (box.top * height - top) / side,
        (box.right * width - left) / side,
        (box.bottom * height - top) / side,
    )


def on_picture(
    maps: Sequence[Float[Tensor, "rows columns"]], boxes: Sequence[Box], side: int = 28
) -> Float[np.ndarray, "side side"]:
    """The views' maps on what the boxes are shares of, in a grid of ``side`` by ``side`` cells, the largest value 1.

    Where views overlap their mean is taken; what no view shows is 0.
    """
    total, views = np.zeros((side, side)), np.zeros((side, side))
    centre = (np.arange(side) + 0.5) / side
    for one, box in zip(maps, boxes, strict=True):
        x, y = np.meshgrid((centre - box.left) / (box.right - box.left), (centre - box.top) / (box.bottom - box.top))
        inside = (x >= 0) & (x <= 1) & (y >= 0) & (y <= 1)
        grid = torch.from_numpy(np.stack([2 * x - 1, 2 * y - 1], axis=-1)).float()[None]
        drawn = nn.functional.grid_sample(one[None, None], grid, align_corners=False, padding_mode="border")[0, 0].numpy()
        total += np.where(inside, drawn, 0)
        views += inside
    mean = total / np.maximum(views, 1)
    return mean / mean.max() if mean.max() > 0 else mean
