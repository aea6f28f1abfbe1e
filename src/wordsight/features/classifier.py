"""Classifiers: the frozen network up to its penultimate, pooled feature, and its head."""

import difflib
import importlib
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from PIL import Image
from torch import Tensor, nn

from wordsight.errors import FeatureError, ModelError
from wordsight.features.spatial import Locate, locator
from wordsight.machine import declare_torchvision_operators
from wordsight.tensors import Features, Pixels, weights_fingerprint

Prepare = Callable[[Image.Image], Float[Tensor, "views 3 height width"]]
"""An RGB picture -> its normalised views (crops); the features of the views are averaged for an explanation."""


@dataclass(frozen=True)
class Classifier:
    """A frozen classifier, as wordsight sees every classifier.

    ``backbone`` maps pixels (n, 3, height, width) to features (n, features); ``head`` maps features to logits (n, classes).
    ``locate`` says where in the pixels a direction of the features comes from (see ``spatial``). Build one from any torch
    module with ``classifier_from_module``.
    """

    name: str
    backbone: Callable[[Tensor], Tensor]
    head: Callable[[Tensor], Tensor]
    prepare: Prepare
    labels: Sequence[str]
    features: int
    fingerprint: str
    device: str = "cpu"
    head_weight: Tensor | None = None
    locate: Locate | None = None

    @torch.inference_mode()
    def features_of(self, pixels: Pixels) -> Float[Tensor, "images views features"]:
        """Features of every view. Raises FeatureError if the classifier gives anything but finite (n, features)."""
        flat = pixels.flatten(0, 1).contiguous(memory_format=torch.channels_last).to(self.device)
        z = self.backbone(flat)
        if z.ndim != 2 or z.shape[1] != self.features:
            raise FeatureError(
                f"The classifier '{self.name}' gave features of shape {tuple(z.shape)}, wanted ({len(flat)}, {self.features}): "
                "one pooled vector an image. Check the layer that the adapter reads."
            )
        return z.float().cpu().unflatten(0, pixels.shape[:2])

    @torch.inference_mode()
    def logits(self, z: Features) -> Float[Tensor, "images classes"]:
        """The classifier's own logits for features."""
        return self.head(z.to(self.device)).float().cpu()

    def probabilities(self, z: Features) -> Float[Tensor, "images classes"]:
        """The classifier's own class probabilities for features."""
        return self.logits(z).softmax(-1)


def classifier_from_module(
    module: nn.Module,
    *,
    head: nn.Module,
    prepare: Prepare,
    labels: Sequence[str],
    name: str,
    device: str = "cpu",
) -> Classifier:
    """Any classifier: a torch module and its last layer. The features are what the module hands to ``head``.

    ``head`` is a submodule called once a forward pass with (n, features), as timm's, torchvision's and Hugging Face's are.
    Raises ModelError if it is not, or if the number of labels is not that of the logits.
    """
    module = module.to(device).to(memory_format=torch.channels_last).eval().requires_grad_(False)  # pyright: ignore[reportCallIssue] (torch lacks the overload)

    def backbone(pixels: Tensor) -> Tensor:
        with _input_of(head) as seen:
            module(pixels)
        if len(seen) != 1:
            raise ModelError(
                f"The head of '{name}' ran {len(seen)} times in one forward pass, wanted once. Give the last layer as head."
            )
        return seen[0].flatten(1)

    with torch.inference_mode():
        probe = prepare(Image.new("RGB", (64, 64), "grey"))
        z = backbone(probe.to(device))
        classes = head(z).shape[-1]
    if len(labels) != classes:
        raise ModelError(f"'{name}' has {classes} classes but {len(labels)} labels came; give one label a class, in order.")
    weight = getattr(head, "weight", None)
    return Classifier(
        name=name,
        backbone=backbone,
        head=head,
        prepare=prepare,
        labels=tuple(labels),
        features=z.shape[1],
        fingerprint=weights_fingerprint(module.state_dict()),
        device=device,
        head_weight=weight.detach().float().cpu() if isinstance(weight, Tensor) and weight.ndim == 2 else None,
        locate=locator(module, head, name),
    )


@contextmanager
def _input_of(layer: nn.Module) -> Iterator[list[Tensor]]:
    """Collect what a layer is called with, while the context lasts."""
    seen: list[Tensor] = []
    handle = layer.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    try:
        yield seen
    finally:
        handle.remove()


def load_classifier(name: str, *, device: str = "cpu") -> Classifier:
    """A classifier by name: ``timm:NAME``, ``timm:NAME@WEIGHTS.safetensors``, or ``package.module:function``.

    The last is your own code: the function takes no arguments and returns a ``Classifier``. Raises ModelError for a name that
    nothing has, with the nearest names there are.
    """
    kind, _, rest = name.partition(":")
    if kind == "timm" and rest:
        model_name, _, weights = rest.partition("@")
        return timm_classifier(model_name, weights=Path(weights) if weights else None, device=device)
    if rest:
        return _own_classifier(name, kind, rest)
    raise ModelError(
        f"Unknown classifier '{name}'. Wanted 'starter', 'timm:NAME' (for example 'timm:resnet50'), "
        "'timm:NAME@WEIGHTS.safetensors', 'head:FILE.safetensors' from 'wordsight head', or 'package.module:function' for a "
        "function of your own that returns a wordsight Classifier."
    )


def timm_classifier(
    model_name: str, *, weights: Path | None = None, labels: Sequence[str] | None = None, device: str = "cpu"
) -> Classifier:
    """A timm model with timm's own preprocessing; pre-trained weights from the hub unless ``weights`` names a file.

    Labels are the 1,000 ImageNet names if the model has 1,000 classes, else "class 0", "class 1", ...
    """
    declare_torchvision_operators()
    import timm
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    if not timm.is_model(model_name.split(".")[0]):
        near = difflib.get_close_matches(model_name, timm.list_models(), n=1)
        hint = f" Did you mean 'timm:{near[0]}'?" if near else " 'timm.list_models()' lists them."
        raise ModelError(f"Unknown classifier 'timm:{model_name}'.{hint}")
    try:
        if weights is None:
            model = timm.create_model(model_name, pretrained=True)
        else:
            tensors = load_file(weights)
            head_name = model_config(model_name).get("classifier")
            head = tensors.get(f"{head_name}.weight")
            sizes: dict[str, Any] = {"num_classes": len(head)} if head is not None else {}
            model = timm.create_model(model_name, pretrained=False, **sizes)
            model.load_state_dict(tensors)
    except (OSError, RuntimeError, ValueError, SafetensorError) as error:
        source = weights or "the model hub"
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise ModelError(
            f"Cannot load 'timm:{model_name}' from {source}: {reason} Check the network, or give weights of your own as "
            f"'timm:{model_name}@WEIGHTS.safetensors'."
        ) from error
    return from_timm_model(model, name=f"timm:{model_name}", crops=(None,), labels=labels, device=device)


def model_config(model_name: str) -> dict[str, Any]:
    """Timm's own description of a model: input size, normalisation, name of its last layer."""
    import timm

    config = timm.get_pretrained_cfg(model_name)
    return config.to_dict() if config is not None else {}


def from_timm_model(
    model: Any, *, name: str, crops: Sequence[float | None], labels: Sequence[str] | None, device: str
) -> Classifier:
    """Adapter for a timm model; each of ``crops`` is a share of the resized picture (None: the model's own) and a view."""
    from timm.data import create_transform, resolve_model_data_config

    head = model.get_classifier()
    if not isinstance(head, nn.Linear):
        raise ModelError(
            f"The last layer of '{name}' is {type(head).__name__}, wanted one linear layer. Write an adapter with "
            "classifier_from_module and give it as --classifier package.module:function."
        )
    config = resolve_model_data_config(model)
    transforms: list[Any] = [create_transform(**(config | ({"crop_pct": crop} if crop else {}))) for crop in crops]
    if labels is None:
        labels = imagenet_labels() if model.num_classes == 1000 else [f"class {i}" for i in range(model.num_classes)]
    return classifier_from_module(
        model,
        head=head,
        prepare=lambda image: torch.stack([transform(image) for transform in transforms]),
        labels=labels,
        name=name,
        device=device,
    )


def imagenet_labels() -> list[str]:
    """The 1,000 ImageNet class names, first lemma each; with the synset where two classes have the same (crane, maillot)."""
    from timm.data import ImageNetInfo

    info = ImageNetInfo()
    names = [info.index_to_description(i).split(",")[0] for i in range(1000)]
    twice = {name for name, times in Counter(names).items() if times > 1}
    return [f"{name} ({info.index_to_label_name(i)})" if name in twice else name for i, name in enumerate(names)]


def _own_classifier(name: str, module: str, function: str) -> Classifier:
    try:
        made = getattr(importlib.import_module(module), function)()
    except (ImportError, AttributeError, ValueError, TypeError) as error:
        raise ModelError(
            f"Cannot load the classifier '{name}': {error}. Wanted 'package.module:function', importable from here, or "
            "'timm:NAME'."
        ) from error
    if not isinstance(made, Classifier):
        raise ModelError(
            f"'{name}' returned {type(made).__name__}, wanted a wordsight Classifier; build it with classifier_from_module."
        )
    return replace(made, name=name)  # what it can be loaded by again, for files and messages
