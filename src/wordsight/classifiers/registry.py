"""Classifiers by name: one entry a scheme."""

import re
from collections.abc import Callable
from pathlib import Path

from wordsight.classifiers.classifier import Classifier
from wordsight.classifiers.head import load_head, with_head
from wordsight.classifiers.huggingface import huggingface_classifier
from wordsight.classifiers.own import own_classifier
from wordsight.classifiers.starter import CLASSIFIER, starter_classifier
from wordsight.classifiers.timm_models import timm_classifier
from wordsight.classifiers.torchvision_models import torchvision_classifier
from wordsight.errors import ModelError
from wordsight.runtime import OnProgress, no_progress

#: How files of weights end.
_WEIGHTS = (".safetensors", ".pth", ".pt", ".bin", ".ckpt")
_MODULE = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*")


def load_classifier(spec: str, *, device: str = "cpu", on_progress: OnProgress = no_progress) -> Classifier:
    """A classifier by name.

    - ``starter``: EfficientNet-Lite0 with 1,000 ImageNet classes; its weights are fetched at first use.
    - ``timm:NAME``, ``torchvision:NAME``: with the library's weights, or ``NAME@FILE`` with yours.
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
    name, weights = _weights_file(rest)
    return timm_classifier(name, weights=weights, device=device)


def _torchvision(rest: str, device: str, _: OnProgress) -> Classifier:
    name, weights = _weights_file(rest)
    return torchvision_classifier(name, weights=weights, device=device)


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


def _weights_file(rest: str) -> tuple[str, Path | None]:
    name, _, weights = rest.partition("@")
    return name, Path(weights) if weights else None
