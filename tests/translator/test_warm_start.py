"""The word probe behind the warm start and the targets of word-rate matching."""

import pytest
import torch

from wordsight.translator.warm_start import cross_fitted_rates, word_rates


def test_word_rates_are_the_shares_of_captions():
    vocabulary, rates = word_rates([["a dog runs", "a red dog", "dogs"], ["a cat"], ["one dog", "the cat"]], least=2)
    assert vocabulary == ["cat", "dog"]
    assert rates.tolist() == [[0, pytest.approx(1)], [1, 0], [0.5, 0.5]]


def fitted(views, rates):
    torch.manual_seed(0)
    return cross_fitted_rates(views, rates, hidden=64, generator=torch.Generator().manual_seed(0))


def test_cross_fitted_rates_tell_images_apart_without_having_seen_them():
    kind = torch.arange(600) % 2
    views = torch.randn(600, 2, 4, generator=torch.Generator().manual_seed(1)) * 0.1 + kind[:, None, None]
    rates = torch.stack([kind.float(), 1 - kind.float()], dim=1)
    expected = fitted(views, rates)
    assert ((expected[:, 0] > expected[:, 1]) == kind.bool()).float().mean() > 0.95
    # Whatever is said about image 7 does not reach what is expected of it.
    rates[7] = 1 - rates[7]
    assert torch.equal(fitted(views, rates)[7], expected[7])
