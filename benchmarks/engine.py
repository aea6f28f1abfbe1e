"""The sampler against Hugging Face's ``generate``: same language model, prefixes and nucleus, on this machine. ``make bench``.

    python benchmarks/engine.py [--out benchmarks/results/engine.json]

Means over two photographs that scikit-image ships, which take turns; some twelve minutes on two cores. ``generate`` is timed on one
batch a photograph, at the batch size and in the precision that are its fastest here and in our own precision; its time is proportional
to the number of batches. How many independent sentences one of ours is worth: from the variance of word rates over runs (that they are
unbiased is tested, tests/sentences/test_rates.py). Peak memory is that of a process of its own that loads the language model and
samples.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from skimage import data

from hugging_face import EXACT, generate
from provenance import provenance
from wordsight.explain import Explainer
from wordsight.features.extraction import extract
from wordsight.language.devices import native_dtype
from wordsight.language.model import LanguageModel
from wordsight.language.starter import starter_language_model
from wordsight.runtime import tune_memory
from wordsight.sentences.estimates import WordRate
from wordsight.sentences.sampler import sample
from wordsight.sentences.sampling import Sampling

#: Sentences of a photograph: as many as the paper draws, and as ``explain`` draws.
MANY, FEW = 5000, 100
BATCHES = (64, 128, 256)
#: Enough for the peak of memory.
SOME = 2000
#: Runs that the variance of rates is taken over.
RUNS = 8
PHOTOGRAPHS = (data.chelsea, data.coffee)


def prefixes() -> torch.Tensor:
    """The starter's prefixes of the photographs."""
    explainer = Explainer()
    pictures = [Image.fromarray(load()) for load in PHOTOGRAPHS]
    return explainer.models.prefix(extract(explainer.classifier, pictures).views.mean(1))


def seconds(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def ours(lm: LanguageModel, prefix: torch.Tensor, sentences: int, sampling: Sampling = EXACT) -> None:
    sample(lm, prefix[None], replace(sampling, sentences=sentences), seeds=[0])


def fastest_batch(lm: LanguageModel, prefix: torch.Tensor) -> tuple[float, int]:
    """The seconds of a sentence of ``generate`` at its best batch size, and that."""
    generate(lm, prefix[None], 16)
    return min((seconds(lambda b=b: generate(lm, prefix[None], b)) / b, b) for b in BATCHES)


def rates_of(word: str, runs: Sequence[Mapping[str, WordRate]]) -> list[float]:
    """A word's rate in each run."""
    return [run[word].rate if word in run else 0.0 for run in runs]


def share_of_independent(rates: Sequence[float], sentences: int) -> float:
    """The variance of a word's rates as a share of what so many independent sentences would have."""
    mean = statistics.mean(rates)
    return statistics.variance(rates) / (mean * (1 - mean) / sentences)


def worth(lm: LanguageModel, prefix: torch.Tensor) -> float:
    """How many independent sentences one of ours is worth: of words in 2 to 98% of the sentences, variances summed."""
    runs = sample(lm, prefix.expand(RUNS, -1, -1), Sampling(sentences=FEW), seeds=range(RUNS))
    found = [run.rates.words for run in runs]
    independent = own = 0.0
    for word in set().union(*found):
        rates = rates_of(word, found)
        mean = statistics.mean(rates)
        if 0.02 <= mean <= 0.98:
            independent += mean * (1 - mean) / FEW
            own += statistics.variance(rates)
    return independent / own


def matrix_rate(dtype: torch.dtype) -> float:
    """Operations a second of this machine's matrix product."""
    a = torch.randn(1024, 1024).to(dtype)
    torch.mm(a, a)
    return 2 * 1024**3 / statistics.median(seconds(lambda: torch.mm(a, a)) for _ in range(30))


def peak_mib(mode: str, file: Path, batch: int, dtype: str) -> float:
    command = [sys.executable, __file__, "--peak", mode, str(file), str(batch), dtype]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()[-1])


def peak_child(mode: str, file: str, batch: int, dtype: str) -> None:
    if mode == "ours":
        tune_memory()  # as the commands do; of generate's ever longer tensors glibc would keep gigabytes then
    lm, prefix = starter_language_model(dtype=getattr(torch, dtype)), load_file(file)["prefix"]
    if mode == "generate":
        generate(lm, prefix[None], batch)
    elif mode == "ours":
        ours(lm, prefix, SOME)
    else:
        _ = lm.model
    # Not ru_maxrss, which a child inherits from the process that started it.
    status = Path("/proc/self/status").read_text(encoding="ascii")
    print(int(status.split("VmHWM:")[1].split()[0]) / 1024)


def peaks(prefix: torch.Tensor, dtype: str) -> dict[str, float]:
    """MiB in our precision: of loading the language model, of ours, and of ``generate`` by batch size."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "prefix.safetensors"
        save_file({"prefix": prefix.contiguous()}, file)
        found = {f"generate, batches of {batch}": peak_mib("generate", file, batch, dtype) for batch in BATCHES}
        return {"load": peak_mib("load", file, 0, dtype), "ours": peak_mib("ours", file, 0, dtype)} | found


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/engine.json"))
    parser.add_argument("--peak", nargs=4, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.peak:
        peak_child(options.peak[0], options.peak[1], int(options.peak[2]), options.peak[3])
        return
    started = time.perf_counter()
    tune_memory()  # generate gains from it, too
    prefix = prefixes()
    own = native_dtype("cpu")
    # In bfloat16 generate's head is slow on CPUs (PyTorch multiplies its 3-d input as a batch): both precisions are tried.
    models = {dtype: starter_language_model(dtype=dtype) for dtype in dict.fromkeys((torch.float32, own))}
    best = {dtype: fastest_batch(model, prefix[0]) for dtype, model in models.items()}
    fastest = min(best, key=lambda dtype: best[dtype][0])
    print(f"seconds of a sentence of generate, batch: { {str(d): found for d, found in best.items()} }", flush=True)
    rows: list[dict[str, float]] = []
    ours(models[own], prefix[0], FEW, Sampling())  # first kernels
    for one in prefix:
        row: dict[str, float] = {}
        for name, dtype in (("generate, fastest", fastest), ("generate, our precision", own)):
            batch = best[dtype][1]
            row[name] = seconds(lambda one=one, d=dtype, b=batch: generate(models[d], one[None], b)) / batch
        row["many"] = seconds(lambda one=one: ours(models[own], one, MANY))
        row["few"] = seconds(lambda one=one: ours(models[own], one, FEW, Sampling()))
        row["worth"] = worth(models[own], one)
        rows.append(row)
        print(json.dumps(row), flush=True)

    def ratio(of: Callable[[dict[str, float]], float]) -> float:
        return round(statistics.mean(of(row) for row in rows), 2)

    figures: dict[str, Any] = provenance() | {
        "precision": str(own),
        "fastest_precision_of_generate": str(fastest),
        "photographs": rows,
        f"{MANY} independent sentences: times faster than generate at its fastest": ratio(
            lambda row: MANY * row["generate, fastest"] / row["many"]
        ),
        f"{MANY} independent sentences: times faster than generate in our precision": ratio(
            lambda row: MANY * row["generate, our precision"] / row["many"]
        ),
        "independent sentences that one of ours is worth": ratio(lambda row: row["worth"]),
        f"as precise as our {FEW} sentences: times faster than generate at its fastest": ratio(
            lambda row: FEW * row["worth"] * row["generate, fastest"] / row["few"]
        ),
        "peak_mib": peaks(prefix[0], str(own).removeprefix("torch.")),
    }
    figures["seconds"] = round(time.perf_counter() - started)
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps(figures, indent=2) + "\n")
    print(json.dumps(figures, indent=2))


if __name__ == "__main__":
    main()
