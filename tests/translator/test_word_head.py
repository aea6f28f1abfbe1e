"""The word head: its targets, its fit, its intervals, its file, and its transfer."""

from dataclasses import replace

import pytest
import torch

from wordsight.translator.checkpoint import TranslatorCard, load_translator, save_translator
from wordsight.translator.mlp import Translator
from wordsight.translator.ridge import transferred
from wordsight.translator.word_head import WordHead, ensemble_rates, fit_word_head, word_rates

CARD = TranslatorCard(
    classifier="a", classifier_fingerprint="b", features=6, language_model="c", language_model_fingerprint="d", lm_hidden=4,
    prefix_tokens=2, hidden=16, seed=0, data={},
)  # fmt: skip


def test_word_rates_are_the_shares_of_captions():
    vocabulary, rates = word_rates([["a dog runs", "a red dog", "dogs"], ["a cat"], ["one dog", "the cat"]], min_images=2)
    assert vocabulary == ["cat", "dog"]
    assert rates.tolist() == [[0, pytest.approx(1)], [1, 0], [0.5, 0.5]]


def test_the_mean_and_half_width_by_hand():
    # Log-odds of the members 0 and 2 ln 3 for one word: mean rate (0.5 + 0.9) / 2 = 0.7, variance (2 ln 3)^2 / 2 = 2.4139.
    # A single word is all words, so the moderated variance is the same; Student's quantile with 1 + 8 degrees is 2.2622.
    rate, reach = ensemble_rates(torch.tensor([[[0.5]], [[0.9]]]))
    assert rate.item() == pytest.approx(0.7)
    assert reach.item() == pytest.approx(2.2622 * (2.4139 / 2) ** 0.5 * 0.21, abs=1e-4)
    assert ensemble_rates(torch.tensor([[[0.5]]]))[1].item() == 1


def test_half_widths_hold_for_members_of_one_normal_spread():
    """Logits of three members around a true one: the interval covers it; the twin at half the width does not."""
    generator = torch.Generator().manual_seed(0)
    truth = torch.randn(200, 100, generator=generator) - 1
    rate, reach = ensemble_rates((truth + 0.3 * torch.randn(3, 200, 100, generator=generator)).sigmoid())
    away = (rate - truth.sigmoid()).abs()
    assert 0.93 < (away <= reach).float().mean() < 0.98
    assert (away <= reach / 2).float().mean() < 0.8


def test_a_head_learns_which_words_go_with_which_features():
    generator = torch.Generator().manual_seed(1)
    kind = torch.arange(200) % 2
    x = torch.randn(200, 2, 6, generator=generator) * 0.3 + (2 * kind[:, None, None] - 1)
    head = fit_word_head(x, [["a dog", "the dog runs"] if k else ["a cat"] for k in kind.tolist()], epochs=30)
    assert head is not None
    assert head.vocabulary == ("cat", "dog", "run")
    rates = head.rates(torch.stack([-torch.ones(6), torch.ones(6)])).rates
    assert rates[0, 0] > 0.9
    assert rates[0, 1] < 0.1
    assert rates[1, 1] > 0.9
    assert rates[1, 2] == pytest.approx(0.5, abs=0.1)


def test_the_same_seed_gives_the_same_head_and_no_frequent_word_none():
    x = torch.randn(12, 1, 3, generator=torch.Generator().manual_seed(2))
    one, other = (fit_word_head(x, [["a dog"]] * 12, epochs=1, seed=4) for _ in range(2))
    assert one is not None
    assert other is not None
    assert torch.equal(one(x[:, 0]), other(x[:, 0]))
    assert fit_word_head(x[:4], [["a dog"]] * 4) is None


def test_a_head_is_saved_with_its_translator(tmp_path):
    translator = Translator(6, 4, hidden=16, prefix_tokens=2).eval()
    translator.words = WordHead(6, ["cat", "dog"], hidden=5, rank=3, members=2)
    save_translator(tmp_path / "t.safetensors", translator, replace(CARD, word_head=None))
    loaded, card = load_translator(tmp_path / "t.safetensors")
    assert card.word_head == {"vocabulary": ["cat", "dog"], "hidden": 5, "rank": 3, "members": 2}
    z = torch.randn(3, 6, generator=torch.Generator().manual_seed(3))
    found, wanted = loaded.word_rates(z), translator.word_rates(z)
    assert found is not None
    assert wanted is not None
    assert torch.allclose(found.rates, wanted.rates, atol=2e-3)


def test_a_translator_without_a_head_has_no_rates(tmp_path):
    save_translator(tmp_path / "t.safetensors", Translator(6, 4, hidden=16, prefix_tokens=2), CARD)
    loaded, card = load_translator(tmp_path / "t.safetensors")
    assert card.word_head is None
    assert loaded.word_rates(torch.zeros(1, 6)) is None


def test_a_transferred_head_gives_the_old_one_s_rates():
    generator = torch.Generator().manual_seed(4)
    old = torch.randn(200, 6, generator=generator) * 3 + 1
    new = old @ torch.randn(6, 6, generator=generator) - 5  # another classifier that sees the same
    translator = Translator(6, 4, hidden=16, prefix_tokens=2).eval()
    translator.learn_scale(old[:, None])
    translator.words = WordHead(6, ["cat", "dog"], hidden=5, rank=3)
    composed, _ = transferred(translator, new, old)
    found, wanted = composed.word_rates(new), translator.word_rates(old)
    assert found is not None
    assert wanted is not None
    assert torch.allclose(found.rates, wanted.rates, atol=0.02)
