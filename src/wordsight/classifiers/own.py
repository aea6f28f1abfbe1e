"""A classifier from a function of the user's: in a file, or importable."""

import importlib
import importlib.util
import inspect
import logging
import sys
import sysconfig
import traceback
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

from wordsight.classifiers.classifier import Classifier
from wordsight.errors import ModelError, WordsightError
from wordsight.runtime import check_device, declare_torchvision_operators

logger = logging.getLogger(__name__)


def own_classifier(spec: str, source: str, function: str, device: str) -> Classifier:
    """What ``function`` of ``source``, a file or a module, returns; "" for the only function of a file.

    Raises ModelError, which names the reason and the line, if it fails or returns something else.
    """
    declare_torchvision_operators()  # before the user's code imports torchvision
    try:
        module = _from_file(Path(source).expanduser()) if source.endswith(".py") else importlib.import_module(source)
        make = _function(module, function, source)
        takes_device = "device" in inspect.signature(make).parameters
        made = make(device=device) if takes_device else make()
    except WordsightError:
        raise
    except (Exception, SystemExit) as error:  # the user's code: whatever it raises, or a script that ends itself
        raise ModelError(
            f"Cannot load the classifier '{spec}' ({type(error).__name__}: {error}{_place(error)}). Wanted "
            "'path/to/file.py:function' or 'package.module:function', where the function needs no arguments and returns "
            "wordsight.classifier(...)."
        ) from error
    if not isinstance(made, Classifier):
        raise ModelError(
            f"'{spec}' returned {type(made).__name__}, wanted a wordsight Classifier: return wordsight.classifier(net, "
            "transform=..., labels=...)."
        )
    if made.device != device:
        check_device(made.device)
        logger.warning(
            "'%s' returned a classifier on the device '%s', not '%s': features are extracted there. For the other give the function "
            "a parameter device and pass it on to wordsight.classifier(..., device=device).",
            spec,
            made.device,
            device,
        )
    return replace(made, spec=spec)


def _function(module: ModuleType, name: str, source: str) -> Callable[..., Any]:
    if name:
        return getattr(module, name)
    own = [name for name, value in vars(module).items() if inspect.isfunction(value) and value.__module__ == module.__name__]
    public = [name for name in own if not name.startswith("_")]
    if len(public) != 1:
        raise ModelError(
            f"'{source}' came without a function, and has {len(public)}: {', '.join(public) or 'none'}. Wanted "
            f"'{source}:function', where the function returns wordsight.classifier(...)."
        )
    return getattr(module, public[0])


def _place(error: BaseException) -> str:
    """Where in the user's code it happened: the last line that lies in no library."""
    libraries = ("<", str(Path(__file__).parent.parent), sysconfig.get_path("stdlib"))
    frames = [
        frame
        for frame in traceback.extract_tb(error.__traceback__)
        if not frame.filename.startswith(libraries) and "site-packages" not in frame.filename
    ]
    return f", {frames[-1].filename} line {frames[-1].lineno} in {frames[-1].name}" if frames else ""


def _from_file(path: Path) -> ModuleType:
    if not path.is_file():
        raise ModelError(f"There is no file {path} (searched from {Path.cwd()}). Give path/to/file.py:function.")
    name = f"wordsight_user_{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    if (folder := str(path.parent.resolve())) not in sys.path:
        sys.path.append(folder)  # for what the file imports from beside it, now or later
    spec.loader.exec_module(module)
    return module
