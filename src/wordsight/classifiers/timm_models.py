"""Classifiers from timm."""

import difflib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn

from wordsight.classifiers.classifier import Classifier
from wordsight.classifiers.imagenet import imagenet_labels
from wordsight.classifiers.modules import classifier_from_module
from wordsight.errors import ModelError
from wordsight.runtime import declare_torchvision_operators


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
