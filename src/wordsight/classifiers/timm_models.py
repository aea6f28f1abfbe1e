"""Classifiers from timm."""

import difflib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn

from wordsight.classifiers.classifier import Classifier
from wordsight.classifiers.modules import classifier
from wordsight.classifiers.weights import first_line, fitting_keys, load_weights, read_weights
from wordsight.errors import ModelError
from wordsight.runtime import declare_torchvision_operators


def timm_classifier(
    model_name: str, *, weights: Path | None = None, labels: Sequence[str] | None = None, device: str = "cpu"
) -> Classifier:
    """A timm model with timm's own preprocessing; pre-trained weights from the hub unless ``weights`` names a file.

    ``labels``: default the 1,000 ImageNet names if the model has 1,000 classes, else "class 0", "class 1", ... Weights may
    have a prefix such as "module.", and any number of classes. Raises ModelError for a
    name that timm does not have, with the nearest one, and for weights that cannot be loaded.
    """
    declare_torchvision_operators()
    import timm

    if not timm.is_model(model_name.split(".")[0]):
        near = difflib.get_close_matches(model_name, timm.list_models(), n=1)
        hint = f" Did you mean 'timm:{near[0]}'?" if near else " 'timm.list_models()' lists them."
        raise ModelError(f"Unknown classifier 'timm:{model_name}'.{hint}")
    try:
        if weights is None:
            model = timm.create_model(model_name, pretrained=True)
        else:
            plain = timm.create_model(model_name, pretrained=False)
            tensors = fitting_keys(read_weights(weights), plain.state_dict())
            head = tensors.get(f"{model_config(model_name).get('classifier')}.weight")
            model = timm.create_model(model_name, pretrained=False, num_classes=len(head)) if head is not None else plain
            load_weights(model, tensors)
    except (OSError, RuntimeError, ValueError) as error:
        raise ModelError(
            f"Cannot load 'timm:{model_name}' from {weights or 'the model hub'}: {first_line(error)}"
            + (f" Check the connection, or give weights of your own as 'timm:{model_name}@WEIGHTS'." if weights is None else "")
        ) from error
    spec = f"timm:{model_name}" + (f"@{weights}" if weights else "")
    return from_timm_model(model, name=f"timm:{model_name}", spec=spec, crops=(None,), labels=labels, device=device)


def model_config(model_name: str) -> dict[str, Any]:
    """Timm's own description of a model: input size, normalisation, name of its last layer."""
    import timm

    config = timm.get_pretrained_cfg(model_name)
    return config.to_dict() if config is not None else {}


def from_timm_model(
    model: Any,
    *,
    name: str,
    crops: Sequence[float | None],
    spec: str | None = None,
    labels: Sequence[str] | None = None,
    device: str = "cpu",
) -> Classifier:
    """A timm model as a classifier; each of ``crops`` is a share of the resized image (None: the model's own) and a view."""
    from timm.data import create_transform, resolve_model_data_config

    head = model.get_classifier()
    config = resolve_model_data_config(model)
    transforms: list[Any] = [create_transform(**(config | ({"crop_pct": crop} if crop else {}))) for crop in crops]
    return classifier(
        model,
        head=head if isinstance(head, nn.Linear) else None,
        transform=lambda image: torch.stack([transform(image) for transform in transforms]),
        labels=labels,
        name=name,
        spec=spec,
        device=device,
    )
