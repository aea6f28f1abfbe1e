"""Stored sentences are those that would be sampled, are not sampled again, and are renewed when anything changes."""

import json
from dataclasses import replace

import pytest
import torch

from doubles import tiny_lm
from wordsight.sentences.sampler import sample
from wordsight.sentences.sampling import Sampling
from wordsight.sentences.store import sample_stored


@pytest.fixture(scope="module")
def lm():
    return tiny_lm()


def prefixes(images: int = 5) -> torch.Tensor:
    return torch.randn(images, 2, 16, generator=torch.Generator().manual_seed(0))


def test_stored_sentences_are_the_sampled_ones(lm, tmp_path, monkeypatch):
    done: list[tuple[int, int]] = []
    options = {"sampling": Sampling(sentences=20), "seeds": [1, 2, 3, 4, 5]}
    stored = sample_stored(lm, prefixes(), tmp_path, **options, part=2, on_images=lambda d, t: done.append((d, t)))
    sampled = sample(lm, prefixes(), **options)
    assert [one.sentences for one in stored] == [one.sentences for one in sampled]
    for one, other in zip(stored, sampled, strict=True):  # sampled in other company, so not the same to the last bit
        assert {w: r.rate for w, r in one.rates.words.items()} == pytest.approx(
            {w: r.rate for w, r in other.rates.words.items()}
        )
    assert done == [(0, 5), (2, 5), (4, 5), (5, 5)]
    assert len(list(tmp_path.iterdir())) == 5
    monkeypatch.setattr("wordsight.sentences.store.sample", None)  # a second call must not sample
    assert sample_stored(lm, prefixes(), tmp_path, **options, part=2) == stored


def test_stored_sentences_are_found_without_the_model_if_its_precision_is_known(lm, tmp_path):
    options = {"sampling": Sampling(sentences=10), "seeds": [1, 2, 3, 4, 5]}
    stored = sample_stored(lm, prefixes(), tmp_path, **options)

    def refuse():
        raise AssertionError("loaded")

    asleep = replace(lm, load=refuse, precision=torch.float32)
    assert sample_stored(asleep, prefixes(), tmp_path, **options) == stored
    with pytest.raises(AssertionError, match="loaded"):  # another precision, other sentences
        sample_stored(replace(asleep, precision=torch.bfloat16), prefixes(), tmp_path, **options)


def test_an_interrupted_call_goes_on(lm, tmp_path, monkeypatch):
    options = {"sampling": Sampling(sentences=10), "seeds": [1, 2, 3, 4, 5], "part": 2}

    def stop(done: int, total: int) -> None:
        if done == 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        sample_stored(lm, prefixes(), tmp_path, **options, on_images=stop)
    asked: list[int] = []

    def counted(lm, prefix, *sampling, **rest):
        asked.append(len(prefix))
        return sample(lm, prefix, *sampling, **rest)

    monkeypatch.setattr("wordsight.sentences.store.sample", counted)
    sample_stored(lm, prefixes(), tmp_path, **options)
    assert asked == [1]


def test_other_images_do_not_matter(lm, tmp_path, monkeypatch):
    stored = sample_stored(lm, prefixes(), tmp_path, Sampling(sentences=10), seeds=[1, 2, 3, 4, 5])
    asked: list[list[int]] = []

    def counted(lm, prefix, *sampling, **rest):
        asked.append(rest["seeds"])
        return sample(lm, prefix, *sampling, **rest)

    monkeypatch.setattr("wordsight.sentences.store.sample", counted)
    more = torch.cat([prefixes(1) + 1, prefixes()[[4, 2]]])
    found = sample_stored(lm, more, tmp_path, Sampling(sentences=10), seeds=[9, 5, 3])
    assert found[1:] == [stored[4], stored[2]]
    assert found[0] == sample(lm, prefixes(1) + 1, Sampling(sentences=10), seeds=[9])[0]
    assert asked == [[9]]


def test_stored_words_have_one_order_whatever_was_sampled_together(lm, tmp_path):
    """Also after a kill: then the images that were left are sampled together."""
    seeds = [1, 2, 3, 4, 5]
    for folder, part in (("together", 5), ("alone", 1)):
        sample_stored(lm, prefixes(), tmp_path / folder, Sampling(sentences=30), seeds=seeds, part=part)
    for file in (tmp_path / "together").iterdir():
        together, alone = (json.loads((tmp_path / folder / file.name).read_text()) for folder in ("together", "alone"))
        assert together["counts"] == alone["counts"]
        assert list(together["words"]) == list(alone["words"]) == sorted(alone["words"])
        for word, rate in together["words"].items():
            assert rate == pytest.approx(alone["words"][word], abs=1e-5)


@pytest.mark.parametrize(
    "change",
    [
        {"sampling": Sampling(sentences=11)},
        {"seeds": [2]},
        {"sampling": Sampling(sentences=10, top_p=0.5)},
        {"prefix": prefixes(1) + 1},
    ],
)
def test_other_settings_are_sampled_anew(lm, tmp_path, change):
    usual = {"prefix": prefixes(1), "store": tmp_path, "sampling": Sampling(sentences=10), "seeds": [1]}
    sample_stored(lm, **usual)
    sample_stored(lm, **(usual | change))
    assert len(list(tmp_path.iterdir())) == 2


def test_a_damaged_file_is_made_anew(lm, tmp_path, caplog):
    options = {"sampling": Sampling(sentences=10), "seeds": [1]}
    first = sample_stored(lm, prefixes(1), tmp_path, **options)
    (file,) = tmp_path.iterdir()
    for text in ("", "[1]", '{"counts": 3}'):
        file.write_text(text)
        assert sample_stored(lm, prefixes(1), tmp_path, **options) == first
    assert "is damaged" in caplog.text
