"""Heat maps that agree: by hand, and with a spot planted at one position."""

import numpy as np
import pytest

from wordsight.audits.focus import agreement, focus_of


def test_agreement_by_hand():
    # More than usual: (1, 0, 0), (2, 0, 0) and (0, 4, 0): correlations 1, -1/2, -1/2, mean 0.
    maps = np.array([[[2.0, 0.5, 1]], [[3.0, 1, 1]], [[1.0, 5.0, 1]]])
    found = agreement(maps, np.array([[1.0, 1.0, 1.0]]))
    assert found.value == pytest.approx(0)
    # Jackknife: without one of them -1/2, -1/2, 1, so 2/3 * 3/2 = 1; Student's t is 4.303, cut to [-1, 1].
    assert (found.low, found.high) == (-1, 1)
    alike = agreement(maps[[0, 0, 0, 1]], np.array([[1.0, 1.0, 1.0]]))
    assert (alike.value, alike.low, alike.high) == (pytest.approx(1), pytest.approx(1), 1)


def test_the_jackknifes_error_is_that_over_draws():
    random = np.random.default_rng(0)
    centre, found = random.normal(size=(1, 3, 3)), []
    for _ in range(300):
        found.append(agreement(centre + random.normal(size=(40, 3, 3)), np.zeros((3, 3))))
    values = np.array([estimate.value for estimate in found])
    half = np.mean([estimate.high - estimate.low for estimate in found]) / 2
    assert half == pytest.approx(2.02 * values.std(), rel=0.15)
    assert 0.92 <= np.mean([estimate.low <= values.mean() <= estimate.high for estimate in found]) <= 0.98


def spots(images: int, *, stamp: bool, seed: int) -> np.ndarray:
    """Blobs anywhere; with ``stamp`` one in the corner of all."""
    random = np.random.default_rng(seed)
    maps = random.random((images, 10, 10)) * 0.2
    for heat in maps:
        y, x = random.integers(0, 8, 2)
        heat[y : y + 3, x : x + 3] += 1
    if stamp:
        maps[:, 7:9, 7:9] += 2
    return maps


def test_a_stamp_is_remarkable_and_objects_anywhere_are_not():
    maps = {name: spots(20, stamp=name == "church", seed=i) for i, name in enumerate(("church", "dog", "fish", "horn"))}
    found = {focus.label: focus for focus in focus_of(maps)}
    assert [label for label, focus in found.items() if focus.remarkable] == ["church"]
    assert found["church"].agreement.low > 0.3 > max(found[label].agreement.value for label in ("dog", "fish", "horn"))
    assert found["church"].heat[7:9, 7:9].sum() > 0.2
    assert found["dog"].heat.sum() == pytest.approx(1)


def test_several_classes_may_be_decided_at_one_position():
    maps = {"church": spots(20, stamp=True, seed=0), "dog": spots(20, stamp=True, seed=1)[:, ::-1, ::-1]}
    assert [focus.remarkable for focus in focus_of(maps)] == [True, True]
    assert [focus.remarkable for focus in focus_of(maps | {"fish": spots(20, stamp=False, seed=2)})] == [True, True, False]


def test_agreement_that_may_be_chance_is_not_remarkable():
    random = np.random.default_rng(0)
    remarked = 0
    for seed in range(60):
        maps = {str(i): spots(10, stamp=False, seed=int(random.integers(1e9)) + seed) for i in range(5)}
        remarked += sum(focus.remarkable for focus in focus_of(maps))
    assert remarked <= 3  # of 300 classes


def test_what_cannot_be_compared_is_left_out():
    maps = {"dog": spots(20, stamp=False, seed=0), "cat": spots(2, stamp=False, seed=1)}
    assert focus_of(maps) == []
    empty = np.zeros((5, 10, 10))
    found = focus_of(maps | {"cow": np.concatenate([empty, spots(4, stamp=False, seed=2)]), "pig": empty})
    assert {focus.label: focus.images for focus in found} == {"dog": 20, "cow": 4}
