"""What a GPU makes of sampling and training: ours against Hugging Face's ``generate`` and a plain training loop.

    python benchmarks/gpu.py prepare PHOTOGRAPHS CAPTIONS INPUTS.safetensors     # anywhere: prefixes, rates from a CPU
    python benchmarks/gpu.py measure INPUTS.safetensors [--before ../older/src] [--out benchmarks/results/gpu.json]
    python benchmarks/gpu.py four-bit INPUTS.safetensors [--out benchmarks/results/gpu_4bit.json]

A few minutes on a data-centre GPU. ``--before`` samples the same photographs with the code of another checkout, in a process
of its own. ``four-bit`` wants bitsandbytes, and says how far the starter's language model in 4 bits is from itself.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from hugging_face import generate
from provenance import provenance
from wordsight.classifiers.efficientnet_lite import EfficientNetLite0
from wordsight.language.model import LanguageModel
from wordsight.language.starter import starter_language_model
from wordsight.sentences import rates, sampler
from wordsight.sentences.sampler import Sampled, sample
from wordsight.sentences.sampling import Sampling
from wordsight.translator.mlp import Translator

PHOTOGRAPHS, COMPARED, REFERENCE = 1000, 5, 2000
#: Sentences of an image in an audit, and what the images of a part of one are.
AUDITED, PART = 24, 512
DEVICE = "cuda"
#: Images of a training step, each with five captions.
BATCH = 96


def prepare(photographs: Path, captions: Path, out: Path) -> None:
    from wordsight.explain import Explainer
    from wordsight.features.extraction import extract
    from wordsight.images.files import find_images
    from wordsight.translator.captions import read_captions

    explainer = Explainer()
    z = extract(explainer.classifier, find_images([photographs])[:PHOTOGRAPHS]).views.mean(1)
    prefix = explainer.models.prefix(z).bfloat16()
    known = [sampled_rates(explainer.models.lm, one) for one in prefix[:COMPARED]]
    texts = [found[:5] for found in read_captions(captions).values() if len(found) >= 5][:BATCH]
    about = provenance() | {"rates": json.dumps(known), "captions": json.dumps(texts)}
    save_file({"prefix": prefix.contiguous(), "z": z[:BATCH].contiguous()}, out, metadata=about)


def sampled_rates(lm: LanguageModel, prefix: torch.Tensor, *, seed: int = 0) -> dict[str, tuple[float, float]]:
    """Rates and their standard errors of the words of one photograph."""
    (found,) = sample(lm, prefix[None], Sampling(sentences=REFERENCE), seeds=[seed])
    return {word: (rate.rate, (rate.high - rate.low) / 2 / 1.96) for word, rate in found.rates.words.items()}


def differences(lm: LanguageModel, prefix: torch.Tensor, known: list[dict[str, list[float]]]) -> dict[str, float]:
    """How far rates are from those known, in standard errors of both; words of 2% or more in either."""
    z = []
    for one, before in zip(prefix, known, strict=False):
        found = sampled_rates(lm, one, seed=1)
        for word in found.keys() | before.keys():
            (a, error_a), (b, error_b) = found.get(word, (0.0, 0.005)), before.get(word, (0.0, 0.005))
            if max(a, b) >= 0.02:
                z.append((a - b) / (error_a**2 + error_b**2) ** 0.5)
    beyond = sum(abs(one) > 1.96 for one in z) / len(z)
    return {"words": len(z), "root_mean_square_z": statistics.mean(v * v for v in z) ** 0.5, "share_beyond_1.96": beyond}


def seconds(work: Callable[[], object]) -> float:
    torch.cuda.synchronize()
    started = time.perf_counter()
    work()
    torch.cuda.synchronize()
    return time.perf_counter() - started


def in_parts(lm: LanguageModel, prefix: torch.Tensor, sentences: int) -> list[Sampled]:
    """As an audit samples."""
    return [
        found
        for start in range(0, len(prefix), PART)
        for found in sample(
            lm, prefix[start : start + PART], Sampling(sentences=sentences), seeds=range(start, min(start + PART, len(prefix)))
        )
    ]


def tokens_of(lm: LanguageModel, found: list[Sampled]) -> int:
    return sum(len(lm.encode(text)) * count for one in found for text, count in one.sentences.items())


def plain_step(lm: LanguageModel, translator: Translator, z: torch.Tensor, captions: list[list[list[int]]]) -> None:
    """One caption a row, padded, the model's own loss."""
    rows = [caption for image in captions for caption in image]
    width = max(map(len, rows))
    tokens = torch.tensor([row + [lm.end] * (width - len(row)) for row in rows], device=DEVICE)
    real = torch.arange(width, device=DEVICE)[None] < torch.tensor([len(row) for row in rows], device=DEVICE)[:, None]
    prefix = translator(z).repeat_interleave(5, 0).to(lm.dtype)
    inputs = torch.cat([prefix, lm.model.get_input_embeddings()(tokens)], dim=1)
    labels = torch.cat([torch.full(prefix.shape[:2], -100, device=DEVICE), tokens.masked_fill(~real, -100)], dim=1)
    mask = torch.cat([torch.ones(prefix.shape[:2], dtype=torch.long, device=DEVICE), real.long()], dim=1)
    translator.zero_grad()
    lm.model(inputs_embeds=inputs, attention_mask=mask, labels=labels).loss.backward()


class Figures:
    """Written whenever there is one more, in case the rest fails."""

    def __init__(self, inputs: Path, out: Path) -> None:
        with safe_open(inputs, "pt") as opened:
            self.about = opened.metadata()
        self.out = out
        self.found: dict[str, Any] = {"date": provenance()["date"], "commit": self.about["commit"]}
        self.found |= {"device": torch.cuda.get_device_name(), "cores": os.cpu_count(), "torch": torch.__version__}

    def show(self, **more: object) -> None:
        self.found |= more
        print(json.dumps(more), flush=True)
        self.out.write_text(json.dumps(self.found, indent=2) + "\n")


def peak_mib(work: Callable[[], object]) -> float:
    torch.cuda.reset_peak_memory_stats()
    work()
    return round(torch.cuda.max_memory_allocated() / (1 << 20), 1)


def timed_functions(places: list[tuple[Any, str]], work: Callable[[], object]) -> dict[str, float]:
    """Seconds inside each of some functions."""
    spent = {name: 0.0 for _, name in places}
    kept = [getattr(owner, name) for owner, name in places]

    def timed(function: Callable, name: str) -> Callable:
        def run(*arguments: Any, **options: Any) -> Any:
            started = time.perf_counter()
            result = function(*arguments, **options)
            spent[name] += time.perf_counter() - started
            return result

        return run

    for (owner, name), function in zip(places, kept, strict=True):
        setattr(owner, name, timed(function, name))
    work()
    for (owner, name), function in zip(places, kept, strict=True):
        setattr(owner, name, function)
    return {name: round(took, 3) for name, took in spent.items()}


def measure(inputs: Path, out: Path, before: Path | None) -> None:
    figures = Figures(inputs, out)
    prefix = load_file(inputs)["prefix"].to(DEVICE)
    lm = starter_language_model(dtype=torch.bfloat16, device=DEVICE)
    sample(lm, prefix[:PART], Sampling(sentences=AUDITED), seeds=range(PART))  # first kernels
    generate(lm, prefix[:1], 64)
    by_batch = {}
    for number in (512, 2048, 8192):
        generate(lm, prefix[:1], number)  # the first of a size chooses kernels
        by_batch[number] = seconds(lambda b=number: generate(lm, prefix[:1], b)) / number
    figures.show(generate_seconds_a_sentence_by_batch=by_batch)
    theirs = min(by_batch.values())
    for number in (100, 500, 5000):
        sample(lm, prefix[3:4], Sampling(sentences=number), seeds=[0])
        ours = [
            seconds(lambda i=i, n=number: sample(lm, prefix[i : i + 1], Sampling(sentences=n), seeds=[i])) for i in range(3)
        ]
        times = number * theirs / statistics.median(ours)
        figures.show(**{f"ours_seconds_{number}_sentences": ours, f"times_generate_{number}": times})
    many = prefix[:64]
    ours_64 = [seconds(lambda: in_parts(lm, many, 48)) for _ in range(3)]
    batch = [seconds(lambda: generate(lm, many, 64 * 48)) for _ in range(3)]
    figures.show(seconds_of_64_photographs_48_sentences=ours_64, generate_the_same=batch)
    if before is not None:
        command = [sys.executable, __file__, "some", str(inputs)]
        ran = subprocess.run(
            command,
            env=os.environ | {"PYTHONPATH": f"{before}:{os.environ.get('PYTHONPATH', '')}"},
            capture_output=True,
            text=True,
            check=False,
        )
        figures.show(before_seconds_of_64_photographs_48_sentences=(ran.stdout.splitlines() or [ran.stderr[-500:]])[-1])
    places = [(rates.Tally, "observe"), (rates.Tally, "rates"), (sampler, "content_words")]
    spent = timed_functions(places, lambda: in_parts(lm, prefix[:PART], AUDITED))
    whole = seconds(lambda: in_parts(lm, prefix[:PART], AUDITED))
    figures.show(seconds_of_one_part=whole, of_it_on_the_processor_for_rates=spent)
    found: list[Sampled] = []
    elapsed = seconds(lambda: found.extend(in_parts(lm, prefix, AUDITED)))
    figures.show(
        seconds_of_1000_photographs_24_sentences=elapsed,
        photographs_a_second=len(prefix) / elapsed,
        tokens_a_second=tokens_of(lm, found) / elapsed,
    )
    figures.show(
        peak_mib_ours_5000=peak_mib(lambda: sample(lm, prefix[:1], Sampling(sentences=5000), seeds=[0])),
        peak_mib_generate_5000_in_512=peak_mib(lambda: generate(lm, prefix[:1], 512)),
        model_mib=round(sum(p.nbytes for p in lm.model.parameters()) / (1 << 20), 1),
    )
    figures.show(rates_against_a_cpu=differences(lm, prefix[:COMPARED], json.loads(figures.about["rates"])))
    training(figures, lm, load_file(inputs)["z"].to(DEVICE))
    network = EfficientNetLite0().eval().to(DEVICE)
    pixels = torch.randn(512, 3, 224, 224, device=DEVICE).contiguous(memory_format=torch.channels_last)
    with torch.inference_mode():
        network(pixels)
        figures.show(views_a_second_of_the_starter_s_network=512 * 5 / seconds(lambda: [network(pixels) for _ in range(5)]))


def training(figures: Figures, lm: LanguageModel, z: torch.Tensor) -> None:
    captions = [[lm.encode(text) for text in of] for of in json.loads(figures.about["captions"])]
    translator = Translator(z.shape[1], lm.hidden).to(DEVICE).train()

    def step() -> None:
        translator.zero_grad()
        lm.loss(translator(z), captions, backward_scale=1e-3)

    pairs = sum(map(len, captions))
    for name, work in (("ours", step), ("plain", lambda: plain_step(lm, translator, z, captions))):
        work()
        peak = peak_mib(work)
        figures.show(
            **{
                f"training_captions_a_second_{name}": 10 * pairs / seconds(lambda work=work: [work() for _ in range(10)]),
                f"training_peak_mib_{name}": peak,
            }
        )


def some(inputs: Path) -> None:
    """What ``--before`` runs."""
    prefix = load_file(inputs)["prefix"].to(DEVICE)[:64]
    lm = starter_language_model(dtype=torch.bfloat16, device=DEVICE)
    in_parts(lm, prefix, 8)
    print(json.dumps([seconds(lambda: in_parts(lm, prefix, 48)) for _ in range(2)]))


def four_bit(inputs: Path, out: Path) -> None:
    from wordsight.language.loading import load_language_model
    from wordsight.storage import cache_folder

    figures = Figures(inputs, out)
    prefix = load_file(inputs)["prefix"].to(DEVICE)
    _ = starter_language_model(dtype=torch.float32).model  # a folder to load from
    lm = load_language_model(f"{cache_folder() / 'smollm2-135m-instruct'}@4bit", dtype=torch.bfloat16, device=DEVICE)
    size = round(sum(p.nbytes for p in lm.model.parameters()) / (1 << 20), 1)
    sample(lm, prefix[:1], Sampling(sentences=100), seeds=[0])
    figures.show(
        model_mib=size,
        seconds_500_sentences=seconds(lambda: sample(lm, prefix[:1], Sampling(sentences=500), seeds=[0])),
        rates_against_bfloat16=differences(lm, prefix[:COMPARED], json.loads(figures.about["rates"])),
        sentences=[text for text, _ in sample(lm, prefix[:1], Sampling(sentences=20), seeds=[0])[0].sentences.most_common(3)],
    )


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("what", choices=("prepare", "measure", "some", "four-bit"))
    parser.add_argument("files", type=Path, nargs="+")
    parser.add_argument("--before", type=Path)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    results = Path("benchmarks/results")
    if options.what == "prepare":
        prepare(photographs=options.files[0], captions=options.files[1], out=options.files[2])
    elif options.what == "measure":
        measure(options.files[0], options.out or results / "gpu.json", options.before)
    elif options.what == "some":
        some(options.files[0])
    else:
        four_bit(options.files[0], options.out or results / "gpu_4bit.json")


if __name__ == "__main__":
    main()
