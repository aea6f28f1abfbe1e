"""The word probe behind the warm start."""

import pytest

from wordsight.translator.warm_start import word_rates


def test_word_rates_are_the_shares_of_captions():
    vocabulary, rates = word_rates([["a dog runs", "a red dog", "dogs"], ["a cat"], ["one dog", "the cat"]], min_images=2)
    assert vocabulary == ["cat", "dog"]
    assert rates.tolist() == [[0, pytest.approx(1)], [1, 0], [0.5, 0.5]]
