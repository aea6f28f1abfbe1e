"""Copies of an image count once."""

import numpy as np

from wordsight.audits.duplicates import fold

RANDOM = np.random.default_rng(0)
Z = RANDOM.normal(size=(60, 32))


def names(count: int) -> list[str]:
    return [str(i) for i in range(count)]


def test_equal_contents_count_once_whatever_their_features():
    assert fold(np.arange(8.0).reshape(4, 2), ["a", "b", "a", "a"]).tolist() == [0, 1]


def test_nearly_equal_features_count_once_and_unlike_ones_each():
    copies = Z[:20] + 0.1 * RANDOM.normal(size=(20, 32))
    assert fold(np.concatenate([Z, copies]), names(80)).tolist() == list(range(60))


def test_units_and_dead_features_do_not_matter():
    z = np.concatenate([Z, Z[:5] + 0.05]) * np.logspace(-3, 3, 32)
    z[:, 4] = 7.0
    assert fold(z, names(65)).tolist() == list(range(60))


def test_features_of_few_dimensions_are_not_compared():
    line = np.linspace(0, 1, 50)[:, None] * np.ones(32)
    assert len(fold(line, names(50))) == 50
    assert len(fold(np.ones((50, 4)), names(50))) == 50
    assert len(fold(np.ones((2, 4)), names(2))) == 2
