"""The scorer behind the README's table, by hand."""

import importlib.util
import sys
from pathlib import Path

import numpy as np
import pytest

FOLDER = Path(__file__).parents[1] / "benchmarks"


@pytest.fixture(scope="module")
def quality():
    pytest.importorskip("sklearn")
    spec = importlib.util.spec_from_file_location("word_quality", FOLDER / "word_quality.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["word_quality"] = module
    spec.loader.exec_module(module)
    return module


def test_words_are_folded(quality):
    assert quality.caption_words("The puppies of a grassy glass, TWO dogs by us") == ["puppy", "grassy", "glass", "dog"]
    assert quality.ranked({"dogs": 0.2, "dog": 0.5, "polar bear": 0.4, "the": 0.9}) == ["dog", "bear", "polar"]


def test_scores_by_hand(quality):
    captions = {"a": ["a dog runs", "a dog sits", "the dog", "red ball"], "b": ["a cat"]}
    # a: used dog, run, sit, red, ball (5); hits at 1 and 3. P = 2/10; AP = (1 + 2/3) / 5; majority {dog}: found.
    # b: used cat; no hit; no majority word.
    found = quality.score({"a": ["dog", "grass", "ball"], "b": ["dog"]}, captions)
    assert found == {"P@10": 0.1, "AP@20": pytest.approx((1 + 2 / 3) / 5 / 2, abs=1e-4), "MR@10": 1.0, "images": 2}


def test_baselines_find_what_the_features_say(quality):
    generator = np.random.default_rng(0)
    label = np.arange(200) % 2
    features = generator.normal(size=(200, 5)) + 4 * label[:, None]
    captions = [["a dog runs"] * 3 if c else ["a cat sleeps"] * 3 for c in label]
    known = quality.Known(features[:150], captions[:150])
    names = [f"{i}.png" for i in range(150, 200)]
    found = quality.baselines(known, features[150:], names, dict(zip(names, captions[150:], strict=True)))
    assert found["ridge"]["AP@20"] > 0.95 > 0.8 > found["prior"]["AP@20"]
    assert found["kNN-60"]["AP@20"] > 0.95
