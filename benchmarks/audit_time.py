"""Seconds and peak memory of `wordsight audit` in a new process: features that are new, and features that are stored.

    python benchmarks/audit_time.py FOLDER [--out benchmarks/results/audit_time.json]

FOLDER holds a folder of images for each class. The weights are in the cache already; features, sentences and maps are not. For a
processor without AVX-512 on one that has it, set
ATEN_CPU_CAPABILITY=avx2 ONEDNN_MAX_CPU_ISA=AVX2 MKL_ENABLE_INSTRUCTIONS=AVX2 FBGEMM_ENABLE_INSTRUCTIONS=AVX2.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from provenance import provenance
from wordsight.images.labelled import read_labelled
from wordsight.storage import cache_folder


def process(folder: Path, out: Path, cache: Path) -> dict[str, float]:
    """Clock seconds, processor seconds and peak MiB of one command."""
    started = time.perf_counter()
    child = subprocess.Popen(
        [sys.executable, "-m", "wordsight", "audit", str(folder), "--out", str(out)],
        env=os.environ | {"WORDSIGHT_CACHE": str(cache)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    _, status, usage = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    assert child.returncode == 0
    return {
        "seconds": round(time.perf_counter() - started, 1),
        "processor_seconds": round(usage.ru_utime + usage.ru_stime, 1),
        "peak_mib": round(usage.ru_maxrss / 1024),
    }


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/audit_time.json"))
    options = parser.parse_args()
    images = read_labelled(options.folder)
    with tempfile.TemporaryDirectory() as made:
        cache = Path(made) / "cache"
        cache.mkdir()
        for weights in cache_folder().glob("*"):
            if weights.name.startswith(("smollm2", "wheels")):
                (cache / weights.name).symlink_to(weights)
        new, stored = (process(options.folder, Path(made) / name, cache) for name in ("new", "stored"))
        found = json.loads((Path(made) / "new" / "findings.json").read_text())
    figures = {
        **provenance(),
        "images": len(images.paths),
        "classes": len(set(images.labels)),
        "findings": len(found["findings"]),
        "new": new,
        "stored": stored,
    }
    options.out.write_text(json.dumps(figures, indent=2) + "\n")
    print(json.dumps(figures, indent=2))


if __name__ == "__main__":
    main()
