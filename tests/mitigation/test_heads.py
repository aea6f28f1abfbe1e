"""Better heads: groups weigh the same, directions go, and a planted shortcut is mended."""

import pytest
import torch

from doubles import tiny_classifier
from wordsight.features.head import fit_head
from wordsight.mitigation.heads import balanced, groups_of, hold_out, project, reweight, spread_over


def shortcut(images: int, agree: float, seed: int):
    """Feature 0 is the class, weakly; feature 1 the word, strongly; they agree in a share of the images."""
    generator = torch.Generator().manual_seed(seed)
    label = torch.arange(images) % 2
    word = torch.where(torch.rand(images, generator=generator) < agree, label, 1 - label).bool()
    z = torch.randn(images, 6, generator=generator)
    z[:, 0] += 1.5 * (2 * label - 1)
    z[:, 1] += 4.0 * (2 * word.float() - 1)
    return z, label, word


def worst(head, z, label, word) -> float:
    right = (head.logits(z).argmax(1) == label).float()
    return min(float(right[groups_of(label, word) == g].mean()) for g in range(4))


def two_classes():
    classifier = tiny_classifier(features=6)
    return type(classifier)(**{**vars(classifier), "labels": ("a", "b")})


def test_balanced_weights_by_hand():
    weights = balanced(torch.tensor([0, 0, 0, 2]))
    torch.testing.assert_close(weights, torch.tensor([2 / 3, 2 / 3, 2 / 3, 2.0]))
    assert float(weights.mean()) == pytest.approx(1)


def test_groups_by_hand():
    assert groups_of(torch.tensor([0, 0, 1, 1]), torch.tensor([False, True, False, True])).tolist() == [0, 1, 2, 3]


def test_every_group_is_spread_over_the_folds():
    group = torch.tensor([0] * 8 + [1] * 4 + [2])
    fold = spread_over(4, group, seed=3)
    assert torch.bincount(fold[group == 0], minlength=4).tolist() == [2, 2, 2, 2]
    assert torch.bincount(fold[group == 1], minlength=4).tolist() == [1, 1, 1, 1]
    assert torch.equal(fold, spread_over(4, group, seed=3))
    starts = {int(spread_over(4, torch.tensor([0]), seed=seed)) for seed in range(40)}
    assert starts == {0, 1, 2, 3}


def test_a_share_of_every_group_is_held_out_but_never_all_of_it():
    group = torch.tensor([0] * 10 + [1] * 2 + [2])
    held = hold_out(0.4, group, seed=0)
    assert [int(held[group == g].sum()) for g in range(3)] == [4, 1, 0]


def test_reweighting_mends_a_planted_shortcut():
    classifier = two_classes()
    train, test = shortcut(400, 0.95, 0), shortcut(2000, 0.5, 1)
    z, label, word = train
    plain = fit_head(z, label, ["a", "b"], classifier)
    mended = reweight(z, label, groups_of(label, word), classifier)
    assert worst(plain, *test) < 0.7
    assert worst(mended, *test) > worst(plain, *test) + 0.15
    assert mended.figures["penalty"] in (1, 10, 100, 1000, 10_000)


def test_projecting_takes_the_direction_out_and_keeps_the_mean_logits():
    classifier = two_classes()
    z, label, _ = shortcut(400, 0.95, 0)
    plain = fit_head(z, label, ["a", "b"], classifier)
    directions = [torch.tensor([0.0, 1, 0, 0, 0, 0]), torch.tensor([0.0, 1, 1, 0, 0, 0])]
    mended = project(plain.weight, plain.bias, directions, z, classifier)
    for direction in directions:
        torch.testing.assert_close(mended.weight @ direction, torch.zeros(2), atol=1e-5, rtol=0)
    torch.testing.assert_close(mended.weight[:, 0], plain.weight[:, 0])
    torch.testing.assert_close(mended.logits(z).mean(0), plain.logits(z).mean(0), atol=1e-4, rtol=1e-4)
    assert worst(mended, *shortcut(2000, 0.5, 1)) > worst(plain, *shortcut(2000, 0.5, 1)) + 0.1
