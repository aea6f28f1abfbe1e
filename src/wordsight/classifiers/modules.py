"""A classifier from any torch module: its features, its head, its preparation of images."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from threading import Lock
from typing import Any, TypeGuard

import numpy as np
import torch
from jaxtyping import Float
from PIL import Image
from torch import Tensor, nn

from wordsight.classifiers.classifier import Classifier, Prepare
from wordsight.classifiers.imagenet import imagenet_labels
from wordsight.classifiers.spatial import locator
from wordsight.errors import ModelError
from wordsight.tensors import dtype_of, weights_fingerprint

Labels = Sequence[str | int] | Mapping[int, str] | Mapping[str, str]
"""The classes' names, in order or by number."""

#: How far the head's logits may be from the module's own, as a share of the largest one.
_TOLERANCE = 1e-3


def classifier(
    net: nn.Module,
    *,
    transform: Callable[[Image.Image], Any],
    labels: Labels | None = None,
    head: nn.Module | str | None = None,
    name: str | None = None,
    spec: str | None = None,
    device: str = "cpu",
) -> Classifier:
    """A classifier that wordsight can explain, from any trained ``nn.Module``.

    - ``transform``: an RGB image -> a normalised tensor (3, height, width), or (views, 3, height, width) whose features are
      averaged; torchvision's, timm's and Hugging Face's transforms fit.
    - ``labels``: one name for each class, in order, or a dict from class number to name (``id2label``). Default: ImageNet's names
      for 1,000 classes, else "class 0", ...
    - ``head``: the last layers (a module of ``net`` or its dotted name). Default: found by a forward pass, as the last linear
      layer whose input is one vector an image and whose output is the logits, with the linear layers before it if they stand in
      one ``nn.Sequential``; a 1x1 convolution after the pooling counts as linear. The features are the input of its first layer.
    - ``name``: what people read. ``spec``: what ``load_classifier`` can load it by again.

    ``net`` is put into evaluation mode and moved to ``device``; nothing else of it is changed. Threads may share the result. ``net``
    may be wrapped (``DataParallel``, ``torch.compile``), in half precision, give a tuple, a dict or a Hugging Face output, or have
    one logit for two classes (sigmoid). Raises ModelError if the head is not clear (the message names the candidates), if the head
    does not give the module's own logits, if the number of labels is not that of the classes, and for TorchScript.
    """
    net = _unwrapped(net)
    name = name or type(net).__name__
    if isinstance(net, torch.jit.ScriptModule):
        raise ModelError(
            f"'{name}' is TorchScript, whose layers do not show their inputs, so its features cannot be reached. Give the module that "
            "it was made of: net.load_state_dict(script.state_dict()) puts its weights into it."
        )
    # channels_last: convolutions are faster; torch has no overload for it.
    module: nn.Module = net.to(device).to(memory_format=torch.channels_last).eval()  # pyright: ignore[reportCallIssue]
    prepare = _preparation(transform, name)
    pixels = _probe(prepare).to(device, dtype_of(module))
    if isinstance(head, str):
        head = _submodule(module, head, name)
    with torch.inference_mode():
        first, tail = _split(head) if head is not None else _find_head(module, pixels, name)
        z, logits = _features_and_logits(module, first, pixels, name)
        own = tail(z)
    if own.shape != logits.shape or not torch.allclose(own.float(), logits.float(), atol=_tolerance(logits)):
        raise ModelError(
            f"The head of '{name}' does not give the logits that the module itself gives (shapes {tuple(own.shape)} and "
            f"{tuple(logits.shape)}). Give the last layers as head=, up to the logits."
        )
    return _assemble(
        module, first, tail, prepare, labels, name=name, spec=spec, device=device, sizes=(z.shape[1], own.shape[1])
    )


def _assemble(
    module: nn.Module,
    first: nn.Module,
    tail: nn.Module,
    prepare: Prepare,
    labels: Labels | None,
    *,
    name: str,
    spec: str | None,
    device: str,
    sizes: tuple[int, int],
) -> Classifier:
    features, classes = sizes
    dtype, binary, lock = dtype_of(module), classes == 1, Lock()
    locate = locator(module, first, name)

    def backbone(pixels: Tensor) -> Tensor:
        with lock:  # hooks see what every thread runs
            return _features_and_logits(module, first, pixels.to(dtype), name)[0]

    def locate_alone(pixels: Tensor, direction: Tensor) -> Tensor:
        with lock:
            return locate(pixels.to(dtype), direction)

    def logits(z: Tensor) -> Tensor:
        found = tail(z.to(dtype))
        return torch.cat([torch.zeros_like(found), found], dim=1) if binary else found

    names = _names(labels, name) if labels is not None else _default_labels(max(2, classes))
    if len(names) != max(2, classes):
        raise ModelError(
            f"'{name}' has {max(2, classes)} classes but {len(names)} labels came; give one label for each class, in order."
        )
    weight = tail.weight.detach().float().cpu() if isinstance(tail, nn.Linear) else None
    if weight is not None and binary:
        weight = torch.cat([torch.zeros_like(weight), weight])
    return Classifier(
        name=name,
        backbone=backbone,
        head=logits,
        prepare=prepare,
        labels=names,
        features=features,
        fingerprint=weights_fingerprint(module.state_dict()),
        device=device,
        head_weight=weight,
        locate=locate_alone,
        spec=spec,
    )


def _names(labels: Labels, name: str) -> tuple[str, ...]:
    if not isinstance(labels, Mapping):
        return tuple(str(label) for label in labels)
    try:
        numbered = {int(number): str(label) for number, label in labels.items()}
    except (TypeError, ValueError):
        raise ModelError(
            f"The labels of '{name}' are a dict with the key {next(iter(labels))!r}, wanted class numbers: {{0: 'cat', 1: 'dog'}}."
        ) from None
    if sorted(numbered) != list(range(len(numbered))):
        raise ModelError(f"The labels of '{name}' are a dict with the keys {sorted(numbered)[:5]}..., wanted 0, 1, 2, ...")
    return tuple(numbered[number] for number in range(len(numbered)))


def _default_labels(classes: int) -> tuple[str, ...]:
    return tuple(imagenet_labels() if classes == 1000 else [f"class {i}" for i in range(classes)])


def _unwrapped(net: nn.Module) -> nn.Module:
    """The module inside of ``DataParallel`` and ``torch.compile``: hooks do not see into them."""
    while True:
        inner = getattr(net, "_orig_mod", None)
        if inner is None and isinstance(net, nn.DataParallel | nn.parallel.DistributedDataParallel):
            inner = net.module
        if not isinstance(inner, nn.Module):
            return net
        net = inner


def _tolerance(logits: Tensor) -> float:
    coarse = 10 if logits.dtype != torch.float32 else 1
    return _TOLERANCE * coarse * max(1.0, float(logits.float().abs().max()))


def _submodule(module: nn.Module, name: str, shown: str) -> nn.Module:
    try:
        return module.get_submodule(name)
    except AttributeError as error:
        children = ", ".join(child for child, _ in module.named_children())
        raise ModelError(
            f"'{shown}' has no layer '{name}'. Give head= one of its layers; at the top are: {children}."
        ) from error


def _preparation(transform: Callable[[Image.Image], Any], name: str) -> Prepare:
    """``transform`` with its output as (views, 3, height, width)."""

    def prepare(image: Image.Image) -> Float[Tensor, "views 3 height width"]:
        made = transform(image)
        if isinstance(made, Image.Image):
            raise ModelError(
                f"The transform of '{name}' returned a PIL image ({made.width} x {made.height}), wanted a tensor (3, height, width). "
                "Add ToTensor and Normalize to it."
            )
        if not isinstance(made, Tensor | np.ndarray) and hasattr(made, "__getitem__") and "pixel_values" in made:
            made = made["pixel_values"]
        try:
            pixels = torch.as_tensor(np.asarray(made) if isinstance(made, list) else made)
        except (TypeError, ValueError, RuntimeError) as error:
            raise ModelError(
                f"The transform of '{name}' returned {type(made).__name__}, wanted a tensor (3, height, width)."
            ) from error
        pixels = pixels[None] if pixels.ndim == 3 else pixels
        if pixels.ndim != 4 or pixels.shape[1] != 3:
            raise ModelError(
                f"The transform of '{name}' gave a tensor of shape {tuple(pixels.shape)}, wanted (3, height, width) or (views, "
                "3, height, width): normalised RGB. Add ToTensor and Normalize, or check their order."
            )
        return pixels.float()

    return prepare


def _probe(prepare: Prepare) -> Float[Tensor, "views 3 height width"]:
    noise = np.random.default_rng(0).integers(0, 256, (320, 320, 3), dtype=np.uint8)
    return prepare(Image.fromarray(noise))


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


def _features_and_logits(module: nn.Module, first: nn.Module, pixels: Tensor, name: str) -> tuple[Tensor, Tensor]:
    with _inputs_of(first) as seen:
        logits = logits_of(module(pixels))
    if len(seen) != 1:
        raise ModelError(
            f"The head of '{name}' ran {len(seen)} times in one forward pass, wanted once. Give the last layers as head=."
        )
    if seen[0].flatten(1).shape[1] not in (seen[0].shape[-1], seen[0].shape[1]):
        raise ModelError(
            f"The head of '{name}' gets a tensor of shape {tuple(seen[0].shape)}, wanted one vector an image. Give as head= the last "
            "layers after the pooling, or wrap the model so that it pools before its head."
        )
    if logits is None:
        raise ModelError(
            f"'{name}' returns no logits that can be recognised. Wanted a tensor, a tuple that begins with one, a dict with the "
            "key 'logits', or a Hugging Face output: wrap the model."
        )
    return seen[0].flatten(1), logits.reshape(len(logits), -1)


@contextmanager
def _inputs_of(layer: nn.Module) -> Iterator[list[Tensor]]:
    """Collect what a layer is called with, while the context lasts."""
    seen: list[Tensor] = []

    def note(_layer: nn.Module, inputs: tuple[Any, ...], named: dict[str, Any]) -> None:
        seen.append(next(value for value in (*inputs, *named.values()) if isinstance(value, Tensor)))

    handle = layer.register_forward_pre_hook(note, with_kwargs=True)
    try:
        yield seen
    finally:
        handle.remove()


def _find_head(module: nn.Module, pixels: Tensor, name: str) -> tuple[nn.Module, nn.Module]:
    """The head's first layer, and all of the head (``_split``), by a forward pass."""
    ran: dict[nn.Module, tuple[Tensor, Tensor]] = {}

    def note(layer: nn.Module, inputs: tuple[Any, ...], named: dict[str, Any], output: Any) -> None:
        given = next((value for value in (*inputs, *named.values()) if isinstance(value, Tensor)), None)
        if given is not None and isinstance(output, Tensor):
            ran[layer] = (given, output)

    with ExitStack() as stack:
        for layer in module.modules():
            if isinstance(layer, nn.Linear | nn.Conv2d | nn.Sequential) and layer is not module:
                stack.callback(layer.register_forward_hook(note, with_kwargs=True).remove)
        logits = logits_of(module(pixels))
    names = {layer: path for path, layer in module.named_modules()}
    vectors = [
        layer
        for layer, (z, _) in ran.items()
        if (isinstance(layer, nn.Linear) and _is_vector(z, len(pixels))) or (is_pointwise(layer) and z.shape[2:] == (1, 1))
    ]

    def gives_logits(layer: nn.Module) -> bool:
        flat = ran[layer][1].reshape(len(pixels), -1) if layer in ran else None
        if logits is None or flat is None:
            return False
        wanted = logits.reshape(len(pixels), -1)
        return flat.shape == wanted.shape and torch.allclose(flat.float(), wanted.float(), atol=_tolerance(wanted))

    last = [layer for layer in vectors if gives_logits(layer)]
    if len(last) != 1:
        sizes = {layer: tuple(layer.weight.shape[:2]) for layer in vectors}
        candidates = ", ".join(f"'{names[layer]}' ({sizes[layer][1]} to {sizes[layer][0]})" for layer in vectors[-6:])
        raise ModelError(
            f"The head of '{name}' cannot be found: {len(last)} linear layers have one vector an image as input and the "
            f"module's logits as output, wanted one. Give it as head=, a module or its name. Candidates: {candidates or 'none'}."
        )
    outer = [layer for layer in ran if isinstance(layer, nn.Sequential) and gives_logits(layer) and _holds(layer, last[0])]
    for sequence in sorted(outer, key=lambda layer: names[layer].count(".")):  # the outermost one first
        first, tail = _split(sequence)
        if first in vectors:
            return first, tail
    return last[0], _as_linear(last[0])


def is_pointwise(layer: nn.Module) -> TypeGuard[nn.Conv2d]:
    """Whether this is a 1x1 convolution, a linear layer at every position."""
    return isinstance(layer, nn.Conv2d) and layer.kernel_size == (1, 1) and layer.groups == 1


def _as_linear(layer: nn.Module) -> nn.Module:
    """A 1x1 convolution as the linear layer that it is; anything else as it is."""
    if not is_pointwise(layer):
        return layer
    with torch.inference_mode(False):  # heat maps take gradients through it
        linear = nn.Linear(layer.in_channels, layer.out_channels, bias=layer.bias is not None)
        linear = linear.to(layer.weight.device, layer.weight.dtype)
        linear.weight.data = layer.weight.detach().flatten(1)
        if layer.bias is not None:
            linear.bias.data = layer.bias.detach()
    return linear


def _holds(sequence: nn.Sequential, layer: nn.Module) -> bool:
    return any(inner is layer for inner in sequence.modules())


def _is_vector(z: Tensor, images: int) -> bool:
    return z.shape[0] == images and z.numel() == images * z.shape[-1]


def _split(head: nn.Module) -> tuple[nn.Module, nn.Module]:
    """The head's first linear layer, and the head from there on; (head, head) if it is no plain sequence."""
    if isinstance(head, nn.Sequential):
        layers = list(head)
        linear = [i for i, layer in enumerate(layers) if isinstance(layer, nn.Linear)]
        if linear:
            rest = layers[linear[0] :]
            return rest[0], rest[0] if all(
                isinstance(layer, nn.Identity | nn.Dropout) for layer in rest[1:]
            ) else nn.Sequential(*rest)
    return head, _as_linear(head)
