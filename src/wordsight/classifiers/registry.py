"""Classifiers by name: one entry a scheme."""

import importlib
import importlib.util
import inspect
import re
import sys
import traceback
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from wordsight.classifiers.classifier import Classifier
from wordsight.classifiers.head import load_head, with_head
from wordsight.classifiers.huggingface import huggingface_classifier
from wordsight.classifiers.starter import CLASSIFIER, starter_classifier
from wordsight.classifiers.timm_models import timm_classifier
from wordsight.classifiers.torchvision_models import torchvision_classifier
from wordsight.errors import ModelError, WordsightError
from wordsight.runtime import OnProgress, no_progress

_MODULE = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*")


def load_classifier(spec: str, *, device: str = "cpu", on_progress: OnProgress = no_progress) -> Classifier:
    """A classifier by name.

    - ``starter``: EfficientNet-Lite0 with 1,000 ImageNet classes; its weights are fetched at first use.
    - ``timm:NAME``, ``torchvision:NAME``: with the library's weights, or ``NAME@FILE`` with yours.
    - ``hf:NAME_OR_FOLDER``: any image classification model of Hugging Face.
    - ``head:FILE``: a head from 'wordsight head' or 'wordsight mitigate', with the classifier that it was made for.
    - ``path/to/file.py:function`` or ``package.module:function``: your own function that returns a ``Classifier`` (see
      ``wordsight.classifier``). It is called with ``device=`` if it takes that.

    Raises ModelError for a name that nothing has, with the nearest one, and for weights that cannot be loaded.
    """
    if spec == CLASSIFIER:
        return starter_classifier(device=device, on_bytes=on_progress)
    scheme, _, rest = spec.partition(":")
    if scheme in _SCHEMES and rest:
        return _SCHEMES[scheme](rest, device, on_progress)
    source, _, function = spec.rpartition(":")
    if function and (source.endswith(".py") or _MODULE.fullmatch(source)):
        return _own_classifier(spec, source, function, device)
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


def _own_classifier(spec: str, source: str, function: str, device: str) -> Classifier:
    try:
        found = getattr(_from_file(Path(source)) if source.endswith(".py") else importlib.import_module(source), function)
        takes_device = "device" in inspect.signature(found).parameters
        made = found(device=device) if takes_device else found()
    except WordsightError:
        raise
    except Exception as error:  # the user's code: whatever it raises
        where = traceback.extract_tb(error.__traceback__)[-1]
        raise ModelError(
            f"Cannot load the classifier '{spec}' ({type(error).__name__}: {error}; {where.filename}, line {where.lineno}; --debug "
            "before the command shows all of it). Wanted 'path/to/file.py:function' or "
            "'package.module:function', where the function needs no arguments and returns wordsight.classifier(...)."
        ) from error
    if not isinstance(made, Classifier):
        raise ModelError(
            f"'{spec}' returned {type(made).__name__}, wanted a wordsight Classifier: return wordsight.classifier(net, "
            "transform=..., labels=...)."
        )
    if made.device != device:
        raise ModelError(
            f"'{spec}' returned a classifier on the device '{made.device}', wanted '{device}'. Give the function a parameter "
            "device and pass it on to wordsight.classifier(..., device=device)."
        )
    return replace(made, spec=spec)


def _from_file(path: Path):
    if not path.is_file():
        raise ModelError(f"There is no file {path} (searched from {Path.cwd()}). Give path/to/file.py:function.")
    name = f"wordsight_user_{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module
