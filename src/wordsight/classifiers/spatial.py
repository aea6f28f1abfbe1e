"""Where in the image a direction of the features comes from: Grad-CAM for any direction (Selvaraju et al. 2017).

The gradient of ``direction . z`` at the last spatial feature map is averaged over positions, the map's channels are summed with
these weights, and what is negative is cut off. For a class the direction is the gradient of its logit; for a word, that of the
logarithm of its rate.
"""

import threading
from collections.abc import Callable
from contextlib import ExitStack
from math import isqrt
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from wordsight.errors import ModelError

Locate = Callable[[Float[Tensor, "n channels height width"], Float[Tensor, "n features"]], Float[Tensor, "n rows columns"]]
"""Pixels and a direction for each -> a map of where the direction comes from; 0 or more, on the scale of the gradient."""


#: Hooks belong to a module, not to a thread: a forward pass of another thread would run into them.
ONE_AT_A_TIME = threading.RLock()


def dtype_of(module: nn.Module) -> torch.dtype:
    """The type of a module's weights; float32 if it has none."""
    return next((p.dtype for p in module.parameters() if p.is_floating_point()), torch.float32)


def first_tensor(arguments: tuple[Any, ...], named: dict[str, Any]) -> Tensor | None:
    """The first tensor that a layer is called with, by place or by name."""
    return next((value for value in (*arguments, *named.values()) if isinstance(value, Tensor)), None)


def locator(
    module: nn.Module, head: nn.Module, name: str, *, reduce: Callable[[Tensor], Tensor] = lambda z: z.flatten(1)
) -> Locate:
    """``Locate`` for a torch module whose last layer is ``head``, which is called with what ``reduce`` makes features of.

    Raises ModelError, when used, if it has no spatial map.
    """
    known: list[nn.Module] = []  # the layer, once it is found

    def locate(pixels: Tensor, direction: Tensor) -> Tensor:
        pixels = pixels.to(dtype_of(module))
        for layer in known or _spatial_layers(module, pixels[:1]):
            found = _activation_map(module, (head, reduce), layer, pixels, direction)
            if found is not None:
                known[:] = [layer]
                return found
        raise ModelError(
            f"'{name}' has no layer with a spatial feature map, so words cannot be located. Wanted feature maps (n, "
            "channels, rows, columns) or patch tokens (n, tokens, channels) that the features depend on."
        )

    return locate


def _spatial_layers(module: nn.Module, pixels: Tensor) -> list[nn.Module]:
    """The modules whose output is a spatial feature map, the last to run first."""
    seen: list[nn.Module] = []

    def note(layer: nn.Module, _inputs: Any, output: Any) -> None:
        if isinstance(output, Tensor) and _feature_map(output) is not None:
            seen.append(layer)

    with ONE_AT_A_TIME, ExitStack() as stack, torch.inference_mode():
        for layer in module.modules():
            if layer is not module:
                stack.callback(layer.register_forward_hook(note).remove)
        module(pixels)
    return seen[::-1]


def _activation_map(
    module: nn.Module,
    head: tuple[nn.Module, Callable[[Tensor], Tensor]],
    layer: nn.Module,
    pixels: Tensor,
    direction: Tensor,
) -> Tensor | None:
    """The map at one layer; None if the features do not depend on it."""
    last, reduce = head
    captured: dict[str, Tensor] = {}

    def cut(_layer: nn.Module, _inputs: Any, output: Tensor) -> Tensor:
        captured["map"] = output.detach().requires_grad_()
        return captured["map"].clone()  # what follows may change it in place

    def capture(_head: nn.Module, arguments: tuple[Any, ...], named: dict[str, Any]) -> None:
        if (tensor := first_tensor(arguments, named)) is not None:
            captured["z"] = reduce(tensor)

    with ONE_AT_A_TIME, torch.enable_grad():
        hooks = [layer.register_forward_hook(cut), last.register_forward_pre_hook(capture, with_kwargs=True)]
        try:
            module(pixels)
        finally:
            for hook in hooks:
                hook.remove()
        if not captured["z"].requires_grad:
            return None
        (gradient,) = torch.autograd.grad(
            captured["z"], captured["map"], grad_outputs=direction.to(captured["z"].dtype), allow_unused=True
        )
    if gradient is None:  # a layer behind the features
        return None
    values, gradients = _feature_map(captured["map"].detach()), _feature_map(gradient)
    assert values is not None
    assert gradients is not None
    if not bool(gradients.any()):  # a class token's own path: its last layer does not look at the patches
        return None
    weight = gradients.mean((2, 3), keepdim=True)
    return (weight * values).sum(1).clamp(min=0).float().cpu()


def _feature_map(output: Tensor) -> Float[Tensor, "n channels rows columns"] | None:
    """A layer's output as a spatial feature map, or None if it is none."""
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
