"""Reliance by hand, in any units, and its intervals by simulation."""

import numpy as np
import pytest
from scipy.sparse import csc_array

from wordsight.words.reliance import effects, random_heads, reliance


def test_reliance_by_hand():
    # One word in half of 40 images, logits +1 / -1 with it and -1 / +1 without: less their mean the same, standard deviation 1.
    # Centred rates are +-1/2: their squares sum to 10, their products with the logit to 20; with penalty 10, 20 / (10 + 10) = 1.
    word = np.tile([1.0, 0.0], 20)[:, None]
    logits = np.concatenate([2 * word - 1, 1 - 2 * word], 1) + 5
    found = reliance(word, logits, penalty=10.0)
    assert found.value.ravel() == pytest.approx([1.0, -1.0])


def test_units_of_logits_do_not_matter_and_a_dead_class_relies_on_nothing():
    random = np.random.default_rng(0)
    rates, logits = random.random((80, 4)), random.normal(size=(80, 3))
    assert reliance(rates, 1000 * logits).value == pytest.approx(reliance(rates, logits).value)
    flat = np.stack([np.ones(80), np.arange(80.0), 2 - np.arange(80.0) - 0], 1)
    assert reliance(rates, flat).value[0] == pytest.approx(0)


def test_a_word_that_only_goes_along_with_another_is_not_relied_on():
    """The logit follows "water"; "boat" goes along with water. Looked at alone boat would seem relied on."""
    random = np.random.default_rng(1)
    water = random.random(2000)
    boat = 0.7 * water + 0.3 * random.random(2000)
    margin = water + 0.1 * random.normal(size=2000)
    value = reliance(np.stack([water, boat], 1), np.stack([margin, -margin], 1), penalty=1e-6).value[0]
    assert np.corrcoef(boat, margin)[0, 1] > 0.7
    assert value[0] > 2
    assert abs(value[1]) < 0.15


def test_intervals_cover_and_their_twin_of_half_width_does_not():
    """Truth: coefficient 1 for the first word, 0 for the others, noise 0.5; no penalty to speak of."""
    covered, half = [], []
    for seed in range(150):
        random = np.random.default_rng(seed)
        rates = random.random((200, 6))
        margin = rates[:, 0] + 0.5 * random.normal(size=200)
        found = reliance(rates, np.stack([margin, -margin], 1), penalty=1e-6, seed=seed)
        truth = np.array([1.0, 0, 0, 0, 0, 0]) / np.sqrt(1 / 12 + 0.25)
        away = np.abs(found.value[0] - truth)[1:]
        covered.append((away <= found.reach[0, 1:]).mean())
        half.append((away <= found.reach[0, 1:] / 2).mean())
    assert 0.92 < np.mean(covered) < 0.98
    assert np.mean(half) < 0.8


def test_the_share_explained_on_images_left_out():
    random = np.random.default_rng(2)
    rates = random.random((400, 3))
    known, noise = rates[:, 0], random.normal(size=400)
    assert reliance(rates, np.stack([known, -known], 1), penalty=0.01).explained == pytest.approx([1, 1], abs=0.01)
    assert abs(reliance(rates, np.stack([noise, -noise], 1)).explained[0]) < 0.05


def test_too_few_images_are_refused():
    with pytest.raises(ValueError, match="19 images came, wanted at least 20"):
        reliance(np.zeros((19, 2)), np.zeros((19, 2)))


def test_random_heads_vary_as_the_formula_says_and_units_of_features_do_not_matter():
    random = np.random.default_rng(3)
    for features in (12, 90):  # fewer than images, and more
        rates, z = random.random((60, 5)), random.normal(size=(60, features)) * np.linspace(0.1, 9, features)
        deviation = random_heads(rates, z, penalty=2.0)
        mixed = z @ random.normal(size=(features, features))
        assert random_heads(rates, mixed, penalty=2.0) == pytest.approx(deviation, rel=1e-3)
        u = np.linalg.svd(z - z.mean(0), full_matrices=False)[0]
        logits = u[:, : min(features, 59)] @ random.normal(size=(min(features, 59), 3000))
        drawn = effects(rates, logits, penalty=2.0).value.std(0)
        assert drawn == pytest.approx(deviation, rel=0.1)


def test_sparse_rates_give_what_dense_ones_give(monkeypatch):
    random = np.random.default_rng(4)
    rates = random.random((90, 7)) * (random.random((90, 7)) < 0.3)
    logits, z = random.normal(size=(90, 3)), random.normal(size=(90, 20))
    dense, deviation = reliance(rates, logits), random_heads(rates, z)
    monkeypatch.setattr("wordsight.words.reliance._SPARSE_COST", 0)  # products of sparse matrices, whatever they cost
    monkeypatch.setattr("wordsight.words.reliance._ROWS", 16)
    sparse = reliance(csc_array(rates), logits)
    for name in ("value", "reach", "explained", "spread"):
        assert getattr(sparse, name) == pytest.approx(getattr(dense, name))
    assert random_heads(csc_array(rates), z) == pytest.approx(deviation)


def test_coefficients_are_those_of_ridge_regression():
    random = np.random.default_rng(5)
    rates, target = random.random((50, 4)), random.normal(size=(50, 2))
    centred, y = rates - rates.mean(0), (target - target.mean(0)) / target.std(0)
    expected = np.linalg.solve(centred.T @ centred + 3 * np.eye(4), centred.T @ y)
    assert effects(rates, target, penalty=3.0).value == pytest.approx(expected.T)
