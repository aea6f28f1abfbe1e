"""Better heads: surprising images weigh more, directions go, and a planted shortcut is mitigated."""

import numpy as np
import pytest
import torch

from doubles import tiny_classifier
from wordsight.features.heads import fit_head
from wordsight.mitigation.project import added_by_thing, added_by_words, project
from wordsight.mitigation.reweight import balanced, groups_of, hold_out, reweighing, reweight, spread_over


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


def test_labels_and_heavy_images_are_spread_over_the_folds():
    label = torch.tensor([0] * 8 + [1] * 4 + [2])
    importance = torch.tensor([1.0, 1, 9, 9, 1, 1, 9, 9, 3, 1, 1, 1, 1])
    fold = spread_over(4, label, importance, seed=3)
    assert sorted(fold[[2, 3, 6, 7]].tolist()) == [0, 1, 2, 3]
    assert sorted(fold[[0, 1, 4, 5]].tolist()) == [0, 1, 2, 3]
    assert sorted(fold[label == 1].tolist()) == [0, 1, 2, 3]
    assert torch.equal(fold, spread_over(4, label, importance, seed=3))
    starts = {int(spread_over(4, torch.tensor([0]), torch.ones(1), seed=seed)) for seed in range(40)}
    assert starts == {0, 1, 2, 3}


def test_weights_of_a_word_that_is_there_or_not_by_hand():
    label = torch.tensor([0] * 200 + [1] * 100)
    rate = torch.tensor([1.0] * 160 + [0.0] * 40 + [1.0] * 20 + [0.0] * 80)
    weights = reweighing(rate, label, two_classes())
    # P(y) / P(y | a): 2/3 / (160/180), 2/3 / (40/120), 1/3 / (20/180), 1/3 / (80/120); the penalty takes a little of it
    torch.testing.assert_close(weights[[0, 160, 200, 220]], torch.tensor([0.75, 2.0, 3.0, 0.5]), atol=0, rtol=0.03)
    for c in (0, 1):
        assert float(weights[label == c].mean()) == pytest.approx(1, abs=1e-5)
    # A rate without relation to the label changes no weight; the higher the rate of a word that is rare in the label, the larger.
    torch.testing.assert_close(reweighing(torch.ones(300), label, two_classes()), torch.ones(300))
    unsure = reweighing(rate * torch.linspace(0.5, 1, 300), label, two_classes())[200:220]
    assert (unsure.diff() > 0).all()


def test_one_wrong_label_does_not_carry_everything():
    label = torch.tensor([0] * 400 + [1] * 400)
    rate = torch.where(label == 0, torch.linspace(0.6, 1, 800), torch.linspace(0, 0.1, 800))
    rate[799] = 1.0
    weights = reweighing(rate, label, two_classes())
    assert weights.max() < 20
    assert weights.argmax() == 799
    # An image of each label is all there is of it in the other's kind, and classes without images do not count.
    lonely = reweighing(torch.tensor([0.0, 1]), torch.tensor([0, 2]), tiny_classifier(features=6))
    torch.testing.assert_close(lonely, torch.ones(2))


def test_a_share_of_every_group_is_held_out_but_never_all_of_it():
    group = torch.tensor([0] * 10 + [1] * 2 + [2])
    held = hold_out(0.4, group, seed=0)
    assert [int(held[group == g].sum()) for g in range(3)] == [4, 1, 0]


def test_reweighting_mitigates_a_planted_shortcut():
    classifier = two_classes()
    train, test = shortcut(400, 0.95, 0), shortcut(2000, 0.5, 1)
    z, label, word = train
    plain = fit_head(z, label, ["a", "b"], classifier)
    assert worst(plain, *test) < 0.7
    for importance in (balanced(groups_of(label, word)), reweighing(word.float(), label, classifier)):
        retrained = reweight(z, label, importance, classifier)
        assert worst(retrained, *test) > worst(plain, *test) + 0.15
        assert retrained.figures["penalty"] in (1, 10, 100, 1000, 10_000)


def test_a_word_with_errors_is_mitigated_better_by_its_rate_than_by_groups():
    """Of the images without the word, one in five has it by error, at a low rate: more images than truly have it."""
    classifier = two_classes()
    z, label, word = shortcut(1000, 0.95, 0)
    generator = torch.Generator().manual_seed(2)
    rate = torch.where(word, 0.3 + 0.6 * torch.rand(1000, generator=generator), torch.zeros(1000))
    rate = torch.where(torch.rand(1000, generator=generator) < 0.2, rate.maximum(torch.tensor(0.15)), rate)
    test = shortcut(4000, 0.5, 1)
    hard = reweight(z, label, balanced(groups_of(label, rate >= 0.1)), classifier)
    soft = reweight(z, label, reweighing(rate, label, classifier), classifier)
    assert worst(soft, *test) > worst(hard, *test) + 0.02


def test_projecting_takes_the_direction_out_and_keeps_the_mean_logits():
    classifier = two_classes()
    z, label, _ = shortcut(400, 0.95, 0)
    plain = fit_head(z, label, ["a", "b"], classifier)
    directions = [torch.tensor([0.0, 1, 0, 0, 0, 0]), torch.tensor([0.0, 1, 1, 0, 0, 0])]
    projected = project(plain.weight, plain.bias, directions, z, label, classifier)
    for direction in directions:
        torch.testing.assert_close(projected.weight @ direction, torch.zeros(2), atol=1e-5, rtol=0)
    torch.testing.assert_close(projected.logits(z).mean(0), plain.logits(z).mean(0), atol=1e-4, rtol=1e-4)
    assert worst(projected, *shortcut(2000, 0.5, 1)) > worst(plain, *shortcut(2000, 0.5, 1)) + 0.1


def test_a_projection_by_hand():
    """Covariance within classes diag(4, 1), as good as without the prior: h - S^-1 b (b'h) / (b'S^-1 b) for b = (1, 1)."""
    x = torch.tensor([[2.0, 1], [2, -1], [-2, 1], [-2, -1]]).repeat(5000, 1)
    label = torch.arange(20_000) // 10_000
    z = x + 7 * label[:, None]  # what tells the classes apart is no part of it
    weight, bias = torch.tensor([[5.0, 0], [0, 0]]), torch.zeros(2)
    projected = project(weight, bias, [torch.tensor([1.0, 1])], z, label, two_classes())
    # S^-1 b = (1/4, 1), b'h = 5, b'S^-1 b = 5/4: 5 - 1 and 0 - 4. An orthogonal projection would give 2.5 and -2.5.
    torch.testing.assert_close(projected.weight, torch.tensor([[4.0, -4], [0, 0]]), atol=1e-3, rtol=0)


def test_a_projection_does_not_depend_on_the_features_units():
    classifier = two_classes()
    z, label, _ = shortcut(400, 0.95, 0)
    plain, direction = fit_head(z, label, ["a", "b"], classifier), torch.tensor([0.5, 1, 0, 0, -1, 0])
    units = torch.tensor([1.0, 100, 0.01, 3, 1, 1])
    here = project(plain.weight, plain.bias, [direction], z, label, classifier)
    there = project(plain.weight / units, plain.bias, [direction * units], z * units, label, classifier)
    torch.testing.assert_close(there.weight * units, here.weight, atol=1e-4, rtol=1e-3)
    torch.testing.assert_close(there.bias, here.bias, atol=1e-3, rtol=1e-3)


def test_a_feature_without_spread_is_no_obstacle():
    z = torch.cat([torch.randn(100, 1, generator=torch.Generator().manual_seed(0)), torch.zeros(100, 1)], 1)
    projected = project(torch.eye(2), torch.zeros(2), [torch.tensor([1.0, 0])], z, torch.arange(100) % 2, two_classes())
    torch.testing.assert_close(projected.weight, torch.tensor([[0.0, 0], [0, 1]]), atol=1e-5, rtol=0)


def test_other_names_of_a_thing_stand_with_the_word():
    """Both words name what moves z1 by 2; with the second one held fixed, little is left to the first."""
    random = np.random.default_rng(0)
    there = random.random(4000) < 0.5
    named = np.stack([np.where(random.random(4000) < 0.9, there, 0.0) for _ in range(2)], 1) * 0.9
    z = torch.from_numpy(np.stack([2.0 * there, random.normal(0, 1, 4000)], 1)).float()
    thing = added_by_thing(z, named, torch.zeros(4000, dtype=torch.long), 0)
    assert float(thing[0]) > 1.8
    assert float(added_by_words(z, named)[0, 0]) < 1.3  # the twin: the word alone


def test_what_a_word_adds_is_told_apart_from_what_goes_along_with_it():
    """z1 moves by 2 with the first word, z2 by 3 with the second, which is mostly there when the first is."""
    random = np.random.default_rng(0)
    first = random.random(4000) < 0.5
    second = np.where(random.random(4000) < 0.9, first, ~first)
    rates = np.stack([first, second], 1).astype(float)
    z = torch.from_numpy(np.stack([2.0 * first, 3.0 * second], 1) + random.normal(0, 0.1, (4000, 2))).float()
    torch.testing.assert_close(added_by_words(z, rates), torch.tensor([[2.0, 0], [0, 3]]), atol=0.05, rtol=0)
    alone = added_by_words(z, rates[:, :1])[0]
    assert float(alone[1]) > 2  # the twin: one word at a time
