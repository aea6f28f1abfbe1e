"""Classifiers by name."""

import importlib
from dataclasses import replace
from pathlib import Path

from wordsight.classifiers.classifier import Classifier
from wordsight.classifiers.head import load_head, with_head
from wordsight.classifiers.starter import CLASSIFIER, starter_classifier
from wordsight.classifiers.timm_models import timm_classifier
from wordsight.errors import ModelError
from wordsight.runtime import OnProgress, no_progress


def _by_scheme(name: str, *, device: str = "cpu") -> Classifier:
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


def load_classifier(name: str, *, device: str = "cpu", on_bytes: OnProgress = no_progress) -> Classifier:
    """``starter``, ``head:FILE`` (a head with the classifier that it was made for), or a name for ``load_classifier``."""
    if name == CLASSIFIER:
        return starter_classifier(device=device, on_bytes=on_bytes)
    if name.startswith("head:"):
        head = load_head(name.removeprefix("head:"))
        return with_head(load_classifier(head.classifier, device=device, on_bytes=on_bytes), head)
    return _by_scheme(name, device=device)
