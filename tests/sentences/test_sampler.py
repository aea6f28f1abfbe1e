"""From prefixes to sentences and rates."""

from collections import Counter
from dataclasses import replace

import pytest
import torch

from doubles import tiny_lm
from wordsight.language.content import content_words
from wordsight.sentences import sampler
from wordsight.sentences.sampler import cut_at_end, rows_within, sample
from wordsight.sentences.sampling import Sampling


@pytest.fixture(scope="module")
def lm():
    return tiny_lm(sharpness=3.0)


@pytest.fixture(scope="module")
def prefix(lm):
    return torch.randn(2, 3, lm.hidden, generator=torch.Generator().manual_seed(5))


@pytest.mark.parametrize("mode", ["exact", "stratified"])
def test_an_image_s_sentences_do_not_depend_on_memory_or_neighbours(lm, prefix, mode):
    sampling = Sampling(mode=mode)
    whole = sample(lm, prefix, replace(sampling, sentences=30), seeds=[7, 8])
    small = sample(lm, prefix, replace(sampling, sentences=30), seeds=[7, 8], memory=1)
    assert [s.sentences for s in small] == [s.sentences for s in whole]
    assert sample(lm, prefix[1:], replace(sampling, sentences=30), seeds=[8])[0].sentences == whole[1].sentences
    assert sample(lm, prefix, replace(sampling, sentences=30), seeds=[9, 8])[0].sentences != whole[0].sentences


def test_counts_are_those_of_the_sentences(lm, prefix):
    (found, _) = sample(lm, prefix, Sampling(sentences=200), seeds=[1, 2])
    assert found.sentences.total() == found.rates.sentences == 200
    expected = Counter(word for s in found.sentences.elements() for word in content_words(s))
    assert {w: r.count for w, r in found.rates.words.items() if r.count} == expected
    plain = sample(lm, prefix, Sampling(sentences=200), seeds=[1, 2], conditional=False)[0].rates.words
    assert {w: r.rate for w, r in plain.items()} == pytest.approx({w: n / 200 for w, n in expected.items()})


def test_precision_draws_until_every_interval_is_narrow_enough(lm, prefix):
    loose = sample(lm, prefix, Sampling(sentences=40), seeds=[1, 2])
    tight = sample(lm, prefix, Sampling(sentences=40, precision=0.01), seeds=[1, 2])
    for before, after in zip(loose, tight, strict=True):
        width = {w: (r.high - r.low) / 2 for w, r in after.rates.words.items() if r.count}
        assert max(width.values()) <= 0.01
        assert after.rates.sentences == after.sentences.total() > before.rates.sentences


def test_precision_that_is_reached_draws_no_more(lm, prefix):
    assert sample(lm, prefix, Sampling(sentences=400, precision=0.4), seeds=[1, 2])[0].rates.sentences == 400


def test_precision_stops_at_the_most_sentences(lm, prefix, monkeypatch):
    monkeypatch.setattr(sampler, "MAX_SENTENCES", 300)
    found = sample(lm, prefix, Sampling(sentences=40, precision=1e-06), seeds=[1, 2])
    assert [one.rates.sentences for one in found] == [300, 300]


@pytest.mark.parametrize("precision", [0.0, 1.0, -0.1])
def test_precision_out_of_range_is_refused(lm, prefix, precision):
    with pytest.raises(ValueError, match=rf"precision is {precision}, wanted a number between 0 and 1"):
        sample(lm, prefix, Sampling(sentences=10, precision=precision), seeds=[0, 1])


def test_no_sentences_are_refused(lm, prefix):
    with pytest.raises(ValueError, match="sentences is 0, wanted at least 1"):
        sample(lm, prefix, Sampling(sentences=0), seeds=[0, 1])


def test_progress_reaches_every_sentence(lm, prefix):
    seen: list[tuple[int, int]] = []
    sample(lm, prefix, Sampling(sentences=30), seeds=[0, 1], on_sentences=lambda done, total: seen.append((done, total)))
    assert seen[-1] == (60, 60)
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)


def test_memory_bounds_the_rows(lm):
    # Two layers of two key-value heads of four numbers of four bytes, keys and values.
    assert lm.row_bytes(prefix=4, steps=6) == 10 * 2 * 2 * 2 * 4 * 4
    assert rows_within(2 * 10 * 128 * 30, 10 * 128, torch.device("cpu")) == 30
    assert rows_within(0, 10 * 128, torch.device("cpu")) == 1
    assert rows_within(1 << 40, 10 * 128, torch.device("cpu")) == 1024


def test_memory_by_default_is_that_of_the_device(monkeypatch):
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (8000, 10_000))
    assert rows_within(None, 1 << 20, torch.device("cpu")) == 160
    assert rows_within(None, 10, torch.device("cuda:1")) == 8000 // 4 // 20


def test_a_sentence_is_cut_at_its_first_end(lm):
    assert cut_at_end(torch.tensor([[3, 4, 0, 0], [5, 6, 7, 8]]), 0) == [[3, 4], [5, 6, 7, 8]]


def test_sums_are_the_same_however_often_they_are_drawn_together(lm, prefix, monkeypatch):
    whole = sample(lm, prefix, Sampling(sentences=40), seeds=[0, 1])
    monkeypatch.setattr("wordsight.sentences.rates._LOOSE", 3)
    assert sample(lm, prefix, Sampling(sentences=40), seeds=[0, 1]) == whole
