"""Seconds and peak memory of `wordsight explain` on one photograph, as a user meets them.

    python benchmarks/explain_time.py [--runs 5] [--base ../before/src] [--out benchmarks/results/explain_time.json]

first: an empty cache, so with fetching and converting the weights. cold: a new process, everything in the cache; first words: until
the word head's words stand in the terminal. With --base SRC the commands of another checkout are timed, too, in turns.
warm: the second and later calls of a process that has its models loaded (median over five photographs). Half-widths are those of the
95% intervals of each photograph's ten first words, medians. For a processor without AVX-512 on one that has it, set
ATEN_CPU_CAPABILITY=avx2 ONEDNN_MAX_CPU_ISA=AVX2 MKL_ENABLE_INSTRUCTIONS=AVX2 FBGEMM_ENABLE_INSTRUCTIONS=AVX2.
"""

import argparse
import contextlib
import fcntl
import json
import os
import pty
import statistics
import struct
import subprocess
import sys
import tempfile
import termios
import time
from dataclasses import dataclass
from pathlib import Path

from PIL import Image
from skimage import data
from sklearn.datasets import load_sample_image

from provenance import provenance
from wordsight.explain import Explainer
from wordsight.runtime import tune_memory
from wordsight.sentences.sampling import Sampling

TOP = 10


@dataclass(frozen=True)
class Process:
    """One command: seconds until its first words, until its end, of processor time; peak MiB."""

    first_words: float
    seconds: float
    processor: float
    peak: float


def process(photograph: Path, environment: dict[str, str]) -> Process:
    """Explain a photograph of a cat in a new process, with a terminal for its progress."""
    started, first_words = time.perf_counter(), 0.0
    terminal, its_side = pty.openpty()
    fcntl.ioctl(its_side, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 120, 0, 0))  # bars are as wide as the terminal
    child = subprocess.Popen(
        [sys.executable, "-m", "wordsight", "explain", str(photograph), "--json"],
        env=os.environ | environment,
        stdout=its_side,
        stderr=its_side,
    )
    os.close(its_side)
    shown = b""
    with contextlib.suppress(OSError):  # Linux's way to say that the other side was closed
        while read := os.read(terminal, 1 << 16):
            shown += read.replace(photograph.name.encode(), b"")
            if b"cat" in shown and not first_words:
                first_words = time.perf_counter() - started
    os.close(terminal)
    _, status, usage = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    assert child.returncode == 0
    seconds = time.perf_counter() - started
    return Process(first_words, seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024)


def figures_of(runs: list[Process]) -> dict[str, float]:
    """Medians over the runs."""
    return {
        "first_words_seconds": round(statistics.median(run.first_words for run in runs), 1),
        "cold_seconds": round(statistics.median(run.seconds for run in runs), 1),
        "cold_processor_seconds": round(statistics.median(run.processor for run in runs), 1),
        "peak_mib": round(statistics.median(run.peak for run in runs)),
    }


def main() -> None:
    tune_memory()  # as the commands do
    parser = argparse.ArgumentParser()
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/explain_time.json"))
    parser.add_argument("--base", type=Path, help="The src folder of another checkout.")
    parser.add_argument("--base-commit", default="", help="Its commit, for the figures.")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        photograph = Path(folder) / "photograph.png"
        Image.fromarray(data.chelsea()).save(photograph)
        first = process(photograph, {"WORDSIGHT_CACHE": f"{folder}/cache"})
        checkouts = {"now": Path(__file__).parents[1] / "src"} | ({"base": options.base} if options.base else {})
        cold: dict[str, list[Process]] = {name: [] for name in checkouts}
        for run in range(1 + options.runs):  # the first warms the disk's cache
            for name, source in checkouts.items():
                found = process(photograph, {"PYTHONPATH": str(source)})
                if run:
                    cold[name].append(found)
    explainer = Explainer()
    loaders = (data.chelsea, data.coffee, data.rocket, data.astronaut, lambda: load_sample_image("china.jpg"))
    images = [Image.fromarray(load()) for load in loaders]
    explainer.explain(images[0])
    warm, joined, sampled = [], [], []
    for image in images:
        started = time.perf_counter()
        (found,) = explainer.explain(image)
        warm.append(time.perf_counter() - started)
        joined += [(score.high - score.low) / 2 for score in found.table[:TOP]]
        frequent = sorted(found.sampled.rates.words.values(), key=lambda rate: -rate.rate)[:TOP]
        sampled += [(rate.high - rate.low) / 2 for rate in frequent]
    figures = {
        **provenance(),
        "language_model_dtype": str(explainer.models.lm.dtype),
        "sentences": Sampling().sentences,
        "first_seconds": round(first.seconds, 1),
        **figures_of(cold["now"]),
        "warm_seconds": round(statistics.median(warm), 1),
        "half_width_joined": round(statistics.median(joined), 4),
        "half_width_of_sentences": round(statistics.median(sampled), 4),
        "peak_mib_first": round(first.peak),
    }
    if options.base:
        figures["base"] = {"commit": options.base_commit, **figures_of(cold["base"])}
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps(figures, indent=2) + "\n")
    print(json.dumps(figures, indent=2))


if __name__ == "__main__":
    main()
