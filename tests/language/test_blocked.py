"""Linear layers in blocks: the products, gradients and files of plain ones; and plain ones wherever blocks are not right."""

import copy
import pickle
import weakref
from functools import partial

import pytest
import torch

from doubles import FAMILIES, save_tiny_lm, tiny_family, tiny_lm
from wordsight import models
from wordsight.language import blocked as module
from wordsight.language import starter
from wordsight.language.blocked import BlockedLinear, blocked, multiplies_blocks
from wordsight.language.causal import CausalLM
from wordsight.models import named_language_model
from wordsight.sentences.sampler import sample
from wordsight.sentences.sampling import Sampling

pytestmark = pytest.mark.skipif(not multiplies_blocks(), reason="this PyTorch has no oneDNN")
CAUSAL = [family for family in FAMILIES if family not in ("t5", "bart", "bert")]


def pair(outputs: int, inputs: int, *, bias: bool) -> tuple[torch.nn.Linear, BlockedLinear]:
    torch.manual_seed(0)
    plain = torch.nn.Linear(inputs, outputs, bias=bias).requires_grad_(False)
    return plain, BlockedLinear(plain.weight, plain.bias)


@pytest.mark.parametrize("shape", [(40,), (1, 40), (64, 40), (2, 1, 40), (0, 40), (3, 5, 40)])
@pytest.mark.parametrize("bias", [True, False])
def test_the_product_is_that_of_a_plain_layer(bias, shape):
    plain, block = pair(30, 40, bias=bias)
    values = torch.randn(shape)
    torch.testing.assert_close(block(values), plain(values))
    assert torch.equal(block.weight, plain.weight)


def test_gradients_flow_to_its_input():
    plain, block = pair(30, 40, bias=True)
    values, upstream = torch.randn(5, 3, 40, requires_grad=True), torch.randn(5, 3, 30)
    (expected,), (found,) = (torch.autograd.grad(layer(values), values, upstream) for layer in (plain, block))
    torch.testing.assert_close(found, expected)
    assert expected.abs().max() > 0.1


@pytest.mark.parametrize("bias", [True, False])
def test_it_saves_copies_and_pickles_plain_weights(bias):
    plain, block = pair(30, 40, bias=bias)
    found, values = block.state_dict(), torch.randn(4, 40)
    assert found.keys() == plain.state_dict().keys()
    assert all(torch.equal(found[name], weights) for name, weights in plain.state_dict().items())
    for twin in (copy.deepcopy(block), pickle.loads(pickle.dumps(block))):
        assert isinstance(twin, BlockedLinear)
        assert torch.equal(twin(values), block(values))


@pytest.mark.parametrize("bias", [True, False])
def test_a_worker_without_one_dnn_gets_a_plain_layer(bias, monkeypatch):
    plain, block = pair(30, 40, bias=bias)
    sent = pickle.dumps(block)
    monkeypatch.setattr(module, "multiplies_blocks", lambda: False)
    found, values = pickle.loads(sent), torch.randn(4, 40)
    assert type(found) is torch.nn.Linear
    assert torch.equal(found(values), plain(values))
    assert not any(weights.requires_grad for weights in found.parameters())


@pytest.mark.parametrize("family", CAUSAL)
def test_a_causal_model_has_no_plain_layer_left_and_says_the_same(family):
    plain, faster = tiny_family(family), blocked(tiny_family(family))
    assert type(faster) is CausalLM
    assert (faster.name, faster.fingerprint, faster.dtype) == (plain.name, plain.fingerprint, plain.dtype)
    kinds = [type(layer).__name__ for layer in faster.model.modules()]
    assert "BlockedLinear" in kinds
    assert not {"Linear", "Conv1D"} & set(kinds)
    prefix = torch.randn(2, 3, plain.hidden)
    captions = [[[1, 2, 0]], [[3, 0]]]
    made = []
    for lm in (plain, faster):
        leaf = prefix.clone().requires_grad_()
        loss = lm.loss(leaf, captions, backward_scale=1.0)
        with torch.inference_mode():
            state, first = lm.start(prefix, capacity=2, room=8)
            made.append([lm.logits(first), lm.logits(lm.step(state, torch.tensor([1, 2]))), leaf.grad, torch.tensor(loss)])
    for expected, found in zip(*made, strict=True):
        torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-4)


def test_rates_are_those_of_float32_and_so_is_their_place_in_the_store():
    prefix, sampling = torch.randn(2, 3, 16), Sampling(sentences=200)
    plain, faster = (sample(lm, prefix, sampling, seeds=[1, 2]) for lm in (tiny_lm(), blocked(tiny_lm())))
    assert [image.sentences for image in faster] == [image.sentences for image in plain]


def test_a_model_goes_to_workers_before_and_after_it_is_loaded(tmp_path):
    fingerprint = save_tiny_lm(tmp_path).fingerprint
    lm = blocked(CausalLM("tiny", partial(starter._loaded, tmp_path, torch.float32, "cpu", fingerprint), fingerprint))
    before = pickle.dumps(lm)
    prefix = torch.randn(2, 3, lm.hidden)  # loads it
    expected = lm.start(prefix, capacity=2, room=4)[1]
    for sent in (before, pickle.dumps(lm)):
        again = pickle.loads(sent)
        assert torch.equal(again.start(prefix, capacity=2, room=4)[1], expected)
        assert any(isinstance(layer, BlockedLinear) for layer in again.model.modules())


def test_plain_weights_are_freed_one_by_one(monkeypatch):
    lm, alive = tiny_lm(), []
    plain = [weakref.ref(layer) for layer in lm.model.modules() if type(layer) is torch.nn.Linear]
    make = BlockedLinear.__init__

    def counting(self, *options):
        alive.append(sum(layer() is not None for layer in plain))
        make(self, *options)

    monkeypatch.setattr(module, "multiplies_blocks", lambda: True)
    monkeypatch.setattr(BlockedLinear, "__init__", counting)
    assert blocked(lm).model is lm.model
    assert alive[0] == len(plain)
    assert alive[-1] <= 2


@pytest.mark.parametrize(
    "wrong", [lambda *_: 1 / 0, lambda values, *_: values[..., :7] + 1], ids=["an operator that fails", "one that is wrong"]
)
def test_where_the_product_is_missing_or_wrong_layers_stay_plain(wrong, monkeypatch):
    def product(*arguments):
        try:
            return wrong(*arguments)
        except ZeroDivisionError:
            raise RuntimeError("not on this processor") from None

    monkeypatch.setattr(module._Product, "forward", staticmethod(lambda _context, *arguments: product(*arguments)))
    assert not multiplies_blocks()
    assert not any(isinstance(layer, BlockedLinear) for layer in blocked(tiny_lm()).model.modules())


def test_bfloat16_and_cross_attention_stay_as_they_are():
    half, crossed = tiny_lm(), tiny_family("t5")
    half.model.bfloat16()
    for lm in (half, crossed):
        assert not any(isinstance(layer, BlockedLinear) for layer in blocked(lm).model.modules())


def test_named_models_are_in_blocks_where_they_are_in_float32(tmp_path, monkeypatch):
    save_tiny_lm(tmp_path)
    for dtype, expected in ((torch.float32, True), (torch.bfloat16, False)):
        monkeypatch.setattr(models, "native_dtype", lambda _device, dtype=dtype: dtype)
        layers = named_language_model(str(tmp_path)).model.modules()
        assert any(isinstance(layer, BlockedLinear) for layer in layers) == expected
