import pytest
import torch

from wordsight.errors import FeatureError
from wordsight.translator.mlp import Translator
from wordsight.translator.ridge import RidgeMap, _Solver, fit_ridge, transferred, words_explained
from wordsight.translator.word_head import HeadRates, WordHead


def test_ridge_by_hand():
    # x = (1, 2, 3), y = (1, 1, 4): centred x.y = 3, x.x = 2. Penalty 1/3 of 3 images adds 1 to x.x: weight 1, bias 2 - 2 = 0.
    x, y = torch.tensor([[1.0], [2.0], [3.0]]).double(), torch.tensor([[1.0], [1.0], [4.0]]).double()
    weight, bias = _Solver(x, y).solve(1 / 3)
    assert (weight.item(), bias.item()) == pytest.approx((1.0, 0.0))
    # On (4, 5) and (6, 5): predictions 4 and 6, so errors 1 and 1; about the mean 2: 9 + 9.
    ((r2, penalty),) = _Solver(x, y).scores(
        [1 / 3], torch.tensor([[4.0], [6.0]]).double(), torch.tensor([[5.0], [5.0]]).double()
    )
    assert r2 == pytest.approx(1 - 2 / 18)
    assert penalty == 1 / 3


def test_a_linear_relation_is_found_and_noise_is_not():
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(300, 5, generator=generator)
    target = x @ torch.randn(5, 4, generator=generator) + 2
    assert fit_ridge(x, target).r2 > 0.999
    noise = fit_ridge(x, torch.randn(300, 4, generator=generator))
    assert abs(noise.r2) < 0.05
    assert noise.penalty > fit_ridge(x, target).penalty


def test_a_transferred_translator_gives_the_old_one_s_prefixes():
    generator = torch.Generator().manual_seed(1)
    old = torch.randn(200, 6, generator=generator) * 3 + 1
    new = old @ torch.randn(6, 6, generator=generator) - 5  # another classifier that sees the same
    translator = Translator(6, 4, hidden=16, prefix_tokens=2).eval()
    translator.learn_scale(old[:, None])
    composed, found = transferred(translator, new, old)
    assert found.r2 > 0.99
    assert torch.allclose(composed(new), translator(old), atol=0.02)


@pytest.mark.parametrize(("one", "other"), [(9, 9), (20, 19)])
def test_too_few_or_unequal_images_are_refused(one, other):
    with pytest.raises(FeatureError, match=rf"{one} images on one side and {other} on the other, wanted the same images"):
        fit_ridge(torch.zeros(one, 2), torch.zeros(other, 2))


def test_the_share_of_a_word_s_variance_that_other_features_explain():
    class Head(WordHead):
        """Says each feature as a rate."""

        def rates(self, x):
            return HeadRates(self.vocabulary, x, torch.zeros_like(x))

    target = torch.tensor([[9.0, 9.0, 9.0], [0.2, 0.1, 0.5], [0.4, 0.3, 0.5], [0.6, 0.5, 0.5]])
    predicted = torch.tensor([[0.3, 0.5, 0.5], [0.4, 0.3, 0.5], [0.5, 0.1, 0.5]])
    found = RidgeMap(torch.zeros(1, 3), torch.zeros(3), 0.1, 0.5, torch.tensor([1, 2, 3]), predicted)
    shares = words_explained(Head(3, ("dog", "cat", "always"), hidden=1, rank=1, members=1), target, found)
    # dog: errors 0.1, 0, 0.1 of deviations 0.2, 0, 0.2; cat: errors 0.4, 0, 0.4 of the same.
    assert shares == {"dog": pytest.approx(1 - 0.02 / 0.08), "cat": pytest.approx(1 - 0.32 / 0.08)}
