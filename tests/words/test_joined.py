"""Rates of sentences and word head, joined."""

import pytest
import torch

from wordsight.sentences.estimates import WordRate, WordRates
from wordsight.translator.word_head import HeadRates
from wordsight.words.joined import SourcedRate, head_words, join

SENTENCES = WordRates({"cat": WordRate(6, 0.6, 0.5, 0.7), "flap": WordRate(2, 0.2, 0.1, 0.3)}, 100)
HEAD = {"cat": WordRate(0, 0.8, 0.76, 0.83), "dog": WordRate(0, 0.2, 0.1, 0.3), "sky": WordRate(0, 0.001, 0.0, 0.002)}


def test_head_words_carry_the_half_width_cut_to_rates():
    head = HeadRates(("cat", "dog"), torch.tensor([[0.5, 0.01]]), torch.tensor([[0.25, 0.02]]))
    found = head_words(head, 0)
    assert found["cat"] == WordRate(0, 0.5, 0.25, 0.75)
    assert (found["dog"].low, found["dog"].high) == pytest.approx((0.0, 0.03))


def test_both_is_the_mean_of_log_odds_with_the_half_width_of_a_mean():
    joined = join(SENTENCES, HEAD)
    cat = joined["cat"].rate
    # Log-odds of 0.6 and 0.8: 0.405465 and 1.386294. Below: sqrt(0.405465^2 + 0.233615^2) / 2; above: sqrt(0.441833^2 +
    # 0.199333^2) / 2.
    assert (cat.count, cat.rate) == (6, pytest.approx(0.710102, abs=1e-6))
    assert (cat.low, cat.high) == pytest.approx((0.659688, 0.757356), abs=1e-6)
    assert joined["cat"].source == "both"


def test_a_word_outside_the_vocabulary_has_the_sentences_rate_and_an_unsaid_one_counts_as_rare():
    joined = join(SENTENCES, HEAD)
    assert joined["flap"] == SourcedRate(SENTENCES.words["flap"], "sentences")
    # Log-odds of 0.002 and 0.2: -6.212606 and -1.386294. Wilson's upper end of 0 in 100 is 0.03699.
    dog = joined["dog"].rate
    assert (dog.count, dog.rate) == (0, pytest.approx(0.021893, abs=1e-6))
    assert (dog.low, dog.high) == pytest.approx((0.014701, 0.091251), abs=1e-4)
    assert "sky" not in joined


def test_one_source_alone():
    assert {w: r.source for w, r in join(SENTENCES, HEAD, "sentences").items()} == {"cat": "sentences", "flap": "sentences"}
    assert {w: r.source for w, r in join(SENTENCES, HEAD, "head").items()} == {"cat": "head", "dog": "head"}
    assert {w: r.source for w, r in join(SENTENCES, None).items()} == {"cat": "sentences", "flap": "sentences"}


def test_an_unknown_source_is_refused():
    with pytest.raises(ValueError, match="words is 'all', wanted one of: both, sentences, head"):
        join(SENTENCES, HEAD, "all")
