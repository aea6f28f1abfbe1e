"""The parts of transformers that the cache builds on are as they were: a release that changes them fails here first."""

import inspect
from importlib.metadata import version

import torch
from transformers import DynamicCache
from transformers.cache_utils import DynamicLayer

from doubles import tiny_lm
from wordsight.language.cache import KeysAndValues, _InPlace


def test_the_version_is_one_that_the_project_allows():
    assert version("transformers").split(".")[0] == "5"


def test_what_is_overridden_is_there_with_the_same_arguments():
    for name in ("lazy_initialization", "update", "get_seq_length", "batch_select_indices"):
        theirs = list(inspect.signature(getattr(DynamicLayer, name)).parameters)
        ours = list(inspect.signature(getattr(_InPlace, name)).parameters)
        assert ours[: len(theirs)] == theirs or ours[:-2] == theirs[: len(ours) - 2], f"{name}: {theirs}"


def test_a_model_fills_our_layers_as_it_fills_theirs():
    lm = tiny_lm()
    state = KeysAndValues.empty(lm.model.config, rows=2, capacity=3, room=6)
    cache, theirs = state.cache, DynamicCache(config=lm.model.config)
    assert all(isinstance(layer, _InPlace) for layer in cache.layers)
    inputs = torch.tensor([[1, 2, 3], [4, 5, 6]])
    with torch.inference_mode():
        ours = lm.model(input_ids=inputs, past_key_values=cache, use_cache=True).logits
        expected = lm.model(input_ids=inputs, past_key_values=theirs, use_cache=True).logits
        torch.testing.assert_close(ours, expected)
        state.select(torch.tensor([1, 1, 0]))
        theirs.batch_select_indices(torch.tensor([1, 1, 0]))
        step = torch.tensor([[1], [2], [3]])
        ours = lm.model(input_ids=step, past_key_values=cache, use_cache=True).logits
        expected = lm.model(input_ids=step, past_key_values=theirs, use_cache=True).logits
    torch.testing.assert_close(ours, expected)
