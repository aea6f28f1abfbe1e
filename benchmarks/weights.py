"""The starter's language model without bfloat16: its linear layers in blocks, in 8 and in 16 bits, how much faster each samples, and
what becomes of word rates.

    ATEN_CPU_CAPABILITY=avx2 ONEDNN_MAX_CPU_ISA=AVX2 MKL_ENABLE_INSTRUCTIONS=AVX2 FBGEMM_ENABLE_INSTRUCTIONS=AVX2 \
        python benchmarks/weights.py PHOTOGRAPHS [--images 20] [--sentences 200] [--out benchmarks/results/weights.json]

In 8 bits weights have a scale for each output channel, activations one for each call; FBGEMM and oneDNN multiply, through PyTorch.
"smoothed" is a second try: activations have a scale for each row, too, and each input channel is divided by what evens out the
largest values of activations and weights (SmoothQuant), learned from eight photographs that are not measured. The environment
holds every library to AVX2: FBGEMM asks the processor itself and looks at none of the others' variables. Times are paired: each
photograph in turn with every model.

Rates: float32 and the others with two seeds each. The mean square of the difference between two runs is that of the models plus the
noise of both runs; the noise is known from the runs with another seed, and what is left is the models' own. The twin that must
be seen: weights rounded to 4 bits with a scale for each layer.
"""

import argparse
import json
import os
import statistics
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, nn

from provenance import provenance
from wordsight.explain import Explainer
from wordsight.features.extraction import extract
from wordsight.images.files import find_images
from wordsight.language.blocked import BlockedLinear
from wordsight.language.model import LanguageModel
from wordsight.language.starter import starter_language_model
from wordsight.runtime import tune_memory
from wordsight.sentences.sampler import sample
from wordsight.sentences.sampling import Sampling

#: Words rarer than this in the mean of all runs are left out.
RARE = 0.02

Rates = list[dict[str, float]]
"""Word rates of each photograph."""


class Int8(nn.Module):
    """A linear layer in 8 bits, for inference."""

    def __init__(self, layer: nn.Linear, engine: str) -> None:
        super().__init__()
        self.engine = engine
        weight = layer.weight.detach()
        scale = weight.abs().amax(1).clamp(min=1e-9) / 127
        torch.backends.quantized.engine = engine
        rounded = torch.quantize_per_channel(weight, scale, torch.zeros(len(weight), dtype=torch.long), 0, torch.qint8)
        self.packed = torch.ops.quantized.linear_prepack(rounded, None)

    def forward(self, values: Tensor) -> Tensor:
        # Without VNNI FBGEMM adds pairs of products in 16 bits, which 8 bits of both factors overflow: activations get 7.
        return torch.ops.quantized.linear_dynamic(values, self.packed, self.engine == "fbgemm")


class Smoothed(nn.Module):
    """A linear layer in 8 bits by FBGEMM. ``reach``: the largest value that each input channel had."""

    def __init__(self, layer: nn.Linear, reach: Tensor) -> None:
        super().__init__()
        torch.backends.quantized.engine = "fbgemm"
        smooth = (reach.clamp(min=1e-5) / layer.weight.abs().amax(0).clamp(min=1e-5)).sqrt()
        self.inverse = 1 / smooth
        weight = layer.weight.detach() * smooth
        scale = weight.abs().amax(1).clamp(min=1e-9) / 127
        rounded = torch.quantize_per_channel(weight, scale, torch.zeros(len(weight), dtype=torch.long), 0, torch.qint8)
        self.packed = torch.ops.quantized.linear_prepack(rounded, None)

    def forward(self, values: Tensor) -> Tensor:
        values = values * self.inverse
        top = values.abs().amax(-1, keepdim=True).clamp(min=1e-9)
        return torch.ops.quantized.linear_dynamic(values / top, self.packed, True) * top


class Half(nn.Module):
    """A linear layer with weights in float16, multiplied in float32 by FBGEMM."""

    def __init__(self, layer: nn.Linear) -> None:
        super().__init__()
        torch.backends.quantized.engine = "fbgemm"
        self.packed = torch.ops.quantized.linear_prepack_fp16(layer.weight.detach().contiguous(), None)

    def forward(self, values: Tensor) -> Tensor:
        return torch.ops.quantized.linear_dynamic_fp16(values, self.packed)


def rounded_to_four_bits(layer: nn.Linear) -> nn.Module:
    """The twin that must be seen."""
    twin = nn.Linear(layer.in_features, layer.out_features, bias=False)
    scale = layer.weight.abs().max() / 7
    twin.weight.data = (layer.weight / scale).round() * scale
    return twin.requires_grad_(False)


KINDS: dict[str, Callable[[nn.Linear, Tensor], nn.Module] | None] = {
    "float32": None,
    "blocked": lambda layer, _: BlockedLinear(layer.weight, layer.bias),
    "half": lambda layer, _: Half(layer),
    "fbgemm": lambda layer, _: Int8(layer, "fbgemm"),
    "onednn": lambda layer, _: Int8(layer, "onednn"),
    "smoothed": Smoothed,
    "4 bits": lambda layer, _: rounded_to_four_bits(layer),
}


def linear_layers(lm: LanguageModel) -> dict[str, nn.Linear]:
    return {name: layer for name, layer in lm.model.named_modules() if isinstance(layer, nn.Linear)}


def model(kind: str, reach: dict[str, Tensor]) -> LanguageModel:
    """The starter's language model with every linear layer of a kind, the head too."""
    lm, make = starter_language_model(), KINDS[kind]
    if make is not None:
        for name, layer in linear_layers(lm).items():
            lm.model.set_submodule(name, make(layer, reach[name]))
    return lm


def learned_reach(prefixes: Tensor) -> dict[str, Tensor]:
    """The largest value of each input channel of each linear layer, over the prefixes and twelve sentences of each."""
    lm, reach = starter_language_model(), {}

    def look(name: str) -> Callable[[nn.Module, tuple[Tensor]], None]:
        def hook(_: nn.Module, inputs: tuple[Tensor]) -> None:
            top = inputs[0].abs().flatten(0, -2).amax(0)
            reach[name] = torch.maximum(reach.get(name, top), top)

        return hook

    for name, layer in linear_layers(lm).items():
        layer.register_forward_pre_hook(look(name))
    sample(lm, prefixes, Sampling(sentences=12), seeds=list(range(len(prefixes))))
    return reach


def rates(lm: LanguageModel, prefixes: Tensor, sentences: int, seed: int) -> tuple[Rates, list[float], list[float]]:
    """Word rates of each photograph; seconds and processor seconds for each."""
    found, wall, processor = [], [], []
    for number, prefix in enumerate(prefixes):
        started, busy = time.perf_counter(), time.process_time()
        (sampled,) = sample(lm, prefix[None], Sampling(sentences=sentences), seeds=[1000 * seed + number])
        wall.append(time.perf_counter() - started)
        processor.append(time.process_time() - busy)
        found.append({word: rate.rate for word, rate in sampled.rates.words.items()})
    return found, wall, processor


def squares(a: Rates, b: Rates, words: list[list[str]]) -> list[float]:
    """Mean square difference over the words of each photograph."""
    return [
        statistics.mean((one.get(word, 0.0) - other.get(word, 0.0)) ** 2 for word in known)
        for one, other, known in zip(a, b, words, strict=True)
    ]


def difference(first: tuple[Rates, Rates], second: tuple[Rates, Rates]) -> dict[str, float]:
    """The models' own root mean square difference in points, over and above the noise; with its 95% interval over photographs.

    ``noise``: the root mean square error of a rate in one run.
    """
    words = frequent(*first, *second)
    across = [squares(first[i], second[1 - i], words) for i in (0, 1)]
    within = [squares(*first, words), squares(*second, words)]
    own = torch.tensor([[sum(of) / 2 for of in zip(*across, strict=True)], [sum(of) / 2 for of in zip(*within, strict=True)]])
    excess = own[0] - own[1]
    draws = torch.randint(len(excess), (2000, len(excess)), generator=torch.Generator().manual_seed(0))
    low, high = excess[draws].mean(1).quantile(torch.tensor([0.025, 0.975])).tolist()

    def points(square: float) -> float:
        return round(100 * max(0.0, square) ** 0.5, 2)

    figures = {"own": float(excess.mean()), "own_low": low, "own_high": high, "noise": float(own[1].mean()) / 2}
    return {"words": sum(map(len, words)), **{name: points(square) for name, square in figures.items()}}


def frequent(*runs: Rates) -> list[list[str]]:
    """The words of each photograph that are not rare in the mean of the runs."""
    found = []
    for told in zip(*runs, strict=True):
        words = sorted({word for rates in told for word in rates})
        found.append([word for word in words if statistics.mean(rates.get(word, 0.0) for rates in told) >= RARE])
    return found


def main() -> None:
    warnings.filterwarnings("ignore", message=".*quantize", category=UserWarning)
    tune_memory()
    parser = argparse.ArgumentParser()
    parser.add_argument("photographs", type=Path)
    parser.add_argument("--images", type=int, default=20)
    parser.add_argument("--sentences", type=int, default=200)
    parser.add_argument("--timed", type=int, default=5, help="Photographs that are timed.")
    parser.add_argument(
        "--compared", default="half,fbgemm,smoothed,4 bits", help="Whose rates are compared with those of float32."
    )
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/weights.json"))
    options = parser.parse_args()
    explainer = Explainer()
    paths = find_images([options.photographs])
    chosen = paths[:: max(1, len(paths) // options.images)][: options.images]
    prefixes = explainer.models.prefix(extract(explainer.classifier, chosen).views.mean(1))
    others = [path for path in paths if path not in chosen]
    others = extract(explainer.classifier, others[:: max(1, len(others) // 8)][:8])
    reach = learned_reach(explainer.models.prefix(others.views.mean(1)))
    compared = ["float32", *options.compared.split(",")]
    timed = [kind for kind in KINDS if kind != "4 bits"]
    models = {kind: model(kind, reach) for kind in {*timed, *compared}}
    for kind in timed:
        rates(models[kind], prefixes[:1], 100, 0)
    seconds: dict[str, list[float]] = {kind: [] for kind in timed}
    busy: dict[str, list[float]] = {kind: [] for kind in timed}
    for prefix in prefixes[: options.timed]:
        for kind in timed:
            _, wall, processor = rates(models[kind], prefix[None], 100, 0)
            seconds[kind] += wall
            busy[kind] += processor
    times = {
        kind: {
            "seconds": round(statistics.median(seconds[kind]), 2),
            "processor_seconds": round(statistics.median(busy[kind]), 2),
            "times_float32": round(statistics.median(f / own for f, own in zip(busy["float32"], busy[kind], strict=True)), 2),
        }
        for kind in timed
    }
    print(json.dumps(times), flush=True)
    runs: dict[str, tuple[Rates, Rates]] = {}
    for kind in compared:
        runs[kind] = (
            rates(models[kind], prefixes, options.sentences, 1)[0],
            rates(models[kind], prefixes, options.sentences, 2)[0],
        )
        print(kind, "sampled", flush=True)
    figures = {
        **provenance(),
        "held_to": {name: value for name, value in os.environ.items() if "AVX2" in value.upper()},
        "images": len(chosen),
        "sentences": options.sentences,
        "100_sentences": times,
        "points": {kind: difference(runs["float32"], runs[kind]) for kind in compared[1:]},
    }
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps(figures, indent=2) + "\n")
    print(json.dumps(figures, indent=2))


if __name__ == "__main__":
    main()
