"""How much classes use words, from the audited images."""

import numpy as np
import pytest
from scipy.sparse import csc_array

from wordsight.audits.evidence import Evidence
from wordsight.audits.reliances import Reliances, Use, changed_to
from wordsight.audits.statistics import Estimate


def shown(*, images: int = 300, classes: int = 3, seed: int = 0) -> Evidence:
    """Class 0's logit rises with word 0; the other words and classes are noise."""
    random = np.random.default_rng(seed)
    rates = random.random((images, 4))
    logits = random.normal(size=(images, classes))
    logits[:, 0] += 3 * rates[:, 0]
    return Evidence(
        ("water", "b", "c", "d"),
        csc_array(rates),
        np.arange(images) % classes,
        logits,
        tuple(f"class{i}" for i in range(classes)),
    )


def test_a_word_that_moves_the_logit_is_used_and_others_are_not():
    water, *others = Reliances(shown())(0, [0, 1, 2, 3])
    assert water is not None
    assert water.clear(0.1)
    assert water.rival in ("class1", "class2")
    assert water.against_rival is not None
    assert water.against_rival.value > 0.5
    assert water.changes is not None
    assert 0.05 < water.changes < 0.9
    assert not any(use is not None and use.clear(0.1) for use in others)


def test_units_of_logits_and_a_constant_in_all_of_them_change_nothing():
    evidence = shown()
    moved = Evidence(evidence.vocabulary, evidence.rates, evidence.label, 20 * evidence.logits + 7, evidence.classes)
    first, second = Reliances(evidence)(0, [0])[0], Reliances(moved)(0, [0])[0]
    assert first is not None
    assert second is not None
    assert second.reliance.value == pytest.approx(first.reliance.value)
    assert second.changes == first.changes


def test_random_heads_are_judged_as_not_used():
    """Heads drawn from the null: each word passes at most about as often as 5% on one side, and on the interval."""
    random, passed = np.random.default_rng(1), []
    for _ in range(60):
        rates, z = random.random((120, 10)), random.normal(size=(120, 40))
        logits = z @ random.normal(size=(40, 2))
        evidence = Evidence(tuple("abcdefghij"), csc_array(rates), np.arange(120) % 2, logits, ("x", "y"))
        passed += [use.clear(0.0) for use in Reliances(evidence, z)(0, range(10)) if use]
    assert np.mean(passed) < 0.04


def test_either_of_all_classes_and_the_rival_will_do():
    low, high = Estimate(0.05, 0.01, 0.09), Estimate(0.5, 0.3, 0.7)
    assert not Use(low).clear(0.1)
    assert Use(low, against_rival=high).clear(0.1)
    assert not Use(high, chance=0.6).clear(0.1)
    assert not Use(Estimate(0.5, -0.1, 1.1)).clear(0.1)


def test_few_images_or_ruled_out_classes_are_not_measured():
    few = shown(images=19)
    assert Reliances(few)(0, [0, 1]) == [None, None]
    ruled_out = shown()
    ruled_out.logits[:, 2] = -np.inf
    reliances = Reliances(ruled_out)
    assert reliances(2, [0]) == [None]
    found = reliances(0, [0])[0]
    assert found is not None
    assert found.against_rival is None  # two classes are left
    assert found.clear(0.1)


def test_the_share_of_calls_that_change_by_hand():
    assert changed_to(np.array([0, 1, 1, 1, 2]), np.array([0, 0, 1, 0, 1]), 3).tolist() == [0.5, 0.5, 0.0]
    assert changed_to(np.array([0, 0]), np.array([0, 1]), 2).tolist() == [0.0, 0.5]
