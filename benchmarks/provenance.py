"""What every file of results says about itself: date, commit, machine."""

import os
import subprocess
from datetime import UTC, datetime
from pathlib import Path

import torch


def provenance() -> dict[str, str]:
    """Date, commit (with a plus if files differ from it) and machine of a figure."""
    return {"date": datetime.now(UTC).date().isoformat(), "commit": _commit(), "machine": machine()}


def machine() -> str:
    """Cores and what the processor multiplies natively, for instance "2 cores, AVX512 with bfloat16"."""
    capability = torch.backends.cpu.get_cpu_capability()  # of a processor held to AVX2, AVX2
    bf16 = capability == "AVX512" and bool(getattr(torch.cpu, "_is_avx512_bf16_supported", lambda: False)())
    return f"{os.cpu_count()} cores, {capability}{' with bfloat16' if bf16 else ''}"


def _commit() -> str:
    def git(*arguments: str) -> str:
        ran = subprocess.run(["git", *arguments], capture_output=True, text=True, check=False, cwd=Path(__file__).parent)
        return ran.stdout.strip()

    return git("rev-parse", "--short", "HEAD") + ("+" if git("status", "--porcelain", "--", "../src") else "")
