"""The process: memory, threads, operators, devices. Nothing here runs when the package is imported."""

import ctypes
import functools
import math
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from wordsight.errors import ModelError

if TYPE_CHECKING:
    import torch

#: The name of the fastest device of this machine, see ``language.devices``.
AUTO = "auto"

OnProgress = Callable[[str, int, int], None]
"""Called with what is being done ("features", "sentences", "fetching FILE"), how much of it is done, and how much there is."""


def no_progress(stage: str, done: int, total: int) -> None:
    """The default progress callback: does nothing."""


#: More than the shapes of a classifier's layers, at two batch sizes.
_SHAPES = "128"
_M_TRIM_THRESHOLD, _M_TOP_PAD, _M_MMAP_THRESHOLD = -1, -2, -3


@functools.cache
def tune_memory() -> bool:
    """Let glibc reuse freed memory instead of handing it back to the kernel, and bound the kernels' caches.

    Returns whether glibc did as it was told.

    PyTorch frees and asks again for the same large buffers at every step; by default glibc maps each of them anew, and the
    page faults cost more than the arithmetic (seen on two virtual cores: a plain timm loop went from 16 to 87 images/s). The
    process keeps its peak memory until it ends. Elsewhere than on Linux with glibc nothing happens.

    What PyTorch's CPU kernels remember of every shape they met is bounded, too, unless the user's environment says otherwise:
    a tree of sentences has hundreds of shapes, and a thousand of each kind (the default) took 0.4 GiB.
    """
    for cache in ("LRU_CACHE_CAPACITY", "ONEDNN_PRIMITIVE_CACHE_CAPACITY"):
        os.environ.setdefault(cache, _SHAPES)  # read when the first kernel runs
    if not sys.platform.startswith("linux"):
        return False
    try:
        libc = ctypes.CDLL("libc.so.6")
        wanted = ((_M_MMAP_THRESHOLD, 1 << 30), (_M_TRIM_THRESHOLD, (1 << 31) - 1), (_M_TOP_PAD, 1 << 26))
        return all(libc.mallopt(option, value) == 1 for option, value in wanted)
    except (OSError, AttributeError):
        return False


def usable_cores(cgroup: Path = Path("/sys/fs/cgroup")) -> int:
    """How many cores this process may keep busy: its affinity, and the container's quota of processor time (cgroup 1 or 2)."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    for read in (
        lambda: (cgroup / "cpu.max").read_text(encoding="ascii").split(),
        lambda: [(cgroup / "cpu" / f"cpu.cfs_{name}_us").read_text(encoding="ascii") for name in ("quota", "period")],
    ):
        try:
            quota, period = read()
            if quota != "max" and int(quota) > 0:
                return max(1, min(cores, math.ceil(int(quota) / int(period))))
        except (OSError, ValueError):  # no cgroup here, or not of this kind
            continue
    return cores


def tune_threads() -> None:
    """As many threads as cores that the process may use, which sleep while they wait. Before PyTorch is imported.

    What the user's environment says goes first. By default OpenMP's threads spin while they wait for one another: on a machine
    that is doing something else they then burn the very cores that the others need.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    os.environ.setdefault("OMP_NUM_THREADS", str(usable_cores()))
    os.environ.setdefault("PYTORCH_ENABLE_MPS_FALLBACK", "1")  # what Apple's GPU does not have runs on the CPU


@functools.cache
def declare_torchvision_operators() -> bool:
    """Declare the two operators without which torchvision's Python code does not import. Returns whether it was needed.

    On CPU-only installs torchvision's compiled operators may be missing; its import then fails while it registers fake
    versions of ``nms`` and ``qnms`` (pytorch/vision issues 9077 and 9085). Nothing here uses them; timm and transformers
    only import the package.
    """
    import importlib.machinery
    import importlib.util

    import torch

    spec = importlib.util.find_spec("torchvision")  # finds, does not import
    if spec is None or spec.submodule_search_locations is None:
        return False
    folder = next(iter(spec.submodule_search_locations))
    extension = importlib.machinery.PathFinder.find_spec("_C", [folder])
    if extension is not None and extension.origin is not None and _loads(extension.origin):
        return False
    library = torch.library.Library("torchvision", "DEF")
    for name in ("nms", "qnms"):
        library.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    _KEPT_ALIVE.append(library)  # the declarations end with the object
    return True


_KEPT_ALIVE: "list[torch.library.Library]" = []


def _loads(path: str) -> bool:
    import torch

    try:
        torch.ops.load_library(path)
    except OSError:
        return False
    return True


def check_device(device: str) -> None:
    """Raise ModelError unless this machine has the device ("cpu", "cuda", "cuda:1", "mps")."""
    import torch

    try:
        torch.zeros(1, device=device).cpu()  # the device meta makes tensors, and has nothing in them
    except (RuntimeError, AssertionError) as error:
        have = ["cpu"] + [f"cuda:{i}" for i in range(torch.cuda.device_count())]
        have += ["mps"] if torch.backends.mps.is_available() else []
        raise ModelError(
            f"The device '{device}' cannot be used ({str(error).splitlines()[0]}). This machine has: {', '.join(have)}."
        ) from error


def is_full(error: RuntimeError) -> bool:
    """Whether an error says that an accelerator's memory does not suffice; Apple's says it in words only."""
    import torch

    return isinstance(error, torch.OutOfMemoryError) or "backend out of memory" in str(error)


def free_memory(device: "torch.device") -> None:
    """Give back what PyTorch keeps of an accelerator's memory for later."""
    import torch

    if device.type != "cpu":
        torch.get_device_module(device).empty_cache()
