"""The sampler against Hugging Face's ``generate``: same language model, prefixes, nucleus and precision of the weights.

    python benchmarks/engine.py [--out benchmarks/results/engine.json] [--quick] [--variances FILE] [--peaks-only]

For five photographs that scikit-image and scikit-learn ship, medians over them. ``generate`` is timed on a share of the
sentences at its best batch size and extrapolated: its time is proportional to the number of batches. Peak memory is that of a
process of its own that loads the language model and samples once. The error of our rates against plain counts of 100,000
sentences takes a third of the time and does not depend on the machine: --variances takes it from the figures of an earlier run
with the same translator, language model and sampler. --peaks-only measures the peaks again and keeps the other figures.
"""

import argparse
import json
import os
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
from matplotlib.figure import Figure
from PIL import Image
from safetensors.torch import load_file, save_file
from skimage import data
from sklearn.datasets import load_sample_image

from hugging_face import EXACT, generate
from wordsight.explain import Explainer
from wordsight.features.extraction import extract
from wordsight.language.model import LanguageModel
from wordsight.language.starter import starter_language_model
from wordsight.runtime import native_dtype, tune_memory
from wordsight.sentences.estimates import WordRate
from wordsight.sentences.sampler import sample
from wordsight.sentences.sampling import Sampling
from wordsight.sentences.tree import Step, grow

MANY, FEW = 5000, 500
BATCHES = (64, 128, 256)
PHOTOGRAPHS = (data.chelsea, data.coffee, data.rocket, data.astronaut, lambda: load_sample_image("china.jpg"))


def prefixes() -> torch.Tensor:
    """The starter's prefixes of the photographs."""
    explainer = Explainer()
    pictures = [Image.fromarray(load()) for load in PHOTOGRAPHS]
    with torch.inference_mode():
        return explainer.models.translator(extract(explainer.classifier, pictures).views.mean(1))


def seconds(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def ours(lm: LanguageModel, prefix: torch.Tensor, sentences: int, sampling: Sampling, seed: int = 0) -> dict[str, float]:
    """Word rates."""
    (found,) = sample(lm, prefix[None], replace(sampling, sentences=sentences), seeds=[seed])
    return {word: rate.rate for word, rate in found.rates.words.items()}


def peak_mib(mode: str, file: Path, batch: int, dtype: str) -> float:
    command = [sys.executable, __file__, "--peak", mode, str(file), str(batch), dtype]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()[-1])


def peak_child(mode: str, file: str, batch: int, dtype: str) -> None:
    precision = getattr(torch, dtype) if mode == "generate" else native_dtype("cpu")
    lm, prefix = starter_language_model(dtype=precision), load_file(file)["prefix"]
    if mode == "generate":
        for _ in range(2):  # further batches need no more
            generate(lm, prefix[None], batch)
    elif mode == "ours":
        ours(lm, prefix, MANY, EXACT)
    # Not ru_maxrss, which a child inherits from the process that started it.
    status = Path("/proc/self/status").read_text(encoding="ascii")
    print(int(status.split("VmHWM:")[1].split()[0]) / 1024)


def peaks(prefixes: torch.Tensor, dtype: str) -> dict[str, Any]:
    """Peak memory of loading the language model, of ours, and of ``generate`` by batch size; medians over the photographs."""
    found: dict[str, list[float]] = {"load": [], "ours": [], **{str(batch): [] for batch in BATCHES}}
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "prefix.safetensors"
        for prefix in prefixes:
            save_file({"prefix": prefix.contiguous()}, file)
            for what, mibs in found.items():
                mode, batch = ("generate", int(what)) if what.isdigit() else (what, 0)
                mibs.append(round(peak_mib(mode, file, batch, dtype), 1))
            print(json.dumps({what: mibs[-1] for what, mibs in found.items()}), flush=True)
    median = {what: statistics.median(mibs) for what, mibs in found.items()}
    generate_ = {str(batch): median[str(batch)] for batch in BATCHES}
    return {"load": median["load"], "ours": median["ours"], "generate": generate_, "by_photograph": found}


def worth(lm: LanguageModel, prefix: torch.Tensor, reference_sentences: int) -> float:
    """How many independent sentences a stratified, conditional one is worth.

    The mean square error of independent sentences is known: rate (1 - rate) / N. Ours falls as 1 / N; it is measured at
    ``FEW`` sentences (three runs) against the plain counts of many sentences, which are right whatever may be wrong with the
    conditional expectations, and whose own error is taken off.
    """
    options = {"sentences": reference_sentences, "sampling": EXACT, "seeds": [1000], "conditional": False}
    counted = {word: rate.rate for word, rate in sample(lm, prefix[None], **options)[0].rates.words.items()}
    reference = {word: rate for word, rate in counted.items() if rate >= 0.01}
    square = statistics.mean(
        (found.get(word, 0.0) - rate) ** 2
        for found in (ours(lm, prefix, FEW, Sampling(), seed=seed) for seed in (1, 2, 3))
        for word, rate in reference.items()
    )
    independent = statistics.mean(rate * (1 - rate) for rate in reference.values())
    return independent / FEW / max(square - independent / reference_sentences, 1e-12)


def as_precise_as_independent(lm: LanguageModel, prefix: torch.Tensor, gain: float) -> dict[str, float]:
    """How many of our sentences are as precise as ``MANY`` independent ones, and seconds for them."""
    needed = max(20, round(MANY / gain))
    return {
        "variance_ratio": gain,
        "sentences": needed,
        "seconds": seconds(lambda: ours(lm, prefix, needed, Sampling())),
    }


def rates_of(word: str, runs: Sequence[Mapping[str, WordRate]]) -> list[float]:
    """A word's rate in each run."""
    return [run[word].rate if word in run else 0.0 for run in runs]


def share_of_independent(rates: Sequence[float], sentences: int) -> float:
    """The variance of a word's rates as a share of what so many independent sentences would have."""
    mean = statistics.mean(rates)
    return statistics.variance(rates) / (mean * (1 - mean) / sentences)


def variance_by_word(lm: LanguageModel, prefix: torch.Tensor, *, sentences: int = 200, runs: int = 10) -> dict[str, object]:
    """Variance of each word's rate over runs, as a share of what independent sentences would have; for every way of ours."""
    found: dict[str, dict[str, float]] = {}
    for name, mode, conditional in (
        ("stratified", "stratified", False),
        ("conditional", "exact", True),
        ("both", "stratified", True),
    ):
        each = []
        for seed in range(runs):
            options = {"sentences": sentences, "sampling": Sampling(mode=mode), "seeds": [seed], "conditional": conditional}
            each.append(sample(lm, prefix[None], **options)[0].rates.words)
        for word in each[0]:
            rates = rates_of(word, each)
            mean = statistics.mean(rates)
            if 0.02 <= mean <= 0.98:
                found.setdefault(word, {"rate": round(mean, 4)})[name] = round(share_of_independent(rates, sentences), 3)
    complete = {word: row for word, row in found.items() if len(row) == 4}
    medians = {
        name: statistics.median(row[name] for row in complete.values()) for name in ("stratified", "conditional", "both")
    }
    return {"words": complete, "medians": medians}


def plot_growth(growth: list[dict[str, float]], precise: list[dict[str, float]], file: Path) -> None:
    """Tokens evaluated a sentence against the number of sentences, and seconds against the precision asked for."""
    figure = Figure(figsize=(9, 3.4), layout="constrained")
    left, right = figure.subplots(1, 2)
    left.semilogx([g["sentences"] for g in growth], [g["tokens_a_sentence"] for g in growth], "o-", color="#08519c")
    left.set(xlabel="sentences (exact mode)", ylabel="tokens evaluated a sentence", ylim=(0, None))
    right.plot([100 * p["precision"] for p in precise], [p["seconds"] for p in precise], "o-", color="#b84a00")
    right.set(xlabel="precision asked for (points to either side)", ylabel="seconds", ylim=(0, None))
    figure.savefig(file, dpi=110)


def tokens_evaluated(lm: LanguageModel, prefix: torch.Tensor, sentences: int) -> tuple[int, float]:
    """Distinct beginnings that an exact tree of so many sentences evaluates, and its seconds."""
    evaluated = 0

    def count(step: Step) -> None:
        nonlocal evaluated
        evaluated += int(step.node[-1]) + 1

    uniform = torch.rand(sentences, EXACT.max_tokens, generator=torch.Generator().manual_seed(0))
    image = torch.zeros(sentences, dtype=torch.long)
    elapsed = seconds(lambda: grow(lm, prefix[None], image, uniform, EXACT, max_nodes=1024, on_step=count))
    return evaluated, elapsed


def matrix_rate(dtype: torch.dtype) -> float:
    """Operations a second of this machine's matrix product."""
    a = torch.randn(1024, 1024).to(dtype)
    torch.mm(a, a)
    return 2 * 1024**3 / statistics.median(seconds(lambda: torch.mm(a, a)) for _ in range(30))


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/engine.json"))
    parser.add_argument(
        "--quick", action="store_true", help="References of 20,000 sentences instead of 100,000, growth to 5,000."
    )
    parser.add_argument("--variances", type=Path, help="Figures of an earlier run, to take the variances of our rates from.")
    parser.add_argument("--peaks-only", action="store_true", help="Measure peak memory again; the other figures stay.")
    parser.add_argument("--peak", nargs=4, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.peak:
        peak_child(options.peak[0], options.peak[1], int(options.peak[2]), options.peak[3])
        return
    tune_memory()  # generate gains from it, too
    prefix = prefixes()
    if options.peaks_only:
        figures = json.loads(options.out.read_text())
        figures["peak_mib"] = peaks(prefix, figures["generate_dtype"])
        options.out.write_text(json.dumps(figures, indent=2) + "\n")
        print(json.dumps(figures["peak_mib"]))
        return
    lm = starter_language_model(dtype=native_dtype("cpu"))
    # In bfloat16 generate's head is slow on CPUs (PyTorch multiplies its 3-d input as a batch): the faster one counts.
    models = {"float32": starter_language_model(), str(native_dtype("cpu")).removeprefix("torch."): lm}
    by_batch: dict[str, dict[int, float]] = {}
    for name, model in models.items():
        generate(model, prefix[:1], 16)
        by_batch[name] = {b: seconds(lambda m=model, b=b: generate(m, prefix[:1], b)) / b for b in BATCHES}
    best, batch = min(((n, b) for n in by_batch for b in by_batch[n]), key=lambda nb: by_batch[nb[0]][nb[1]])
    theirs = models[best]
    known = json.loads(options.variances.read_text())["photographs"] if options.variances else [None] * len(prefix)
    rows = []
    for one, before in zip(prefix, known, strict=True):
        row: dict[str, Any] = {"generate": seconds(lambda one=one: generate(theirs, one[None], batch)) / batch}
        row["exact_many"] = seconds(lambda one=one: ours(lm, one, MANY, EXACT))
        row["exact_few"] = seconds(lambda one=one: ours(lm, one, FEW, EXACT))
        many = 20_000 if options.quick else 100_000
        gain = before["precise"]["variance_ratio"] if before else worth(lm, one, many)
        row["precise"] = as_precise_as_independent(lm, one, gain)
        rows.append(row)
        print(json.dumps(row), flush=True)
    del models, theirs
    config = lm.model.config
    body = sum(p.numel() for n, p in lm.model.named_parameters() if "embed" not in n)
    operations = 2 * (body + config.vocab_size * config.hidden_size)
    rate = matrix_rate(lm.dtype)
    growth = []
    for number in (100, 500, 1000, 5000) if options.quick else (100, 500, 1000, 5000, 10_000, 100_000):
        evaluated, elapsed = tokens_evaluated(lm, prefix[1], number)
        growth.append(
            {
                "sentences": number,
                "tokens_a_sentence": evaluated / number,
                "seconds": elapsed,
                "share_of_the_machine_s_matrix_rate": evaluated * operations / elapsed / rate,
            }
        )
        print(json.dumps(growth[-1]), flush=True)
    precision_seconds = [
        {
            "precision": p,
            "seconds": seconds(lambda p=p: sample(lm, prefix[1:2], Sampling(sentences=100, precision=p), seeds=[0])),
        }
        for p in ((0.05, 0.03) if options.quick else (0.05, 0.03, 0.02, 0.01))
    ]
    plot_growth(growth, precision_seconds, options.out.with_name("growth.png"))
    median = {key: statistics.median(row[key] for row in rows) for key in ("generate", "exact_many", "exact_few")}
    figures = {
        "machine": f"{os.cpu_count()} cores",
        "language_model_dtype": str(native_dtype("cpu")),
        "quick": options.quick,
        "generate_dtype": best,
        "generate_batch": batch,
        "generate_seconds_a_sentence_by_batch": by_batch,
        "photographs": rows,
        "exact_5000_times_generate": statistics.median(MANY * r["generate"] / r["exact_many"] for r in rows),
        "exact_500_times_generate": statistics.median(FEW * r["generate"] / r["exact_few"] for r in rows),
        "precision_of_5000_times_generate": statistics.median(MANY * r["generate"] / r["precise"]["seconds"] for r in rows),
        "variance_ratio": statistics.median(r["precise"]["variance_ratio"] for r in rows),
        "medians_seconds": median,
        "peak_mib": peaks(prefix, best),
        "variance_by_word": variance_by_word(lm, prefix[0], runs=4 if options.quick else 20),
        "growth": growth,
        "seconds_for_a_precision": precision_seconds,
        "machine_s_matrix_operations_a_second": rate,
    }
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps(figures, indent=2) + "\n")
    print(json.dumps(figures, indent=2))


if __name__ == "__main__":
    main()
