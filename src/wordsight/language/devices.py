"""Where models run and in which precision: known for common processors, measured once for others and kept in the cache.

Apple's processors are of the second kind: some multiply bfloat16 several times as fast as float32, some not at all, and whether
their GPU (mps) is faster than their cores depends on the model. What is measured are the language model's steps as sampling takes
them; a device on which these are wrong or fail is not chosen.
"""

import hashlib
import json
import logging
import os
import platform
import statistics
import subprocess
import time
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from filelock import FileLock

from wordsight.runtime import AUTO, check_device, declare_torchvision_operators, is_full
from wordsight.storage import cache_folder, read_stored, store_if_possible

if TYPE_CHECKING:
    import torch

logger = logging.getLogger(__name__)

#: Another device or precision than float32 on the CPU is chosen if it is this many times as fast: it gives other last digits.
_WORTH = 1.2
#: How far the states of the measured language model may be from those in float32 on the CPU, as a share of their length.
_ROUNDING = {"float32": 5e-3, "bfloat16": 5e-2}  # some GPUs multiply float32 in fewer digits (TF32): 1e-3
#: Rows of the measured steps (as many beginnings as explain has of one photograph), vectors before them, steps, runs.
_ROWS, _PREFIX, _STEPS, _RUNS = 48, 8, 6, 3


def chosen_device(device: str) -> str:
    """The device that a name means: itself, or for "auto" the fastest that this machine has.

    Raises ModelError if this machine does not have the device.
    """
    if device != AUTO:
        check_device(device)
        return device
    accelerator = _accelerator()
    if accelerator is None:
        return "cpu"
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:  # processes of a launcher, which have to agree
        return accelerator
    times, usual = _times(accelerator), min(_times("cpu").values())
    return accelerator if times and min(times.values()) * _WORTH <= usual else "cpu"


def native_dtype(device: "str | torch.device") -> "torch.dtype":
    """The language model's precision on a device: bfloat16 where that multiplies it fast, else float32."""
    import torch

    kind = torch.device(device).type
    if kind == "cuda":
        fast = torch.cuda.is_bf16_supported(including_emulation=False)
    elif kind == "cpu" and platform.machine().lower() in ("x86_64", "amd64"):
        fast = torch.backends.cpu.get_cpu_capability() == "AVX512" and _has_bf16()
    else:
        times = _times(str(device))
        fast = "bfloat16" in times and times["bfloat16"] * _WORTH <= times["float32"]
    return torch.bfloat16 if fast else torch.float32


def _has_bf16() -> bool:
    import torch

    return bool(getattr(torch.cpu, "_is_avx512_bf16_supported", lambda: False)())


def _accelerator() -> str | None:
    """The accelerator that this PyTorch can use here, if any: cuda, mps, xpu."""
    import torch

    return str(torch.accelerator.current_accelerator()) if torch.accelerator.is_available() else None


def _times(device: str) -> dict[str, float]:
    """Seconds of the same steps on a device, by precision; without those that fail or are wrong there. From the cache if known."""
    import torch

    about = f"1 {torch.__version__} {device} {_processor()}"
    file = cache_folder() / "speeds" / f"{hashlib.sha256(about.encode()).hexdigest()[:32]}.json"
    known = read_stored(file, _read_times)
    if known is not None:
        return known
    with ExitStack() as alone:
        with suppress(OSError, NotImplementedError):  # processes that start together agree, and do not disturb each other
            file.parent.mkdir(parents=True, exist_ok=True)
            alone.enter_context(FileLock(file.with_suffix(".lock"), timeout=60))
        known = read_stored(file, _read_times)
        if known is not None:
            return known
        try:
            known = _measured(device)
        except RuntimeError as error:
            if not is_full(error):
                raise
            logger.warning("%s is not used, since something else has its memory (%s)", device, error)
            return {}  # asked again next time
        if not known:
            logger.warning("sampling's steps fail on %s or are wrong there: it is used only where it is named", device)
        store_if_possible(file, lambda partial, times: partial.write_text(json.dumps(times), encoding="ascii"), known)
    return known


def _read_times(file: Path) -> dict[str, float]:
    return {name: float(seconds) for name, seconds in dict(json.loads(file.read_text(encoding="ascii"))).items()}


def _processor() -> str:
    """The processor's name, as far as the system says it."""
    if platform.system() == "Darwin":
        asked = subprocess.run(["sysctl", "-n", "machdep.cpu.brand_string"], capture_output=True, text=True, check=False)
        return asked.stdout.strip()
    return f"{platform.machine()} {platform.processor()}"


def _measured(device: str) -> dict[str, float]:
    """Seconds of sampling's steps by precision, without those that fail or are wrong; none where float32 is."""
    right, _ = _steps("cpu", "float32")
    times = {}
    for precision, rounding in _ROUNDING.items():
        try:
            found, seconds = _steps(device, precision)
        except Exception as error:  # what is not implemented there, in whatever way that is said
            if isinstance(error, RuntimeError) and is_full(error):
                raise
            logger.info("%s on %s fails: %s", precision, device, error)
            continue
        if float((found - right).norm() / right.norm()) <= rounding:  # a NaN is not
            times[precision] = seconds
    return times if "float32" in times else {}


def _steps(device: str, precision: str) -> "tuple[torch.Tensor, float]":
    """The states after some steps of a language model of the starter's widths and fewer layers, and the seconds that they take."""
    import torch

    from wordsight.language.blocked import blocked
    from wordsight.language.causal import CausalLM

    dtype = getattr(torch, precision)
    lm = blocked(CausalLM("measured", lambda: (_random_model().to(device, dtype), None), "", dtype))
    draw = torch.Generator().manual_seed(0)
    prefix = torch.randn(_ROWS, _PREFIX, lm.hidden, generator=draw)
    tokens = torch.randint(lm.embeddings.shape[0], (_STEPS, _ROWS), generator=draw)
    seconds, states = [], prefix
    with torch.inference_mode():
        for _ in range(1 + _RUNS):
            began = time.perf_counter()
            state, hidden = lm.start(prefix, capacity=_ROWS, room=_PREFIX + _STEPS)
            for number in range(_STEPS):
                hidden = lm.step(state, tokens[number])
                best = lm.logits(hidden).topk(64).values
            states = torch.cat([hidden, best], dim=1).float().cpu()  # waits for the device
            seconds.append(time.perf_counter() - began)
    return states, statistics.median(seconds[1:])  # the first run makes kernels and buffers


def _random_model() -> Any:
    import torch

    declare_torchvision_operators()
    from transformers import LlamaConfig, LlamaForCausalLM

    config = LlamaConfig(
        hidden_size=576,
        intermediate_size=1536,
        num_hidden_layers=4,
        num_attention_heads=9,
        num_key_value_heads=3,
        vocab_size=8192,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return LlamaForCausalLM(config).eval().requires_grad_(False)
