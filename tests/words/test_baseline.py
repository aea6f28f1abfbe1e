"""The rates of the mean feature that come inside the package."""

import json
from pathlib import Path

import pytest
import torch

import wordsight.words
from doubles import tiny_classifier, tiny_lm, tiny_translator
from wordsight.models import Models, starter_translator
from wordsight.sentences.sampling import Sampling
from wordsight.translator.checkpoint import translator_fingerprint
from wordsight.words import baseline as module
from wordsight.words.baseline import SENTENCES, baseline, baseline_name, sample_baseline, write_baseline

SHIPPED = Path(wordsight.words.__file__).parent / "baselines"


@pytest.fixture
def models():
    classifier, lm = tiny_classifier(), tiny_lm(sharpness=2.0)
    return Models(classifier, lm, *tiny_translator(classifier, lm))


def test_the_starter_s_are_those_of_its_translator_and_of_today_s_rules():
    translator, card = starter_translator()
    fingerprints = translator_fingerprint(translator), card.language_model_fingerprint
    names = {baseline_name(*fingerprints, dtype, Sampling()) for dtype in (torch.float32, torch.bfloat16)}
    assert {file.name for file in SHIPPED.iterdir()} == names, "run benchmarks/make_baselines.py"
    for name in names:
        stored = json.loads((SHIPPED / name).read_text())
        assert stored["sentences"] == SENTENCES
        assert len(stored["words"]) > 1000
        assert all(0 <= rate["low"] <= rate["rate"] <= rate["high"] <= 1 for rate in stored["words"].values())


def test_a_shipped_file_is_read_and_gives_what_sampling_gives(models, cache, tmp_path, monkeypatch):
    sampled = baseline(models, Sampling(), "sentences")
    (file,) = (cache / "baseline").iterdir()
    file.unlink()
    name = baseline_name(models.fingerprint, models.lm.fingerprint, models.lm.dtype, Sampling(sentences=7, seed=3))
    assert name == file.name  # how many sentences an image has, and their seed, decide nothing
    write_baseline(tmp_path / "baselines" / name, sample_baseline(models, Sampling()))
    monkeypatch.setattr(module, "files", lambda _package: tmp_path)
    monkeypatch.setattr(module, "sample", None)
    assert baseline(models, Sampling(), "sentences") == sampled
    assert list((cache / "baseline").iterdir()) == []


def test_others_are_sampled_once_and_cached(models, cache, monkeypatch):
    first = baseline(models, Sampling(top_p=0.5), "sentences")
    monkeypatch.setattr(module, "sample", None)
    assert baseline(models, Sampling(top_p=0.5), "sentences") == first


def test_what_decides_the_sentences_names_the_file():
    name = baseline_name("translator", "lm", torch.float32, Sampling())
    others = {
        baseline_name("other", "lm", torch.float32, Sampling()),
        baseline_name("translator", "other", torch.float32, Sampling()),
        baseline_name("translator", "lm", torch.bfloat16, Sampling()),
        baseline_name("translator", "lm", torch.float32, Sampling(top_p=0.8)),
    }
    assert len(others | {name}) == 5
