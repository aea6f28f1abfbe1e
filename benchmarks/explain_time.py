"""Seconds and peak memory of `wordsight explain` on one photograph, as a user meets them.

    python benchmarks/explain_time.py [--runs 5] [--out benchmarks/results/explain_time.json]

first: an empty cache, so with fetching and converting the weights. cold: a new process, everything in the cache.
warm: the second and later calls of a process that has its models loaded (median over five photographs). Half-widths are those of the
95% intervals of each photograph's ten first words, medians. For a processor without AVX-512 on one that has it, set
ATEN_CPU_CAPABILITY=avx2 ONEDNN_MAX_CPU_ISA=AVX2.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from PIL import Image
from skimage import data
from sklearn.datasets import load_sample_image

from provenance import provenance
from wordsight.explain import Explainer
from wordsight.runtime import tune_memory
from wordsight.sentences.sampling import Sampling

TOP = 10


def process(photograph: Path, environment: dict[str, str]) -> tuple[float, float]:
    """Seconds and peak MiB of one command."""
    started = time.perf_counter()
    child = subprocess.Popen(
        [sys.executable, "-m", "wordsight", "explain", str(photograph), "--json"],
        env=os.environ | environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    _, status, usage = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    assert child.returncode == 0
    return time.perf_counter() - started, usage.ru_maxrss / 1024


def main() -> None:
    tune_memory()  # as the commands do
    parser = argparse.ArgumentParser()
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/explain_time.json"))
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        photograph = Path(folder) / "cat.png"
        Image.fromarray(data.chelsea()).save(photograph)
        first = process(photograph, {"WORDSIGHT_CACHE": f"{folder}/cache"})
        process(photograph, {})
        cold = [process(photograph, {}) for _ in range(options.runs)]
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
        "first_seconds": round(first[0], 1),
        "cold_seconds": round(statistics.median(s for s, _ in cold), 1),
        "warm_seconds": round(statistics.median(warm), 1),
        "half_width_joined": round(statistics.median(joined), 4),
        "half_width_of_sentences": round(statistics.median(sampled), 4),
        "peak_mib_first": round(first[1]),
        "peak_mib": round(statistics.median(m for _, m in cold)),
    }
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps(figures, indent=2) + "\n")
    print(json.dumps(figures, indent=2))


if __name__ == "__main__":
    main()
