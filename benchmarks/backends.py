"""One step of the language model, 512 beginnings at once, in the ways there are on CPUs: what pays is what we use.

    pip install openvino torchao
    python benchmarks/backends.py [--out benchmarks/results/backends.json]

Tokens a second of body and head with 16 cached positions; median of five. OpenVINO and torchao take part if they are installed.
"""

import argparse
import json
import os
import statistics
import time
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import torch
from transformers import DynamicCache

from wordsight.language.model import LanguageModel
from wordsight.language.starter import starter_language_model
from wordsight.runtime import tune_memory

ROWS, POSITIONS = 512, 16


def tokens_a_second(step: Callable[[], object], undo: Callable[[], object] = lambda: None) -> float:
    """Median of five steps of ``ROWS`` tokens, after one that does not count; ``undo`` is not timed."""
    times = []
    for _ in range(6):
        started = time.perf_counter()
        step()
        times.append(time.perf_counter() - started)
        undo()
    return ROWS / statistics.median(times[1:])


@torch.inference_mode()
def rate(lm: LanguageModel, head: Callable[[torch.Tensor], torch.Tensor], body: Callable | None = None) -> float:
    """Tokens a second."""
    body = lm.model.base_model if body is None else body
    assert body is not None
    tokens = torch.randint(100, 20_000, (ROWS, POSITIONS + 1), generator=torch.Generator().manual_seed(0))
    cache = DynamicCache(config=lm.model.config)
    body(input_ids=tokens[:, :POSITIONS], past_key_values=cache, use_cache=True)

    def step() -> None:
        out = body(input_ids=tokens[:, POSITIONS:], past_key_values=cache, use_cache=True)
        for rows in out.last_hidden_state[:, -1].split(256):
            head(rows)

    return tokens_a_second(step, lambda: cache.crop(-1))


class Step(torch.nn.Module):
    """One step with keys and values as plain inputs and outputs, as other runtimes want it."""

    def __init__(self, lm: LanguageModel) -> None:
        super().__init__()
        self.model = lm.model

    def forward(self, ids: torch.Tensor, *kept: torch.Tensor) -> tuple[torch.Tensor, ...]:
        cache = DynamicCache(config=self.model.config)
        layers: list[Any] = cache.layers
        for i, layer in enumerate(layers):
            layer.lazy_initialization(kept[2 * i], kept[2 * i + 1])
            layer.keys, layer.values = kept[2 * i], kept[2 * i + 1]
        out = self.model(input_ids=ids, past_key_values=cache, use_cache=True)
        return out.logits[:, -1], *(t for layer in layers for t in (layer.keys, layer.values))


def openvino_rate(lm: LanguageModel, precision: str) -> float:
    """Tokens a second of OpenVINO, after a check that it says what PyTorch says."""
    openvino: Any = import_module("openvino")

    config, step = lm.model.config, Step(lm).eval()
    shape = (config.num_key_value_heads, POSITIONS, config.hidden_size // config.num_attention_heads)

    def inputs(rows: int) -> tuple[torch.Tensor, ...]:
        generator = torch.Generator().manual_seed(0)
        kept = [torch.randn(rows, *shape, generator=generator) for _ in range(2 * config.num_hidden_layers)]
        return torch.randint(100, 20_000, (rows, 1), generator=generator), *kept

    with torch.inference_mode():
        some = inputs(4)
        model = openvino.convert_model(step, example_input=some)
        options = {"INFERENCE_PRECISION_HINT": precision, "PERFORMANCE_HINT": "LATENCY"}
        compiled = openvino.compile_model(model, "CPU", options)
        difference = (torch.from_numpy(compiled([t.numpy() for t in some])[0]) - step(*some)[0]).abs().max()
    assert difference < (0.01 if precision == "f32" else 2), difference
    given, request = [t.numpy() for t in inputs(ROWS)], compiled.create_infer_request()
    return tokens_a_second(lambda: request.infer(given, share_inputs=True, share_outputs=True))


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/backends.json"))
    options = parser.parse_args()
    tune_memory()
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

    def torchao_int8() -> float:
        torchao: Any = import_module("torchao.quantization")
        lm = starter_language_model()
        torchao.quantize_(lm.model, torchao.Int8DynamicActivationInt8WeightConfig())
        return rate(lm, lm.logits)

    note("int8, torchao", torchao_int8)
    for precision in ("f32", "bf16"):
        note(f"OpenVINO, {precision}", lambda precision=precision: openvino_rate(single, precision))
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
