"""Classifiers from torchvision."""

import difflib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from wordsight.classifiers.classifier import Classifier
from wordsight.classifiers.modules import classifier
from wordsight.classifiers.weights import first_line, fitting_keys, load_weights, read_weights
from wordsight.errors import ModelError
from wordsight.runtime import declare_torchvision_operators


def torchvision_classifier(
    model_name: str, *, weights: Path | None = None, labels: Sequence[str] | None = None, device: str = "cpu"
) -> Classifier:
    """A torchvision classification model with its own transforms and categories.

    Pre-trained weights are torchvision's default ones unless ``weights`` names a file; the number of classes is the file's,
    whose weights may have a prefix such as "module.". ``labels``: default torchvision's, if there are as many.
    Raises ModelError if torchvision is missing, for a name that it does not have, and for weights that cannot be loaded.
    """
    declare_torchvision_operators()
    try:
        from torchvision import models
    except (ImportError, RuntimeError) as error:
        raise ModelError(
            f"'torchvision:{model_name}' needs torchvision ({error}). Install it: pip install torchvision."
        ) from error

    known = models.list_models(module=models)
    if model_name not in known:
        near = difflib.get_close_matches(model_name, known, n=1)
        hint = f" Did you mean 'torchvision:{near[0]}'?" if near else " 'torchvision.models.list_models()' lists them."
        raise ModelError(f"Unknown classifier 'torchvision:{model_name}'.{hint}")
    default: Any = models.get_model_weights(model_name).DEFAULT  # pyright: ignore[reportAttributeAccessIssue] (an enum with this member)
    names: Sequence[str] | None = labels or default.meta["categories"]
    try:
        if weights is None:
            net = models.get_model(model_name, weights=default)
        else:
            plain = models.get_model(model_name, weights=None)
            tensors = fitting_keys(read_weights(weights), plain.state_dict())
            last = [key for key, value in plain.state_dict().items() if value.ndim > 1][-1]  # the head, linear or a convolution
            classes = len(tensors[last] if last in tensors else plain.state_dict()[last])
            names = labels or (default.meta["categories"] if classes == len(default.meta["categories"]) else None)
            net = models.get_model(model_name, weights=None, num_classes=classes)
            load_weights(net, tensors)
    except (OSError, RuntimeError, ValueError, IndexError) as error:
        raise ModelError(
            f"Cannot load 'torchvision:{model_name}' from {weights or 'the network'}: {first_line(error)}"
            + (
                f" Check the connection, or give weights of your own as 'torchvision:{model_name}@WEIGHTS'."
                if weights is None
                else ""
            )
        ) from error
    spec = f"torchvision:{model_name}" + (f"@{weights}" if weights else "")
    return classifier(
        net, transform=default.transforms(), labels=names, name=f"torchvision:{model_name}", spec=spec, device=device
    )
