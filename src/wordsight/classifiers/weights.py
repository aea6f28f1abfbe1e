"""Weights from files. Nothing is unpickled but tensors."""

import json
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

#: Where training scripts put a model's weights among other things.
_INSIDE = ("state_dict_ema", "state_dict", "model_state_dict", "model_ema", "model", "net")


def read_weights(path: Path) -> dict[str, Tensor]:
    """A state dict from a .safetensors file, or from another one that holds tensors only. Raises OSError or ValueError."""
    if not path.is_file():
        raise OSError(f"There is no file {path}.")
    if path.suffix == ".safetensors":
        try:
            return load_file(path)
        except SafetensorError as error:
            raise ValueError(f"{path} is no safetensors file ({error}).") from error
    try:
        found = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # whatever a damaged or foreign file makes the unpickler raise
        raise ValueError(
            f"{path} holds more than tensors, or is damaged ({type(error).__name__}). Nothing else is unpickled: save "
            "net.state_dict() alone."
        ) from error
    for name in _INSIDE:
        if isinstance(found, dict) and isinstance(found.get(name), dict):
            found = found[name]
    if not isinstance(found, dict) or not found or not all(isinstance(value, Tensor) for value in found.values()):
        raise ValueError(f"{path} holds {_described(found)}, wanted a state dict of tensors, alone or as state_dict.")
    return found


def fitting_keys(tensors: Mapping[str, Tensor], wanted: Collection[str]) -> dict[str, Tensor]:
    """The tensors under the names that a model has: without the prefix, such as "module.", by which most of them fit.

    What lies outside of that prefix, such as a loss's weights, is left out.
    """
    prefixes = {""} | {key[: i + 1] for key in tensors for i, letter in enumerate(key) if letter == "."}
    known = set(wanted)

    def fits(prefix: str) -> int:
        return sum(key.startswith(prefix) and key[len(prefix) :] in known for key in tensors)

    best = max(sorted(prefixes, key=len), key=fits)
    return {key[len(best) :]: value for key, value in tensors.items() if key.startswith(best)}


def load_weights(model: nn.Module, tensors: Mapping[str, Tensor]) -> None:
    """Load weights into a model. Raises ValueError, which names the weights that differ, unless they are all there and fit."""
    own = model.state_dict()
    optional = {key for key in own if key.endswith("num_batches_tracked")}
    shapes = [
        f"{key} is {tuple(tensors[key].shape)} in the file and {tuple(own[key].shape)} in the network"
        for key in own
        if key in tensors and tensors[key].shape != own[key].shape
    ]
    missing = [key for key in own if key not in tensors and key not in optional]
    foreign = [key for key in tensors if key not in own]
    different = [("of other sizes", shapes), ("missing in the file", missing), ("not in the network", foreign)]
    if any(names for _, names in different):
        shown = "; ".join(f"{len(names)} {kind}: {_first(names)}" for kind, names in different if names)
        raise ValueError(f"its weights are another network's: {shown}. Name the network that was trained.")
    model.load_state_dict(dict(tensors), strict=False)


def _first(names: list[str], *, limit: int = 3) -> str:
    return ", ".join(names[:limit]) + (f" and {len(names) - limit} more" if len(names) > limit else "")


def read_labels(path: Path) -> list[str]:
    """Names of classes: one a line, or JSON: a list, {"0": name, ...} or {name: 0, ...}. Raises ValueError or OSError."""
    text = path.read_text(encoding="utf-8-sig")
    if path.suffix.lower() != ".json":
        return [line.strip() for line in text.splitlines() if line.strip()]
    found = json.loads(text)
    if not isinstance(found, list | dict):
        raise ValueError(f"it holds a {type(found).__name__}")
    return label_names(found)


def label_names(labels: Iterable[object] | Mapping[Any, Any]) -> list[str]:
    """Names of classes in order: from a sequence, from ``id2label`` or from ``class_to_idx``. Raises ValueError for another dict."""
    if isinstance(labels, Mapping):
        pairs: list[tuple[Any, Any]] = list(labels.items())
        if all(isinstance(number, int) and isinstance(name, str) and not name.isdecimal() for name, number in pairs):
            pairs = [(number, name) for name, number in pairs]
        by_number = {int(number): name for number, name in pairs}
        labels = [by_number[number] for number in sorted(by_number)]
    return [str(label) for label in labels]


def _described(found: object) -> str:
    keys = ", ".join(map(str, list(found)[:5])) if isinstance(found, dict) else ""
    return f"a dict of {keys}" if keys else f"a {type(found).__name__}"


def first_line(error: Exception) -> str:
    """The first line of an error's text, or its kind if it has none."""
    text = str(error).strip()
    return text.splitlines()[0] if text else type(error).__name__
