"""What a GPU makes of sampling and training: ours against Hugging Face's ``generate``.

    python benchmarks/gpu.py FEATURES.safetensors TRANSLATOR.safetensors [--out benchmarks/results/gpu.json]

FEATURES is what ``train_starter.py features`` wrote; its dev photographs are explained. A minute on a data-centre GPU.
"""

import argparse
import json
import statistics
import time
from dataclasses import replace
from pathlib import Path

import torch
from safetensors.torch import load_file

from hugging_face import EXACT, generate
from provenance import provenance
from wordsight.language.starter import starter_language_model
from wordsight.sentences.sampler import sample
from wordsight.sentences.sampling import Sampling
from wordsight.translator.checkpoint import load_translator


def seconds(work) -> float:
    torch.cuda.synchronize()
    started = time.perf_counter()
    work()
    torch.cuda.synchronize()
    return time.perf_counter() - started


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("features", type=Path)
    parser.add_argument("translator", type=Path)
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/gpu.json"))
    options = parser.parse_args()
    lm = starter_language_model(dtype=torch.bfloat16, device="cuda")
    translator, _ = load_translator(options.translator)
    z = load_file(options.features)["dev_views"].float().mean(1)
    with torch.inference_mode():
        prefix = translator(z).cuda()
    figures: dict = provenance() | {"device": torch.cuda.get_device_name(), "torch": torch.__version__, "dtype": "bfloat16"}

    def show(**found) -> None:
        figures.update(found)
        print(json.dumps(found), flush=True)
        options.out.write_text(json.dumps(figures, indent=2) + "\n")

    generate(lm, prefix[:1], 64)
    by_batch = {b: seconds(lambda b=b: generate(lm, prefix[:1], b)) / b for b in (512, 2048, 8192)}
    show(generate_seconds_a_sentence_by_batch=by_batch)
    theirs = min(by_batch.values())
    for number in (500, 5000):
        ours = [
            seconds(lambda i=i, number=number: sample(lm, prefix[i : i + 1], replace(EXACT, sentences=number), seeds=[i]))
            for i in range(3)
        ]
        show(
            **{f"ours_seconds_{number}_sentences": ours, f"times_generate_{number}": number * theirs / statistics.median(ours)}
        )
    many = prefix[:64]
    elapsed = seconds(lambda: sample(lm, many, replace(Sampling(), sentences=48), seeds=list(range(64)), memory=8 << 30))
    batch = seconds(lambda: generate(lm, many, 64 * 48))
    show(seconds_of_64_photographs_48_sentences=elapsed, generate_the_same=batch, photographs_a_second=64 / elapsed)
    captions = [[lm.encode("A brown dog runs through the grass near a fence.")] * 5] * 96
    translator.cuda().train()

    def step() -> None:
        translator.zero_grad()
        lm.loss(translator(z[:96].cuda()), captions, backward_scale=1e-3)

    step()
    show(training_images_a_second=96 * 5 / seconds(lambda: [step() for _ in range(5)]))


if __name__ == "__main__":
    main()
