"""Counts and scores against numbers worked out by hand."""

import math
import statistics
from math import isfinite

import pytest
import torch

from doubles import tiny_lm
from wordsight.sentences.estimates import WordCounts, WordRate, WordRates, rate_estimate
from wordsight.sentences.sampler import sample
from wordsight.sentences.sampling import Sampling
from wordsight.words.joined import SourcedRate
from wordsight.words.scores import jaccard, lift, word_table


@pytest.mark.parametrize("count", [-1, 6])
def test_counts_that_cannot_be_are_refused(count: int) -> None:
    with pytest.raises(ValueError, match=rf"'dog' is counted in {count} of 5 sentences; the count has to be between 0 and 5\."):
        WordCounts(counts={"dog": count}, sentences=5)


def test_a_negative_number_of_sentences_is_refused() -> None:
    with pytest.raises(ValueError, match="-1 sentences; the number of sentences has to be 0 or more"):
        WordCounts(counts={}, sentences=-1)


# z = 1.959964, z^2 = 3.841459.
#  8 of 10: 1 + z^2/n = 1.384146; centre = (0.8 + 3.841459/20) / 1.384146 = 0.992073/1.384146 = 0.716740
#           half = 1.959964 sqrt(0.8 * 0.2/10 + 3.841459/400) / 1.384146 = 1.959964 * 0.160011/1.384146 = 0.226578
#  0 of 20: centre = half, so high = z^2 / (n + z^2) = 3.841459/23.841459 = 0.161125
# 20 of 20: the mirror of it: low = 20/23.841459 = 0.838875
@pytest.mark.parametrize(
    ("share", "sentences", "low", "high"), [(0.8, 10, 0.490162, 0.943318), (0.0, 20, 0.0, 0.161125), (1.0, 20, 0.838875, 1.0)]
)
def test_wilson_by_hand(share: float, sentences: int, low: float, high: float) -> None:
    assert rate_estimate(share, 0.0, sentences, parts=20) == pytest.approx((share, low, high), abs=1e-6)


# 50% has z = 0.674490, z^2 = 0.454936. 1 of 2: centre 0.5; half = z sqrt(0.25/2 + 0.454936/16) / (1 + 0.454936/2)
#   = 0.674490 * sqrt(0.153434) / 1.227468 = 0.674490 * 0.391706/1.227468 = 0.215241
def test_wilson_at_another_confidence_by_hand() -> None:
    assert rate_estimate(0.5, 0.0, 2, parts=1, confidence=0.5)[1:] == pytest.approx((0.284759, 0.715241), abs=1e-6)


# A standard error of 0.126491 at 0.8 is that of 0.8 * 0.2 / 0.016 = 10 independent sentences.
# 11 parts: t(10) = 2.228139, t^2 = 4.964603; centre = (0.8 + 4.964603/20) / 1.496460 = 0.700473
#   half = 2.228139 sqrt(0.016 + 4.964603/400) / 1.496460 = 2.228139 * 0.168557/1.496460 = 0.250972
def test_an_interval_from_a_standard_error_by_hand() -> None:
    found = rate_estimate(0.8, 0.016**0.5, 10, parts=11)
    assert found == pytest.approx((0.8, 0.449501, 0.951445), abs=1e-5)


# t(19) = 2.093024: 2.093024 * 0.02 + 4.380750/100 = 0.085668.
@pytest.mark.parametrize(("share", "rate", "low", "high"), [(-0.01, 0.0, 0.0, 0.085668), (1.02, 1.0, 0.914332, 1.0)])
def test_a_share_that_cannot_be_moves_to_the_nearer_end(share: float, rate: float, low: float, high: float) -> None:
    assert rate_estimate(share, 0.02, 100, parts=20) == pytest.approx((rate, low, high), abs=1e-5)


# 0.001 with an error of 0.0097 would be Wilson's interval for 11 sentences, up to 0.29.
# 2.093024 * 0.0097 + 4.380750/500 = 0.029064.
def test_an_error_larger_than_the_rate_does_not_make_the_interval_explode() -> None:
    assert rate_estimate(0.001, 0.0097, 500, parts=20) == pytest.approx((0.001, 0.0, 0.030064), abs=1e-5)


# 0.01 * 0.99 / 0.0001^2 = 990,000 sentences; 5 of 500 is few, so 3 * 500 count: t^2 / n = 4.380750/1500 = 0.0029205;
#   centre = (0.01 + 0.00146025) / 1.0029205 = 0.011427; half = 2.093024 sqrt(0.0099/1500 + 4.380750/9000000) / 1.0029205
#   = 2.093024 * 0.0026621 / 1.0029205 = 0.0055557. But no further than 2.093024 * 0.0001 + 4.380750/500 = 0.0089708 from 0.01.
# 20 of 500 is enough: 0.04 * 0.96 / 0.0001^2 = 3,840,000 sentences count; half = about 2.093024 * 0.0001.
def test_a_rare_word_counts_for_three_times_the_sentences_at_most() -> None:
    assert rate_estimate(0.01, 0.0001, 500, parts=20) == pytest.approx((0.01, 0.005871, 0.016982), abs=1e-5)
    assert rate_estimate(0.99, 0.0001, 500, parts=20) == pytest.approx((0.99, 0.983018, 0.994129), abs=1e-5)
    assert rate_estimate(0.04, 0.0001, 500, parts=20) == pytest.approx((0.04, 0.039791, 0.040210), abs=1e-5)


@pytest.mark.parametrize("sentences", [1, 2, 3, 7, 50, 999, 5000, 10**6])
def test_the_ends_are_exact(sentences: int) -> None:
    assert rate_estimate(0.0, 0.0, sentences, parts=20)[1] == 0.0
    assert rate_estimate(1.0, 0.0, sentences, parts=20)[2] == 1.0


@pytest.mark.parametrize("count", range(13))
def test_the_interval_holds_the_rate_and_mirrors(count: int) -> None:
    _, low, high = rate_estimate(count / 12, 0.05, 12, parts=20)
    assert 0 <= low <= count / 12 <= high <= 1
    assert rate_estimate((12 - count) / 12, 0.05, 12, parts=20)[1:] == pytest.approx((1 - high, 1 - low))


@pytest.mark.parametrize("confidence", [0.0, 1.0, 95.0, float("nan")])
def test_an_impossible_confidence_is_refused(confidence: float) -> None:
    with pytest.raises(ValueError, match=rf"A confidence of {confidence}; it has to be between 0 and 1, for instance 0\.95\."):
        rate_estimate(0.5, 0.1, 2, parts=2, confidence=confidence)


# y1 = 15 of 50, y2 = 4 of 49, strength 20: share = 19.5/100, a = 3.9, b = 16.1.
# log_odds = log(18.9/51.1) - log(7.9/61.1) = -0.994622 + 2.045649 = 1.051027
# variance = 1/18.9 + 1/51.1 + 1/7.9 + 1/61.1 = 0.052910 + 0.019569 + 0.126582 + 0.016367 = 0.215428
# z = 1.051027/0.464143 = 2.264447
def test_lift_by_hand() -> None:
    found = lift(WordCounts({"cat": 15}, 50), WordCounts({"cat": 4}, 49), prior_strength=20.0)["cat"]
    assert found.log_odds == pytest.approx(1.051027, abs=1e-5)
    assert found.z == pytest.approx(2.264447, abs=1e-5)


# Never said by the baseline: y1 = 9 of 50, y2 = 0 of 44, default strength 100: share = 9.5/95 = 0.1, a = 10, b = 90.
# log_odds = log(19/131) - log(10/134) = -1.930758 + 2.595255 = 0.664496
# variance = 1/19 + 1/131 + 1/10 + 1/134 = 0.052632 + 0.007634 + 0.1 + 0.007463 = 0.167728; z = 0.664496/0.409546 = 1.622520
def test_lift_of_a_word_the_reference_never_says_by_hand() -> None:
    found = lift(WordCounts({"cat": 9}, 50), WordCounts({"dog": 3}, 44))
    assert set(found) == {"cat"}
    assert found["cat"].log_odds == pytest.approx(0.664496, abs=1e-5)
    assert found["cat"].z == pytest.approx(1.622520, abs=1e-5)


def test_lift_is_zero_for_equal_samples_and_changes_sign_when_swapped() -> None:
    here, there = WordCounts({"cat": 30}, 100), WordCounts({"cat": 10}, 100)
    assert lift(here, here)["cat"].log_odds == 0
    assert lift(here, there)["cat"].log_odds > 0
    assert lift(there, here)["cat"].log_odds == pytest.approx(-lift(here, there)["cat"].log_odds)
    assert lift(there, here)["cat"].z == pytest.approx(-lift(here, there)["cat"].z)


def test_a_stronger_prior_pulls_towards_zero() -> None:
    here, there = WordCounts({"cat": 30}, 100), WordCounts({"cat": 10}, 100)
    weak, strong = (lift(here, there, prior_strength=strength)["cat"].log_odds for strength in (1.0, 10_000.0))
    assert 0 < strong < 0.05 < 1 < weak


def test_lift_is_finite_at_the_ends_and_leaves_out_words_never_said() -> None:
    found = lift(WordCounts({"all": 5, "none": 0}, 5), WordCounts({"all": 7}, 7), prior_strength=0.01)
    assert set(found) == {"all"}
    assert isfinite(found["all"].log_odds)
    assert isfinite(found["all"].z)


def test_lift_refuses_an_empty_reference_and_an_impossible_prior() -> None:
    here = WordCounts({"cat": 1}, 2)
    with pytest.raises(ValueError, match=r"The baseline has no sentences; sample some from usual features first\."):
        lift(here, WordCounts({}, 0))
    with pytest.raises(ValueError, match=r"A prior strength of 0\.0; it has to be above 0"):
        lift(here, here, prior_strength=0.0)


def rates(sentences: int, **counts: int) -> WordRates:
    """Plain shares, with the intervals of independent sentences."""
    found = {w: WordRate(n, *rate_estimate(n / sentences, 0.0, sentences, parts=1)) for w, n in counts.items()}
    return WordRates(found, sentences)


def sampled(found: WordRates) -> dict[str, SourcedRate]:
    return {word: SourcedRate(rate, "sentences") for word, rate in found.words.items()}


def test_the_table_is_sorted_by_rate_then_word() -> None:
    table = word_table(sampled(rates(10, dog=2, zebra=8, cat=2, never=0)), None, sentences=10)
    assert [row.word for row in table] == ["zebra", "cat", "dog"]
    first = table[0]
    assert (first.count, first.rate, first.lift, first.lift_z) == (8, 0.8, None, None)
    assert (first.low, first.high) == pytest.approx((0.490162, 0.943318), abs=1e-6)


def test_the_table_has_words_that_are_expected_but_were_not_said() -> None:
    found = {"cat": WordRate(0, 0.02, 0.01, 0.03), "dog": WordRate(0, 0.0, 0.0, 0.002), "owl": WordRate(1, 0.001, 0.0, 0.01)}
    assert [row.word for row in word_table(sampled(WordRates(found, 100)), None, sentences=100)] == ["cat", "owl"]


def test_expected_counts() -> None:
    assert WordRates({"cat": WordRate(3, 0.25, 0.1, 0.4)}, 10).expected_counts() == WordCounts({"cat": 2.5}, 10)


def test_the_table_carries_the_lift_in_measured_errors() -> None:
    # Rates 0.2 and 0.1 of 100 sentences each; intervals of 0.0784 and 0.0392 are standard errors of 0.02 and 0.01.
    here = WordRates({"cat": WordRate(20, 0.2, 0.1608, 0.2392)}, 100)
    usual = WordRates({"cat": WordRate(10, 0.1, 0.0804, 0.1196)}, 100)
    (row,) = word_table(sampled(here), usual, sentences=100)
    # Pseudo-counts: 100 * 30.5 / 201 = 15.17413 of 100. With: 35.17413 and 25.17413; without: 164.82587 and 174.82587.
    assert row.lift == pytest.approx(math.log(35.17413 / 164.82587) - math.log(25.17413 / 174.82587), abs=1e-6)
    error = math.hypot(2 * (1 / 35.17413 + 1 / 164.82587), 1 * (1 / 25.17413 + 1 / 174.82587))
    assert row.lift_z == pytest.approx(row.lift / error, abs=1e-5)
    # A word that the baseline lacks has the error of a count of 0.
    (row,) = word_table(sampled(here), WordRates({}, 100), sentences=100)
    assert row.lift is not None
    assert row.lift_z is not None
    assert isfinite(row.lift_z)


@pytest.mark.slow
def test_without_a_difference_the_lift_is_one_standard_error_large() -> None:
    """And the errors of plain counts are too large: the sampler's rates vary less than those of independent sentences."""
    lm = tiny_lm(seed=11, sharpness=2.5)
    prefix = torch.randn(1, 3, lm.hidden, generator=torch.Generator().manual_seed(2)).expand(400, -1, -1)
    found = [one.rates for one in sample(lm, prefix, Sampling(sentences=200, max_tokens=5), seeds=range(400))]
    measured, plain = [], []
    for here, usual in zip(found[::2], found[1::2], strict=True):
        common = {w for w, r in here.words.items() if 0.1 < r.rate < 0.9}
        measured += [row.lift_z for row in word_table(sampled(here), usual, sentences=200) if row.word in common]
        counts = lift(here.expected_counts(), usual.expected_counts())
        plain += [counts[word].z for word in common]
    assert len(measured) > 500
    assert 0.85 < statistics.stdev(measured) < 1.1
    assert statistics.stdev(plain) < 0.7


def test_no_sentences_make_an_empty_table() -> None:
    assert word_table({}, None, sentences=0) == []
    assert word_table({}, WordRates({}, 2), sentences=0) == []


@pytest.mark.parametrize(
    ("a", "b", "share"),
    [([], [], 0.0), (["cat"], [], 0.0), (["cat"], ["cat"], 1.0), (["cat", "dog", "dog"], {"dog", "bird"}, 1 / 3)],
)
def test_jaccard(a: list[str], b: list[str], share: float) -> None:
    assert jaccard(a, b) == pytest.approx(share)
