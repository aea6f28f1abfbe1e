"""One step of the language model, 512 beginnings at once, in the ways there are on CPUs: what pays is what we use.

    python benchmarks/backends.py [--out benchmarks/results/backends.json]

Tokens a second of body and head with 16 cached positions; median of five.
"""

import argparse
import json
import os
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import torch
from transformers import DynamicCache

from wordsight.machine import keep_freed_memory
from wordsight.starter import starter_language_model
from wordsight.translator.language_model import LanguageModel

ROWS, POSITIONS = 512, 16


@torch.inference_mode()
def rate(lm: LanguageModel, head: Callable[[torch.Tensor], torch.Tensor], body: Callable | None = None) -> float:
    """Tokens a second."""
    body = lm.model.base_model if body is None else body
    assert body is not None
    tokens = torch.randint(100, 20_000, (ROWS, POSITIONS + 1), generator=torch.Generator().manual_seed(0))
    cache = DynamicCache(config=lm.model.config)
    body(input_ids=tokens[:, :POSITIONS], past_key_values=cache, use_cache=True)
    times = []
    for run in range(6):
        started = time.perf_counter()
        out = body(input_ids=tokens[:, POSITIONS:], past_key_values=cache, use_cache=True)
        for rows in out.last_hidden_state[:, -1].split(256):
            head(rows)
        if run:
            times.append(time.perf_counter() - started)
        cache.crop(-1)
    return ROWS / statistics.median(times)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/backends.json"))
    options = parser.parse_args()
    keep_freed_memory()
    figures: dict[str, object] = {"machine": f"{os.cpu_count()} cores"}

    def note(name: str, work: Callable[[], float]) -> None:
        try:
            figures[name] = round(work())
        except Exception as error:  # a way that does not run here is a result, too
            figures[name] = f"{type(error).__name__}: {str(error).splitlines()[0][:120]}"
        print(name, figures[name], flush=True)

    single = starter_language_model()
    note("float32", lambda: rate(single, single.logits))

    def int8() -> float:
        quantised = torch.ao.quantization.quantize_dynamic(single.model, {torch.nn.Linear}, dtype=torch.qint8)
        lm = LanguageModel(single.name, quantised, single.tokenizer, single.fingerprint)
        return rate(lm, quantised.get_output_embeddings())

    note("int8, dynamic", int8)
    half = starter_language_model(dtype=torch.bfloat16)
    note("bfloat16", lambda: rate(half, half.logits))
    note("bfloat16, no head", lambda: rate(half, lambda rows: rows))
    some = half.embeddings[:8192].clone()
    note("bfloat16, head of 8,192 tokens", lambda: rate(half, lambda rows: rows @ some.T))
    half.model.set_attn_implementation("sdpa")
    note("bfloat16, fused attention", lambda: rate(half, half.logits))
    half.model.set_attn_implementation("eager")
    note("bfloat16, torch.compile", lambda: rate(half, half.logits, torch.compile(half.model.base_model, dynamic=True)))
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps(figures, indent=2) + "\n")


if __name__ == "__main__":
    main()
