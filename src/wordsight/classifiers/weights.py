"""Weights from files. Nothing is unpickled but tensors."""

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
            return load_file(path)
        except SafetensorError as error:
            raise ValueError(f"{path} is no safetensors file ({error}).") from error
    try:
        found = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # whatever a damaged or foreign file makes the unpickler raise
        raise ValueError(f"{path} holds more than tensors, or is damaged ({type(error).__name__}).") from error
    found = found.get("state_dict", found) if isinstance(found, dict) else found
    if not isinstance(found, dict) or not all(isinstance(value, Tensor) for value in found.values()):
        raise ValueError(f"{path} holds {type(found).__name__}, wanted a state dict of tensors.")
    return found


def first_line(error: Exception) -> str:
    """The first line of an error's text, or its kind if it has none."""
    text = str(error).strip()
    return text.splitlines()[0] if text else type(error).__name__
