"""A classifier from any torch module: its features, its head, its preparation of images."""

import logging
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch
from PIL import Image
from torch import Tensor, nn

from wordsight.classifiers.classifier import Classifier
from wordsight.classifiers.imagenet import imagenet_labels
from wordsight.classifiers.last_layer import features_and_logits, find_head
from wordsight.classifiers.preparation import preparation, probe
from wordsight.classifiers.spatial import dtype_of, locator
from wordsight.classifiers.weights import label_names
from wordsight.errors import ModelError
from wordsight.tensors import weights_fingerprint

logger = logging.getLogger(__name__)


def classifier(
    net: nn.Module,
    *,
    transform: Callable[[Image.Image], Any],
    labels: Iterable[object] | Mapping[Any, Any] | None = None,
    head: nn.Module | str | None = None,
    name: str | None = None,
    spec: str | None = None,
    device: str = "cpu",
) -> Classifier:
    """A classifier that wordsight can explain, from any trained ``nn.Module``.

    - ``transform``: an RGB image -> a normalised tensor (channels, height, width), or (views, channels, height, width) whose
      features are averaged; torchvision's, timm's and Hugging Face's transforms fit.
    - ``labels``: one name for each class, in order, or a dict such as ``id2label``. Default: ImageNet's names for 1,000 classes,
      else "class 0", ...
    - ``head``: the last layers (a module of ``net`` or its dotted name). Default: found by a forward pass, as the linear layer
      (or 1x1 convolution) that makes the logits of one vector an image, of a token, or of a mean over tokens or positions, with the
      linear layers before it if they stand in one ``nn.Sequential``. The features are the input of the head's first linear layer.
    - ``name``: what people read. ``spec``: what ``load_classifier`` can load it by again.

    ``net`` is put into evaluation mode and moved to ``device``; nothing else of it is changed. It may be wrapped
    (``DataParallel``, ``torch.compile``), in half or double precision, give a tuple, a dict or a Hugging Face output, end in a
    softmax, or have one logit for two classes (sigmoid). Raises ModelError for TorchScript, if the transform gives no tensor or one
    that the module does not take, if the head is not clear (the message names the candidates) or does not give the module's own
    logits, or if the number of labels is not that of the classes.
    """
    if not isinstance(net, nn.Module):
        raise ModelError(
            f"A {type(net).__name__} came as the network, wanted a torch.nn.Module: build the model, and load weights with "
            "net.load_state_dict(...)."
        )
    net = _unwrapped(net)
    name = name or type(net).__name__
    _refuse_scripts(net, name)
    # channels_last: convolutions are faster; torch has no overload for it.
    module: nn.Module = net.to(device).to(memory_format=torch.channels_last).eval()  # pyright: ignore[reportCallIssue]
    prepare = preparation(transform, name)
    pixels = probe(prepare, transform, name).to(device, dtype_of(module))
    given = _submodule(module, head, name) if isinstance(head, str) else head
    with torch.inference_mode():
        found = find_head(module, pixels, name, given)
        z, output = features_and_logits(module, found, pixels, name)
        own = found.logits(z)
    classes, summed = own.shape[1], float(output.float().sum(1).mean())
    changed = not torch.allclose(own.float(), output.float(), atol=0.01)
    if (
        classes > 1 and changed and bool((output >= 0).all()) and abs(summed - 1) > 0.01
    ):  # softmax sums to 1, its logarithm is below 0
        logger.warning(
            "'%s' ends in a sigmoid for each of its %d classes: an image may have several. Here its classes exclude each other: "
            "probabilities are a softmax of the same logits",
            name,
            classes,
        )
    dtype, binary = dtype_of(module), classes == 1

    def backbone(pixels: Tensor) -> Tensor:
        return features_and_logits(module, found, pixels.to(dtype), name)[0]

    def logits(z: Tensor) -> Tensor:
        made = found.logits(z.to(dtype))
        return torch.cat([torch.zeros_like(made), made], dim=1) if binary else made

    weight = found.weight.float().cpu() if found.weight is not None else None
    if weight is not None and binary:
        weight = torch.cat([torch.zeros_like(weight), weight])
    return Classifier(
        name=name,
        backbone=backbone,
        head=logits,
        prepare=prepare,
        labels=_label_names(labels, classes, name),
        features=z.shape[1],
        fingerprint=weights_fingerprint(module.state_dict()),
        device=device,
        head_weight=weight,
        locate=locator(module, found.first, name, reduce=found.reduce),
        spec=spec,
    )


def _refuse_scripts(net: nn.Module, name: str) -> None:
    if isinstance(net, torch.jit.ScriptModule):
        raise ModelError(
            f"'{name}' is a TorchScript module: what happens between its layers cannot be seen, so its features cannot be had. "
            "Wanted the nn.Module that it was made from; its weights fit: net.load_state_dict(scripted.state_dict())."
        )


def _label_names(labels: Iterable[object] | Mapping[Any, Any] | None, classes: int, name: str) -> tuple[str, ...]:
    """One name a class: from a sequence, from ``id2label`` or from ``class_to_idx``."""
    wanted = max(2, classes)
    if labels is None:
        return tuple(imagenet_labels() if classes == 1000 else [f"class {i}" for i in range(wanted)])
    try:
        names = label_names(labels)
    except (ValueError, TypeError) as error:
        raise ModelError(
            f"The labels of '{name}' cannot be read ({error}). Wanted one name for each class, in order, or a dict: "
            "{0: name, ...} or {name: 0, ...}."
        ) from error
    if classes == 1 and len(names) == 1:
        names = [f"not {names[0]}", names[0]]
    if len(names) != wanted:
        raise ModelError(
            f"'{name}' has {wanted} classes but {len(names)} labels came; give one label for each class, in order."
        )
    return tuple(names)


def _unwrapped(net: nn.Module) -> nn.Module:
    """The module inside of ``DataParallel`` and ``torch.compile``: hooks do not see into them."""
    while True:
        inner = getattr(net, "_orig_mod", None)
        if inner is None and isinstance(net, nn.DataParallel | nn.parallel.DistributedDataParallel):
            inner = net.module
        if not isinstance(inner, nn.Module):
            return net
        net = inner


def _submodule(module: nn.Module, name: str, shown: str) -> nn.Module:
    try:
        return module.get_submodule(name)
    except AttributeError as error:
        children = ", ".join(child for child, _ in module.named_children())
        raise ModelError(
            f"'{shown}' has no layer '{name}'. Give head= one of its layers; at the top are: {children}."
        ) from error
