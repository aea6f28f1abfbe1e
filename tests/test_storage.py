"""Files that a reader never meets half of, and a cache that may be full, read-only or nowhere."""

import logging
import os
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from PIL import Image

from doubles import tiny_classifier, tiny_lm, tiny_translator
from wordsight.errors import WordsightError
from wordsight.explain import Explainer
from wordsight.language.starter import _copy, _make_once
from wordsight.sentences.sampling import Sampling
from wordsight.storage import cache_folder, replacing, shortened, store_each


def test_a_store_that_cannot_be_written_costs_no_result_and_says_so_once(tmp_path, caplog):
    (tmp_path / "file").write_text("")
    files = [tmp_path / "file" / f"{i}.txt" for i in range(4)]
    with caplog.at_level(logging.WARNING):
        made = store_each(files, Path.read_text, lambda rows: [str(row) for row in rows], Path.write_text, at_once=2)
    assert made == ["0", "1", "2", "3"]
    assert caplog.text.count("cannot be written") == 1
    assert "name another folder for the cache in WORDSIGHT_CACHE" in caplog.text


def test_a_full_disk_costs_no_result(tmp_path, caplog):
    def full(file: Path, text: str) -> None:
        raise OSError(28, "No space left on device")

    assert store_each([tmp_path / "0"], Path.read_text, lambda rows: ["x"], full, at_once=2) == ["x"]
    assert "No space left on device" in caplog.text
    assert list(tmp_path.iterdir()) == []


def test_no_home_is_one_line_that_names_the_variable(monkeypatch):
    monkeypatch.delenv("WORDSIGHT_CACHE", raising=False)
    monkeypatch.setattr("platformdirs.user_cache_path", lambda name: Path("~/.cache") / name)
    with pytest.raises(
        WordsightError, match=r"There is no home folder .*Name a folder in the environment variable WORDSIGHT_CACHE"
    ):
        cache_folder()
    monkeypatch.setenv("WORDSIGHT_CACHE", "~/words")
    monkeypatch.setenv("HOME", "/nobody")
    assert cache_folder() == Path("/nobody/words")


def test_what_others_made_must_be_readable_and_what_is_made_is(tmp_path, monkeypatch):
    class Saved:
        def to(self, _dtype: torch.dtype) -> "Saved":
            return self

        def save_pretrained(self, folder: Path) -> None:
            folder.mkdir(exist_ok=True)
            (folder / "model.safetensors").write_bytes(b"")
            (folder / "model.safetensors").chmod(0o600)

    folder = tmp_path / "lm"
    lm = replace(tiny_lm(), load=lambda: (Saved(), Saved()))
    _make_once(folder, lambda: _copy(lm, folder, torch.float32))
    assert (folder / "model.safetensors").stat().st_mode & 0o777 == 0o644
    monkeypatch.setattr(os, "access", lambda *_: False)
    with pytest.raises(PermissionError, match=r"model\.safetensors may not be read by this user.*chmod a\+r"):
        _make_once(folder, lambda: None)


def test_long_names_are_cut_by_bytes(tmp_path):
    assert shortened("short") == "short"
    assert shortened("ä" * 150) == "ä" * 100
    with replacing(tmp_path / ("x" * 250)) as partial:
        partial.write_text("whole")
    assert (tmp_path / ("x" * 250)).read_text() == "whole"


def test_explaining_goes_on_without_a_cache(tmp_path, monkeypatch, caplog):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("WORDSIGHT_CACHE", str(tmp_path / "file" / "cache"))
    classifier, lm = tiny_classifier(), tiny_lm()
    explainer = Explainer(classifier, lm=lm, translator=tiny_translator(classifier, lm))
    assert len(explainer.explain(Image.new("RGB", (9, 9)), Sampling(sentences=5))) == 1
    assert "cannot be written" in caplog.text
