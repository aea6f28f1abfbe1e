"""Words of two sets of images, against numbers worked out by hand."""

from pathlib import Path

import numpy as np
import pytest
from scipy.sparse import csc_array
from scipy.stats import false_discovery_control, mannwhitneyu, ttest_ind

from wordsight.audits.compare import compare_words, right_against_wrong
from wordsight.audits.findings import ClassWord
from wordsight.audits.result import Audit, AuditedImage
from wordsight.audits.statistics import Estimate


def test_by_hand():
    # Here 0.2, 0.4, 0.6 (mean 0.4, variance 0.04); elsewhere 0.1, 0.1, 0.3, 0.3 (mean 0.2, variance 0.04/3).
    rates = np.array([0.2, 0.4, 0.6, 0.1, 0.1, 0.3, 0.3])[:, None]
    here = np.array([True] * 3 + [False] * 4)
    (word,) = compare_words(["water"], csc_array(rates), here)
    assert (word.word, word.here, word.elsewhere) == ("water", pytest.approx(0.4), pytest.approx(0.2))
    # Errors squared 1/75 and 1/300, together 1/60: the error is 0.12910. Degrees of freedom
    # (1/60)^2 / ((1/75)^2 / 2 + (1/300)^2 / 3) = 3, for which Student's quantile is 3.18245.
    assert word.difference.value == pytest.approx(0.2)
    reach = 3.18245 * (1 / 60) ** 0.5
    assert word.difference.low == pytest.approx(0.2 - reach, abs=1e-5)
    assert word.difference.high == pytest.approx(0.2 + reach, abs=1e-5)
    # Of 12 pairs 0.2 beats two, 0.4 and 0.6 beat four each.
    assert word.separation.value == pytest.approx(10 / 12)
    assert word.separation.low < 10 / 12 < word.separation.high <= 1


def test_the_interval_holds_the_truth_as_often_as_it_says():
    random = np.random.default_rng(0)
    here = np.arange(28) < 8
    spread = np.where(here, 0.15, 0.05)[:, None]  # unequal spreads and sizes are what Welch's interval is for
    rates = 0.4 + 0.1 * here[:, None] + spread * random.normal(size=(28, 2000))
    found = compare_words([str(i) for i in range(2000)], csc_array(rates), here)
    assert np.mean([word.difference.low <= 0.1 <= word.difference.high for word in found]) == pytest.approx(0.95, abs=0.012)


def test_benjamini_hochberg_over_the_words():
    """Noise stays above 5% nearly always, a true difference comes first; a word that never varies does not differ."""
    random = np.random.default_rng(1)
    here = np.arange(60) < 30
    rates = random.random((60, 200))
    rates[here, 17] += 0.6
    rates[:, 3] = 0.25
    found = compare_words([f"w{i}" for i in range(200)], csc_array(rates), here)
    assert found[0].word == "w17"
    assert found[0].q < 0.001
    assert sum(word.q <= 0.05 for word in found) <= 3
    constant = next(word for word in found if word.word == "w3")
    assert constant.q == 1
    assert constant.difference == Estimate(0, 0, 0)
    assert constant.separation.value == 0.5


def test_rates_of_0_are_images_as_others_are():
    """Against SciPy, where most images lack most words."""
    random = np.random.default_rng(2)
    rates = random.random((70, 9)) * (random.random((70, 9)) < np.linspace(0, 1, 9))
    here = np.arange(70) % 3 == 0
    found = {word.word: word for word in compare_words("abcdefghi", csc_array(rates), here)}
    first, second = rates[here][:, 1:], rates[~here][:, 1:]
    p = np.append(mannwhitneyu(first, second, axis=0, method="asymptotic").pvalue, 1.0)  # "a" never varies
    welch = ttest_ind(first, second, equal_var=False).confidence_interval()
    for i, word in enumerate("bcdefghi"):
        assert found[word].q == pytest.approx(false_discovery_control(p)[i])
        assert (found[word].difference.low, found[word].difference.high) == pytest.approx((welch.low[i], welch.high[i]))
    assert found["a"].difference == Estimate(0, 0, 0)


def test_two_images_on_each_side():
    with pytest.raises(ValueError, match="1 images here and 2 elsewhere came, wanted at least two of each"):
        compare_words(["a"], csc_array(np.zeros((3, 1))), np.array([True, False, False]))


def test_right_against_wrong_of_all_and_of_each_class():
    def image(i: int, label: str, predicted: str, **words: float) -> AuditedImage:
        return AuditedImage(f"{i}.png", Path(f"{i}.png"), label, predicted, 0.9, words, "")

    images = [image(i, "duck", "duck", water=0.8) for i in range(3)]
    images += [image(i, "duck", "hen", water=0.1) for i in range(3, 5)]
    images += [image(i, "hen", "hen") for i in range(5, 9)] + [image(9, "hen", "duck", water=0.5)]
    half = Estimate(0.5, 0.4, 0.6)
    words = [ClassWord("duck", "water", 3, half, 0, half, None, None, None, None, 0, "none")]
    found = right_against_wrong(Audit(["hen", "duck", "ox"], images, words, [], {}), min_images=2)
    assert [(side.label, side.right, side.wrong) for side in found] == [(None, 7, 3), ("duck", 3, 2)]
    assert found[1].words[0].difference.value == pytest.approx(0.7)
    assert found[0].words[0].difference.value == pytest.approx(3 * 0.8 / 7 - 0.7 / 3)


def test_the_interval_is_that_of_scipy():
    random = np.random.default_rng(2)
    here = np.arange(50) < 15
    rates = np.where(here, 0.1, 0.02)[:, None] * random.normal(size=(50, 20)) + 0.5
    expected = ttest_ind(rates[here], rates[~here], axis=0, equal_var=False).confidence_interval(0.95)
    found = {word.word: word.difference for word in compare_words([str(i) for i in range(20)], csc_array(rates), here)}
    assert [found[str(i)].low for i in range(20)] == pytest.approx(expected.low.tolist(), abs=1e-12)
    assert [found[str(i)].high for i in range(20)] == pytest.approx(expected.high.tolist(), abs=1e-12)


def test_a_word_that_is_constant_on_one_side():
    rates = np.array([0.3, 0.3, 0.3, 0.1, 0.2, 0.3])[:, None]
    (word,) = compare_words(["water"], csc_array(rates), np.arange(6) < 3)
    reach = 4.30265 * 0.1 / 3**0.5  # Student's with two degrees of freedom: those of the side that varies
    assert (word.difference.low, word.difference.high) == pytest.approx((0.1 - reach, 0.1 + reach), abs=1e-5)
