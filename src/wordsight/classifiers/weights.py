"""Weights from files. Nothing is unpickled but tensors."""

import re
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor


def read_weights(path: Path) -> dict[str, Tensor]:
    """A state dict from a .safetensors file, or from another one that holds tensors only. Raises OSError or ValueError."""
    if not path.is_file():
        raise OSError(f"There is no file {path}.")
    if path.suffix == ".safetensors":
        try:
            return {_PREFIX.sub("", name): value for name, value in load_file(path).items()}
        except SafetensorError as error:
            raise ValueError(f"{path} is no safetensors file ({error}).") from error
    try:
        found = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # whatever a damaged or foreign file makes the unpickler raise
        raise ValueError(f"{path} holds more than tensors, or is damaged ({type(error).__name__}).") from error
    for key in ("state_dict", "model", "model_state_dict", "net"):  # what training scripts put around it
        if isinstance(found, dict) and isinstance(found.get(key), dict):
            found = found[key]
    if not isinstance(found, dict) or not all(isinstance(value, Tensor) for value in found.values()):
        raise ValueError(f"{path} holds {type(found).__name__}, wanted a state dict of tensors.")
    return {_PREFIX.sub("", name): value for name, value in found.items()}


#: What DataParallel, torch.compile and Lightning put before every name.
_PREFIX = re.compile(r"^((module|_orig_mod|model)\.)+")


def differing_keys(wanted: Mapping[str, Tensor], came: Mapping[str, Tensor]) -> str:
    """What is missing, left over or of another shape, the first three of each; "" if nothing is."""
    of_shape = [name for name in wanted if name in came and wanted[name].shape != came[name].shape]
    parts = [
        ("missing", [name for name in wanted if name not in came]),
        ("unknown", [name for name in came if name not in wanted]),
        ("of another shape", [f"{name} {tuple(came[name].shape)} for {tuple(wanted[name].shape)}" for name in of_shape]),
    ]
    return "; ".join(f"{len(names)} {what}: {', '.join(names[:3])}" for what, names in parts if names)


def first_line(error: Exception) -> str:
    """The first line of an error's text, or its kind if it has none."""
    text = str(error).strip()
    return text.splitlines()[0] if text else type(error).__name__
