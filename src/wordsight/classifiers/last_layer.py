"""A classifier's head: found by a forward pass, whatever it is called with and whatever comes behind it."""

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from wordsight.classifiers.spatial import ONE_AT_A_TIME, first_tensor
from wordsight.errors import ModelError

logger = logging.getLogger(__name__)

#: How far the head's logits may be from the module's own, as a share of the largest one.
_TOLERANCE = 1e-3
_ACTIVATIONS = (nn.Softmax, nn.LogSoftmax, nn.Sigmoid, nn.LogSigmoid)
_NOTHING = (nn.Identity, nn.Dropout)

Reduce = Callable[[Tensor], Tensor]
"""What a layer is called with -> one vector an image."""


@dataclass(frozen=True)
class FoundHead:
    """The head: ``first`` is the layer whose input, reduced, is the features; ``layers`` make logits of them."""

    first: nn.Module
    reduce: Reduce
    layers: nn.Module

    def logits(self, z: Float[Tensor, "images features"]) -> Float[Tensor, "images classes"]:
        """What the layers make of features."""
        return self.layers(z[:, :, None, None] if isinstance(self.first, nn.Conv2d) else z).flatten(1)

    @property
    def weight(self) -> Tensor | None:
        """The weight (classes, features) if the head is one linear layer."""
        return self.layers.weight.detach().flatten(1) if isinstance(self.layers, nn.Linear | nn.Conv2d) else None


@dataclass(frozen=True)
class _Ran:
    """What one forward pass showed: each layer's inputs and how often it ran, in order; the module's logits."""

    inputs: dict[nn.Module, Tensor]
    times: dict[nn.Module, int]
    logits: Tensor


def find_head(module: nn.Module, pixels: Tensor, name: str, given: nn.Module | None) -> FoundHead:
    """The head by a forward pass, among the layers of ``given`` if that is not None. Raises ModelError if it is not clear."""
    ran = _run(module, pixels, name)
    names = {layer: path for path, layer in module.named_modules()}
    if given is not None and (times := ran.times.get(given, 0)) != 1:
        raise ModelError(
            f"The head of '{name}' ran {times} times in one forward pass, wanted once. Give the last layers as head=."
        )
    scope = list(ran.inputs) if given is None else [layer for layer in ran.inputs if layer in set(given.modules())]
    linear = [layer for layer in scope if _is_linear(layer) and ran.times[layer] == 1]
    found = [head for layer in linear if (head := _fitting(layer, layer, ran)) is not None]
    whole = [layer for layer in scope if isinstance(layer, nn.Sequential) and (not found or _holds(layer, found[0].first))]
    for sequence in sorted(whole, key=lambda layer: names[layer].count(".")):  # the outermost one first
        first, layers = _split(sequence)
        if first in ran.inputs and ran.times[first] == 1 and (head := _fitting(first, layers, ran)) is not None:
            return head
    if len(found) == 1:
        return found[0]
    if given is not None:
        return _opaque(given, ran, name)
    candidates = ", ".join(f"'{names[layer]}' ({_sizes(layer)})" for layer in linear[-6:])
    raise ModelError(
        f"The head of '{name}' cannot be found: {len(found)} linear layers make the module's logits of one vector an image, of "
        f"the first or last token, or of the mean of tokens or positions; wanted one. Give it as head=, a module or its name. "
        f"Candidates: {candidates or 'none'}."
    )


def features_and_logits(module: nn.Module, head: FoundHead, pixels: Tensor, name: str) -> tuple[Tensor, Tensor]:
    """The features and the module's own output. Raises ModelError if the head did not run once."""
    with ONE_AT_A_TIME, _inputs_of(head.first) as seen:  # hooks belong to the module, not to a thread
        logits = _known_logits(module(pixels), name)
    if len(seen) != 1:
        raise ModelError(
            f"The head of '{name}' ran {len(seen)} times in one forward pass, wanted once. Give the last layers as head=."
        )
    return head.reduce(seen[0]), logits.reshape(len(logits), -1)


def logits_of(output: Any) -> Tensor | None:
    """The logits in what a module returns: a tensor, a tuple, a dict or a Hugging Face output; None if there are none."""
    if isinstance(output, Tensor):
        return output
    if isinstance(output, dict) or hasattr(output, "logits"):
        found = output.get("logits", output.get("out")) if isinstance(output, dict) else output.logits
        tensors = [value for value in output.values() if isinstance(value, Tensor)] if isinstance(output, dict) else []
        return found if isinstance(found, Tensor) else tensors[0] if len(tensors) == 1 else None
    if isinstance(output, tuple | list) and output:
        return logits_of(output[0])
    return None


def _known_logits(output: Any, name: str) -> Tensor:
    logits = logits_of(output)
    if logits is None or logits.ndim == 0:
        raise ModelError(
            f"'{name}' returns no logits that can be recognised. Wanted a tensor, a tuple that begins with one, a dict with the "
            "key 'logits', or a Hugging Face output: wrap the model."
        )
    return logits


def _run(module: nn.Module, pixels: Tensor, name: str) -> _Ran:
    inputs: dict[nn.Module, Tensor] = {}
    times: dict[nn.Module, int] = {}

    def note(layer: nn.Module, arguments: tuple[Any, ...], named: dict[str, Any]) -> None:
        if (tensor := first_tensor(arguments, named)) is not None:
            inputs[layer] = tensor
            times[layer] = times.get(layer, 0) + 1

    with ONE_AT_A_TIME, ExitStack() as stack:
        for layer in module.modules():
            if layer is not module:
                stack.callback(layer.register_forward_pre_hook(note, with_kwargs=True).remove)
        try:
            output = module(pixels)
        except Exception as error:  # the user's code on the user's pixels
            raise ModelError(
                f"'{name}' fails on what its transform gives, a tensor of shape {tuple(pixels.shape)} ({type(error).__name__}: "
                f"{error}). Wanted (channels, height, width), or (views, channels, height, width), as the model takes them: check "
                "the transform's size, channels and their order."
            ) from error
    logits = _known_logits(output, name)
    return _Ran(inputs, times, logits.reshape(len(pixels), -1) if len(logits) == len(pixels) else logits)


@contextmanager
def _inputs_of(layer: nn.Module) -> Iterator[list[Tensor]]:
    """Collect what a layer is called with, while the context lasts."""
    seen: list[Tensor] = []

    def note(_layer: nn.Module, arguments: tuple[Any, ...], named: dict[str, Any]) -> None:
        if (tensor := first_tensor(arguments, named)) is not None:
            seen.append(tensor)

    handle = layer.register_forward_pre_hook(note, with_kwargs=True)
    try:
        yield seen
    finally:
        handle.remove()


def _is_linear(layer: nn.Module) -> bool:
    return isinstance(layer, nn.Linear) or (isinstance(layer, nn.Conv2d) and layer.kernel_size == (1, 1) and layer.groups == 1)


def _sizes(layer: nn.Module) -> str:
    return " to ".join(str(size) for size in reversed(tuple(getattr(layer, "weight", torch.empty(0)).shape[:2])))


def _holds(sequence: nn.Module, layer: nn.Module) -> bool:
    return any(inner is layer for inner in sequence.modules())


def _vector(z: Tensor) -> Tensor:
    return z.flatten(1)


def _over_positions(z: Tensor) -> Tensor:
    return z.mean((2, 3))


def _over_tokens(z: Tensor) -> Tensor:
    return z.flatten(1, -2).mean(1)


def _first_token(z: Tensor) -> Tensor:
    return z.flatten(1, -2)[:, 0]


def _last_token(z: Tensor) -> Tensor:
    return z.flatten(1, -2)[:, -1]


def _reductions(first: nn.Module, z: Tensor, images: int) -> Sequence[Reduce]:
    if z.ndim < 2 or z.shape[0] != images or z.numel() == 0:
        return ()
    channels = z.shape[1] if isinstance(first, nn.Conv2d) else z.shape[-1]
    if z.numel() == images * channels:
        return (_vector,)
    return (_over_positions,) if isinstance(first, nn.Conv2d) else (_first_token, _over_tokens, _last_token)


def _fitting(first: nn.Module, layers: nn.Module, ran: _Ran) -> FoundHead | None:
    """The head of these layers, if by one of the reductions it makes the module's logits."""
    for reduce in _reductions(first, ran.inputs[first], len(ran.logits)):
        head = FoundHead(first, reduce, layers)
        try:
            own = head.logits(reduce(ran.inputs[first]))
        except (RuntimeError, TypeError, ValueError, IndexError):  # layers that want another shape
            continue
        if _same(own.float(), ran.logits.float(), _tolerance(ran.logits)):
            return head
    return None


def _same(own: Tensor, wanted: Tensor, tolerance: float) -> bool:
    """Whether the module's output is these logits, or their sigmoid, softmax or its logarithm."""
    if own.shape != wanted.shape:
        return False
    if torch.allclose(own, wanted, atol=tolerance):
        return True
    share = bool((wanted >= 0).all() and (wanted <= 1).all())
    if own.shape[1] > 1 and torch.allclose(own.log_softmax(1), wanted, atol=tolerance):
        return True
    if own.shape[1] > 1 and share and torch.allclose(wanted.sum(1), torch.ones(len(wanted), device=wanted.device), atol=1e-2):
        seen = wanted > 1e-4  # smaller ones are rounded
        return torch.allclose(own.log_softmax(1)[seen], wanted[seen].log(), atol=10 * tolerance)
    return share and torch.allclose(own.clamp(-6, 6), wanted.logit(1e-6).clamp(-6, 6), atol=10 * tolerance)


def _tolerance(logits: Tensor) -> float:
    coarse = 10 if logits.dtype in (torch.float16, torch.bfloat16) else 1
    return _TOLERANCE * coarse * max(1.0, float(logits.float().abs().max()))


def _split(head: nn.Sequential) -> tuple[nn.Module, nn.Module]:
    """The first linear layer of a sequence, and the layers from there on, without what changes no logit."""
    layers = list(head)
    start = next((i for i, layer in enumerate(layers) if _is_linear(layer)), None)
    if start is None:
        return head, head
    rest = layers[start:]
    while isinstance(rest[-1], (*_ACTIVATIONS, *_NOTHING, nn.Flatten)):
        rest.pop()
    plain = all(isinstance(layer, _NOTHING) for layer in rest[1:])
    return rest[0], rest[0] if plain else nn.Sequential(*rest)


class _Logarithm(nn.Module):
    """A head that gives probabilities, as logits."""

    def __init__(self, head: nn.Module) -> None:
        super().__init__()
        self.head = head

    def forward(self, z: Tensor) -> Tensor:
        shares = self.head(z).float()
        return shares.logit(1e-6) if shares.shape[1] == 1 else shares.clamp_min(1e-12).log()


def _opaque(given: nn.Module, ran: _Ran, name: str) -> FoundHead:
    """A head that the user named and whose layers are not known: its input is the features if that is one vector an image."""
    z = ran.inputs[given].flatten(1)
    came = tuple(ran.inputs[given].shape)
    try:
        own, far = given(z), given(1e4 * z)
    except Exception as error:
        raise ModelError(
            f"The head of '{name}' cannot be called with one vector an image ({type(error).__name__}: {error}). It is called with "
            f"a tensor of shape {came}. Wanted layers whose input is ({len(z)}, features): give the last linear layer as head=."
        ) from error
    if (
        not isinstance(own, Tensor)
        or own.shape != ran.logits.shape
        or not _same(own.float(), ran.logits.float(), _tolerance(own))
    ):
        raise ModelError(
            f"The head of '{name}' does not give the logits that the module itself gives (shapes "
            f"{tuple(getattr(own, 'shape', ()))} and {tuple(ran.logits.shape)}; the head is called with {came}). Give the last "
            "layers as head=, up to the logits."
        )
    # Logits of features ten thousand times as large are large, probabilities are not.
    shares = bool((far >= 0).all() and (far <= 1).all() and (own >= 0).all() and (own <= 1).all())
    if shares and (own.shape[1] == 1 or torch.allclose(own.float().sum(1), torch.ones(len(own), device=own.device), atol=1e-2)):
        logger.info("the head of '%s' gives probabilities: their logarithms are taken as logits", name)
        return FoundHead(given, _vector, _Logarithm(given))
    return FoundHead(given, _vector, given)
