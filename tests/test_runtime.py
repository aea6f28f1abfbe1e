"""Adjustments to the process."""

import os

import pytest

from wordsight.runtime import tune_memory

CACHES = ("LRU_CACHE_CAPACITY", "ONEDNN_PRIMITIVE_CACHE_CAPACITY")


@pytest.mark.parametrize("cache", CACHES)
def test_what_kernels_remember_of_shapes_is_bounded_unless_the_user_says_otherwise(monkeypatch, cache):
    for one in CACHES:
        monkeypatch.delenv(one, raising=False)
    monkeypatch.setenv(cache, "7")
    tune_memory.__wrapped__()
    assert {one: os.environ[one] for one in CACHES} == dict.fromkeys(CACHES, "128") | {cache: "7"}
