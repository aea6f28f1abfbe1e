"""Counts and scores against numbers worked out by hand."""

import re
from math import isfinite

import pytest

from wordsight.words.scores import WordCounts, count_words, jaccard, lift, rate_interval, word_table


def test_a_word_counts_once_a_sentence_and_a_repeated_sentence_twice() -> None:
    counted = count_words(["A dog chases dogs.", "A cat.", "A cat.", "", "It is."])
    assert counted.sentences == 5  # the two without a word count as sentences too
    assert counted.counts["dog"] == 1
    assert counted.counts["cat"] == 2


def test_no_sentences_no_counts() -> None:
    assert count_words(iter([])) == WordCounts(counts={}, sentences=0)


def test_one_string_is_refused() -> None:
    with pytest.raises(TypeError, match=re.escape("give it a list of sentences, [sentence] for a single one")):
        count_words("a dog")


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
    ("count", "sentences", "low", "high"), [(8, 10, 0.490162, 0.943318), (0, 20, 0.0, 0.161125), (20, 20, 0.838875, 1.0)]
)
def test_wilson_by_hand(count: int, sentences: int, low: float, high: float) -> None:
    assert rate_interval(count, sentences) == pytest.approx((low, high), abs=1e-6)


# 50% has z = 0.674490, z^2 = 0.454936. 1 of 2: centre 0.5; half = z sqrt(0.25/2 + 0.454936/16) / (1 + 0.454936/2)
#   = 0.674490 * sqrt(0.153434) / 1.227468 = 0.674490 * 0.391706/1.227468 = 0.215241
def test_wilson_at_another_confidence_by_hand() -> None:
    assert rate_interval(1, 2, confidence=0.5) == pytest.approx((0.284759, 0.715241), abs=1e-6)


@pytest.mark.parametrize("sentences", [1, 2, 3, 7, 50, 999, 5000, 10**6])
def test_the_ends_are_exact(sentences: int) -> None:
    assert rate_interval(0, sentences)[0] == 0.0
    assert rate_interval(sentences, sentences)[1] == 1.0


@pytest.mark.parametrize("count", range(13))
def test_the_interval_holds_the_rate_and_mirrors(count: int) -> None:
    low, high = rate_interval(count, 12)
    assert 0 <= low <= count / 12 <= high <= 1
    assert rate_interval(12 - count, 12) == pytest.approx((1 - high, 1 - low))


@pytest.mark.parametrize(
    ("count", "sentences", "message"),
    [
        (-1, 5, "A count of -1 in 5 sentences; the count has to be between 0 and 5."),
        (6, 5, "A count of 6 in 5 sentences; the count has to be between 0 and 5."),
        (0, 0, "0 sentences; a rate needs at least 1. Sample some sentences first."),
        (0, -3, "-3 sentences; a rate needs at least 1."),
    ],
)
def test_impossible_counts_are_refused(count: int, sentences: int, message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        rate_interval(count, sentences)


@pytest.mark.parametrize("confidence", [0.0, 1.0, 95.0, float("nan")])
def test_an_impossible_confidence_is_refused(confidence: float) -> None:
    with pytest.raises(ValueError, match=rf"A confidence of {confidence}; it has to be between 0 and 1, for instance 0\.95\."):
        rate_interval(1, 2, confidence=confidence)


# y1 = 15 of 50, y2 = 4 of 49, strength 20: share = 19.5/100, a = 3.9, b = 16.1.
# log_odds = log(18.9/51.1) - log(7.9/61.1) = -0.994622 + 2.045649 = 1.051027
# variance = 1/18.9 + 1/51.1 + 1/7.9 + 1/61.1 = 0.052910 + 0.019569 + 0.126582 + 0.016367 = 0.215428
# z = 1.051027/0.464143 = 2.264447
def test_lift_by_hand() -> None:
    found = lift(WordCounts({"cat": 15}, 50), WordCounts({"cat": 4}, 49), prior_strength=20.0)["cat"]
    assert found.log_odds == pytest.approx(1.051027, abs=1e-5)
    assert found.z == pytest.approx(2.264447, abs=1e-5)


# Never said by the reference: y1 = 9 of 50, y2 = 0 of 44, default strength 100: share = 9.5/95 = 0.1, a = 10, b = 90.
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
    with pytest.raises(ValueError, match=r"The reference has no sentences; sample some from the mean feature first\."):
        lift(here, WordCounts({}, 0))
    with pytest.raises(ValueError, match=r"A prior strength of 0\.0; it has to be above 0"):
        lift(here, here, prior_strength=0.0)


def test_the_table_is_sorted_by_rate_then_word() -> None:
    table = word_table(WordCounts({"dog": 2, "zebra": 8, "cat": 2, "never": 0}, 10), None)
    assert [row.word for row in table] == ["zebra", "cat", "dog"]
    first = table[0]
    assert (first.count, first.rate, first.lift, first.lift_z) == (8, 0.8, None, None)
    assert (first.low, first.high) == pytest.approx((0.490162, 0.943318), abs=1e-6)


def test_the_table_carries_the_lift() -> None:
    counts, reference = WordCounts({"cat": 9, "dog": 1}, 50), WordCounts({"dog": 3}, 44)
    lifts = lift(counts, reference)
    for row in word_table(counts, reference):
        assert (row.lift, row.lift_z) == (lifts[row.word].log_odds, lifts[row.word].z)


def test_no_sentences_make_an_empty_table() -> None:
    assert word_table(count_words([]), None) == []
    assert word_table(count_words([]), WordCounts({"cat": 1}, 2)) == []


@pytest.mark.parametrize(
    ("a", "b", "share"),
    [([], [], 0.0), (["cat"], [], 0.0), (["cat"], ["cat"], 1.0), (["cat", "dog", "dog"], {"dog", "bird"}, 1 / 3)],
)
def test_jaccard(a: list[str], b: list[str], share: float) -> None:
    assert jaccard(a, b) == pytest.approx(share)
