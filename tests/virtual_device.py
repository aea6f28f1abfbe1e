"""An accelerator that is none: PyTorch takes its tensors for those of another device, and they lie on the CPU.

As Apple's does it refuses float64, and what mixes its tensors with the CPU's.
"""

from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten, tree_map
from torch.utils.backend_registration import _setup_privateuseone_for_python_backend

NAME = "virtual"
aten: Any = torch.ops.aten


class Tensor(torch.Tensor):
    """A tensor of the device; ``inner`` is where its numbers are."""

    inner: torch.Tensor

    @staticmethod
    def __new__(cls, inner: torch.Tensor) -> "Tensor":
        if inner.dtype == torch.float64:
            raise TypeError(f"Cannot convert a {NAME} tensor to float64, which the device does not have.")
        made = torch.Tensor._make_wrapper_subclass(
            cls,
            inner.shape,
            strides=inner.stride(),
            storage_offset=inner.storage_offset(),
            dtype=inner.dtype,
            device=torch.device(f"{NAME}:0"),
        )
        made.inner = inner
        return made

    def tolist(self) -> list:
        return self.inner.tolist()

    def numpy(self, *_: Any, **__: Any) -> Any:
        raise TypeError(f"can't convert {NAME}:0 device type tensor to numpy.")

    __array__ = numpy

    @classmethod
    def __torch_dispatch__(cls, operator, types, arguments=(), options=None):
        return run(operator, arguments, options or {})


class Device(TorchDispatchMode):
    """While it is entered, PyTorch has the device."""

    def __torch_dispatch__(self, operator, types, arguments=(), options=None):
        return run(operator, arguments, options or {})


def run(operator: Any, arguments: tuple, options: dict) -> Any:
    """An operator on tensors of the device, of the CPU, or from one to the other."""
    tensors = [value for value in tree_flatten((arguments, options))[0] if isinstance(value, torch.Tensor)]
    here = [value for value in tensors if isinstance(value, Tensor)]
    named = [value for value in (options.get("device"), *arguments) if isinstance(value, torch.device)]
    if operator is aten.to.other:
        named = [arguments[1].device]
    there = named[0].type == NAME if named else bool(here)
    copies = operator in (aten._to_copy.default, aten.copy_.default) or operator.name().startswith("aten::to.")
    indexes = operator.name().startswith("aten::index") or operator.name().startswith(
        "aten::_index"
    )  # indices may be the CPU's
    if here and not copies and not indexes and any(t.dim() > 0 and not isinstance(t, Tensor) for t in tensors):
        found = ", ".join(f"{tuple(t.shape)} on {t.device}" for t in tensors)
        raise RuntimeError(f"Expected all tensors to be on the same device, found {found} ({operator.name()})")
    result = operator(*tree_map(inside, arguments), **tree_map(inside, options))
    known = {id(value.inner): value for value in here}

    def outside(value: Any) -> Any:
        if not isinstance(value, torch.Tensor):
            return value
        if id(value) in known and (there or not copies):
            return known[id(value)]
        return Tensor(value) if there else value

    return arguments[0] if operator is aten.copy_.default else tree_map(outside, result)


def inside(value: Any) -> Any:
    if isinstance(value, Tensor):
        return value.inner
    return torch.device("cpu") if isinstance(value, torch.device) else value


class Backend:
    """What ``torch.virtual`` is: one device, whose random numbers are the CPU's."""

    is_available = staticmethod(lambda: True)
    is_initialized = staticmethod(lambda: True)
    device_count = staticmethod(lambda: 1)
    current_device = staticmethod(lambda: 0)
    manual_seed_all = staticmethod(lambda seed: None)
    get_rng_state = staticmethod(lambda device: torch.get_rng_state())
    set_rng_state = staticmethod(lambda state, device: None)
    empty_cache = staticmethod(lambda: None)
    _is_in_bad_fork = staticmethod(lambda: False)


def register() -> None:
    """Let PyTorch know the device, to the end of the process."""
    _setup_privateuseone_for_python_backend(NAME, Backend())
    torch._C._set_only_lift_cpu_tensors(True)  # torch.tensor(..., device=...) would otherwise go past the mode
