"""Classifiers by name: one entry a scheme."""

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from wordsight.classifiers.classifier import Classifier
from wordsight.classifiers.head import load_head, with_head
from wordsight.classifiers.huggingface import huggingface_classifier
from wordsight.classifiers.own import own_classifier
from wordsight.classifiers.starter import CLASSIFIER, starter_classifier
from wordsight.classifiers.timm_models import timm_classifier
from wordsight.classifiers.torchvision_models import torchvision_classifier
from wordsight.classifiers.weights import read_labels
from wordsight.errors import ModelError
from wordsight.runtime import OnProgress, no_progress

#: How files of weights end.
_WEIGHTS = (".safetensors", ".pth", ".pt", ".bin", ".ckpt")
_MODULE = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*")


def load_classifier(spec: str, *, device: str = "cpu", on_progress: OnProgress = no_progress) -> Classifier:
    """A classifier by name.

    - ``starter``: EfficientNet-Lite0 with 1,000 ImageNet classes; its weights are fetched at first use.
    - ``timm:NAME``, ``torchvision:NAME``: with the library's weights, ``NAME@FILE`` with yours, or ``NAME@FILE@LABELS.txt`` with the
      names of your classes, too: one a line, or JSON (``id2label`` or ``class_to_idx``).
    - ``hf:NAME_OR_FOLDER``: any image classification model of Hugging Face.
    - ``head:FILE``: a head from 'wordsight head' or 'wordsight mitigate', with the classifier that it was made for.
    - ``path/to/file.py:function`` or ``package.module:function``: your own function that returns a ``Classifier`` (see
      ``wordsight.classifier``). It is called with ``device=`` if it takes that. A file with one function needs no
      ``:function``.

    Raises ModelError for a name that nothing has, with the nearest one, and for weights that cannot be loaded.
    """
    if spec == CLASSIFIER:
        return starter_classifier(device=device, on_bytes=on_progress)
    scheme, _, rest = spec.partition(":")
    if scheme in _SCHEMES and rest:
        return _SCHEMES[scheme](rest, device, on_progress)
    source, _, function = (spec, "", "") if spec.endswith(".py") else spec.rpartition(":")
    if source.endswith(".py") or (function and _MODULE.fullmatch(source)):
        return own_classifier(spec, source, function, device)
    if spec.endswith(_WEIGHTS):
        raise ModelError(
            f"'{spec}' is a file of weights, which does not say of what network. Wanted 'timm:NAME@{spec}' or "
            f"'torchvision:NAME@{spec}' for a network of theirs, 'head:{spec}' for a head, or for your own network "
            "'path/to/file.py:function' with a function that loads them."
        )
    raise ModelError(
        f"Unknown classifier '{spec}'. Wanted 'starter', 'timm:NAME' (for example 'timm:resnet50'), 'torchvision:NAME', "
        "'hf:NAME_OR_FOLDER', 'head:FILE.safetensors', 'path/to/file.py:function' or 'package.module:function'."
    )


def _timm(rest: str, device: str, _: OnProgress) -> Classifier:
    name, weights, labels = _files(rest)
    made = timm_classifier(name, weights=weights, labels=_labels(labels), device=device)
    return replace(made, spec=f"timm:{rest}")


def _torchvision(rest: str, device: str, _: OnProgress) -> Classifier:
    name, weights, labels = _files(rest)
    made = torchvision_classifier(name, weights=weights, labels=_labels(labels), device=device)
    return replace(made, spec=f"torchvision:{rest}")


def _huggingface(rest: str, device: str, _: OnProgress) -> Classifier:
    return huggingface_classifier(rest, device=device)


def _head(rest: str, device: str, on_progress: OnProgress) -> Classifier:
    head = load_head(rest)
    try:
        base = load_classifier(head.classifier, device=device, on_progress=on_progress)
    except ModelError as error:
        raise ModelError(
            f"The head {rest} was made for the classifier '{head.classifier}', which cannot be loaded. {error}"
        ) from error
    return with_head(base, head, spec=f"head:{rest}")


_SCHEMES: dict[str, Callable[[str, str, OnProgress], Classifier]] = {
    "timm": _timm,
    "torchvision": _torchvision,
    "hf": _huggingface,
    "head": _head,
}


def _files(rest: str) -> tuple[str, Path | None, Path | None]:
    """The name, the file of weights and that of labels of NAME, NAME@WEIGHTS, NAME@WEIGHTS@LABELS.txt or NAME@LABELS.txt."""
    name, _, files = rest.partition("@")
    weights, labels = files, ""
    if files.lower().endswith((".txt", ".json")):
        weights, _, labels = files.rpartition("@")
    return name, Path(weights).expanduser() if weights else None, Path(labels).expanduser() if labels else None


def _labels(file: Path | None) -> list[str] | None:
    if file is None:
        return None
    try:
        return read_labels(file)
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise ModelError(
            f"The labels in {file} cannot be read ({type(error).__name__}: {error}). Wanted one name a line in a .txt file, or JSON: "
            'a list, {"0": name, ...} or {name: 0, ...}.'
        ) from error
