"""Weights in float16, arithmetic in float32."""

import copy
import pickle

import pytest
import torch

from doubles import tiny_lm
from wordsight import runtime
from wordsight.language.half import HalfLinear
from wordsight.language.loading import load_language_model
from wordsight.runtime import native_dtype

pytestmark = pytest.mark.skipif(torch.backends.quantized.engine not in ("x86", "fbgemm"), reason="this processor has no FBGEMM")


@pytest.mark.parametrize("bias", [True, False])
def test_it_multiplies_by_the_rounded_weights_in_float32(bias):
    torch.manual_seed(0)
    layer = torch.nn.Linear(40, 30, bias=bias)
    half, values = HalfLinear(layer), torch.randn(2, 5, 40)
    rounded = layer.weight.half().float()
    with torch.inference_mode():
        torch.testing.assert_close(half(values), torch.nn.functional.linear(values, rounded, layer.bias), atol=1e-5, rtol=1e-5)
        assert (half(values) - layer(values)).abs().max() > 1e-5  # the test sees rounding
    assert torch.equal(half.weight, rounded)


def test_gradients_flow_to_its_input():
    layer = torch.nn.Linear(6, 3).requires_grad_(False)
    values = torch.randn(4, 6, requires_grad=True)
    HalfLinear(layer)(values).sum().backward()
    torch.testing.assert_close(values.grad, layer.weight.half().float().sum(0).expand(4, -1))


def test_workers_and_copies_get_the_same_layer():
    half, values = HalfLinear(torch.nn.Linear(6, 3)), torch.randn(4, 6)
    for twin in (pickle.loads(pickle.dumps(half)), copy.deepcopy(half)):
        assert torch.equal(twin(values), half(values))


def test_a_language_model_loaded_so_gives_the_same_logits_and_keeps_its_fingerprint(tmp_path):
    lm = tiny_lm()
    lm.model.save_pretrained(tmp_path)
    lm.tokenizer.save_pretrained(tmp_path)
    half = load_language_model(tmp_path, dtype=torch.float16)
    assert half.fingerprint == lm.fingerprint
    assert half.dtype == torch.float32
    assert not any(type(module) is torch.nn.Linear for module in half.model.modules())
    prefix = torch.randn(2, 3, lm.hidden)
    with torch.inference_mode():
        expected, found = (model.logits(model.start(prefix, capacity=2, room=8)[1]) for model in (lm, half))
    torch.testing.assert_close(found, expected, atol=0.05, rtol=0.01)
    captions, gradients = [[[1, 2, lm.end]], [[3, lm.end]]], []
    for model in (lm, half):
        leaf = prefix.clone().requires_grad_()
        model.loss(leaf, captions, backward_scale=1.0)
        gradients.append(leaf.grad)
    torch.testing.assert_close(gradients[1], gradients[0], atol=0.05, rtol=0.05)


@pytest.mark.parametrize(
    ("processor", "bf16", "engine", "dtype"),
    [
        ("AVX512", True, "x86", torch.bfloat16),
        ("AVX512", False, "x86", torch.float16),
        ("AVX2", True, "fbgemm", torch.float16),
        ("AVX2", False, "qnnpack", torch.float32),
        ("DEFAULT", False, "x86", torch.float32),
        ("SVE256", False, "none", torch.float32),
    ],
)
def test_what_a_processor_gets(processor, bf16, engine, dtype, monkeypatch):
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: processor)
    monkeypatch.setattr(runtime, "_has_bf16", lambda: bf16)
    monkeypatch.setattr(runtime, "_quantized_engine", lambda: engine)
    assert native_dtype("cpu") == dtype
