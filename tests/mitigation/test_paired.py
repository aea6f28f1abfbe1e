"""The change between two heads on the same images."""

import numpy as np
import pytest

from wordsight.mitigation.paired import average_change, independent_interval, paired_interval, worst_change


def pairs(both: int, only_before: int, only_after: int, neither: int) -> tuple[np.ndarray, np.ndarray]:
    counts = (both, only_before, only_after, neither)
    return np.repeat([True, True, False, False], counts), np.repeat([True, False, True, False], counts)


def test_intervals_of_differences_against_published_numbers():
    # Newcombe 1998a, table II, method 10: 56/70 - 48/80 is 0.2, 0.0524 to 0.3339.
    after, before = np.repeat([True, False], (56, 14)), np.repeat([True, False], (48, 32))
    assert independent_interval(before, after, 1.959964) == pytest.approx((0.0524, 0.3339), abs=1e-4)
    # Newcombe 1998b, table II, method 10: pairs 36, 12, 2, 0 differ by 0.2, 0.0569 to 0.3404; ours is after - before.
    before, after = pairs(36, 2, 12, 0)
    assert paired_interval(before, after, 1.959964) == pytest.approx((0.0569, 0.3404), abs=1e-4)


def test_the_change_of_the_worst_group_by_hand():
    # Group 0 goes from 10/40 to 30/40, group 1 from 36/40 to 34/40: the worst from 0.25 to 0.75.
    before = np.concatenate([pairs(10, 0, 20, 10)[0], pairs(32, 4, 2, 2)[0]])
    after = np.concatenate([pairs(10, 0, 20, 10)[1], pairs(32, 4, 2, 2)[1]])
    group = np.repeat([0, 1], 40)
    found = worst_change(before, after, group)
    assert found.value == pytest.approx(0.5)
    # Against the worst before, group 0: of its own change and of group 1's accuracy after, the lower ends; z for 1.25%.
    own = paired_interval(before[:40], after[:40], 2.241403)
    other = independent_interval(before[:40], after[40:], 2.241403)
    assert found.low == pytest.approx(min(own[0], other[0]), abs=1e-6)
    assert found.high == pytest.approx(min(own[1], other[1]), abs=1e-6)
    assert found.low > 0.2
    assert average_change(before, after).value == pytest.approx((64 - 46) / 80)


def test_a_group_of_few_images_shows_nothing():
    right, group = np.ones(109, dtype=bool), np.repeat([0, 1], (100, 9))
    assert (worst_change(right, right, group).low, worst_change(right, right, group).high) == (-1, 1)
    assert worst_change(right[:-9], right[:-9], group[:-9]).low > -0.1


def heads(generator: np.random.Generator, rates_before, rates_after, images: int):
    """Which images two independent heads get right, by group."""
    group = np.repeat(np.arange(len(rates_before)), images)
    return *(generator.random(len(group)) < np.asarray(rates)[group] for rates in (rates_before, rates_after)), group


@pytest.mark.parametrize("images", [12, 40, 150])
@pytest.mark.parametrize("rates", [(0.6, 0.9, 0.9, 0.95), (0.8, 0.8, 0.8, 0.8)])
def test_a_head_of_equal_merit_is_rarely_called_better(images, rates):
    """And the plain comparison of the worst groups, its twin, calls about half of them so."""
    generator, called, plain = np.random.default_rng(0), 0, 0
    for _ in range(400):
        before, after, group = heads(generator, rates, rates, images)
        found = worst_change(before, after, group)
        called, plain = called + (found.low > 0), plain + (found.value > 0)
    assert called <= 0.05 * 400
    assert plain > 0.25 * 400


def test_a_head_that_is_better_is_found():
    generator = np.random.default_rng(0)
    found = [worst_change(*heads(generator, (0.5, 0.9, 0.9, 0.95), (0.8, 0.88, 0.9, 0.93), 60)) for _ in range(100)]
    assert sum(change.low > 0 for change in found) > 80
    assert all(change.low <= change.value <= change.high for change in found)
    covered = sum(change.low <= 0.3 <= change.high for change in found)
    assert covered >= 95
