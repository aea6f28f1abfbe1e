"""The audit's statistics against numbers worked out by hand, and against their null distributions."""

import numpy as np
import pytest
from scipy.stats import binomtest, norm

from wordsight.audits.statistics import Associations, after_selection, area_interval, difference, separation


def association(rates, values, stratum):
    return Associations(rates, stratum)(values)[0]


def column(*values: float) -> np.ndarray:
    return np.array(values, dtype=float)[:, None]


def test_separation_by_hand():
    # Pairs (here, elsewhere): 3>2, 3>0, 1<2, 1>0.
    assert separation(column(3, 1, 2, 0), np.array([True, True, False, False]))[0] == 0.75


def test_separation_counts_ties_half():
    area = separation(column(1, 1, 1, 0), np.array([True, False, False, False]))
    assert area[0] == pytest.approx((0.5 + 0.5 + 1) / 3)


def test_separation_needs_both_sides():
    with pytest.raises(ValueError, match="2 images here and 0 elsewhere came, wanted at least one of each"):
        separation(column(1, 2), np.array([True, True]))


def test_the_interval_of_a_separation_by_hand():
    # Ten images a side, all above: the low end solves (1 - t)^2 = 1.96^2 t (1 - t) (1 + 9 ((1 - t)/(2 - t) + t/(1 + t))) / 100.
    low, high = area_interval(np.array([1.0, 0.8]), 10, 10)
    t = low[0]
    spread = t * (1 - t) * (1 + 9 * ((1 - t) / (2 - t) + t / (1 + t))) / 100
    assert (1 - t) ** 2 == pytest.approx(1.959964**2 * spread, rel=1e-4)
    assert (round(t, 2), high[0]) == (0.8, 1.0)
    assert low[1] < 0.8 < high[1] < 1
    flipped = area_interval(np.array([0.0, 0.2]), 10, 10)
    np.testing.assert_allclose(flipped[1], 1 - low)


def test_intervals_of_separations_cover_with_few_images():
    """Where the normal interval around DeLong's error covered 0.71 to 0.88."""
    random = np.random.default_rng(0)
    here = np.arange(20) < 8
    for apart in (0.0, 1.5, 2.5):
        truth = norm.cdf(apart / 2**0.5)
        area = separation(random.normal(size=(20, 4000)) + apart * here[:, None], here)
        low, high = area_interval(area, 8, 12)
        assert 0.93 < ((low <= truth) & (truth <= high)).mean() < 0.995


def test_what_is_left_after_selection():
    # Far beyond the limit nothing changes; at the limit about half is left; never more than came.
    far = after_selection(9.0, 3.0)
    assert (far.value, far.low, far.high) == pytest.approx((9, 7.04, 10.96), abs=0.02)
    near = after_selection(4.01, 4.0)
    assert 1.6 < near.value < 2.6
    assert near.low < 0.3
    assert near.high < 4.8
    # Without a limit, and far above 0, it is the statistic itself.
    assert after_selection(5.0, -9.0).value == pytest.approx(5, abs=0.01)


def test_after_selection_the_mean_is_not_too_large():
    """Of statistics that pass the limit, the mean of what is left lies below the truth's mean or a little above; z lies far above."""
    random = np.random.default_rng(0)
    for truth in (2.5, 3.5, 5.0):
        z = truth + random.normal(size=4000)
        passed = z[z > 3.5][:300]
        left = np.mean([after_selection(float(one), 3.5).value for one in passed])
        assert left < min(truth + 0.4, passed.mean())


def test_association_by_hand():
    strata = np.array([0] * 5 + [1] * 5)
    rising = column(*range(5), *range(5))
    values = np.arange(10.0) ** 3
    assert association(rising, values, strata)[0] == pytest.approx((4 + 4) / 8**0.5)
    assert association(column(*range(5), 4, 3, 2, 1, 0), values, strata)[0] == pytest.approx(0)
    # Ranks 1 2 3 against 1 3 2: correlation 1/2, two degrees of freedom.
    assert association(column(1, 2, 3), np.array([0.0, 9, 5]), np.zeros(3, int))[0] == pytest.approx(0.5 * 2 / 2**0.5)


def test_association_looks_inside_strata_only():
    """A word that goes with the label, and values that go with it, are not associated unless they are within labels."""
    random = np.random.default_rng(1)
    label = np.arange(200) % 2
    rates = random.random((200, 3000)) + 5 * label[:, None]
    values = random.random(200) + 5 * label
    found = association(rates, values, label)
    assert abs(found.mean()) < 0.1
    assert found.std() == pytest.approx(1, abs=0.05)


def test_association_given_others_by_hand():
    # Centred ranks: values (-1.5, -.5, .5, 1.5), given (-.5, -1.5, 1.5, .5): slope 3/5, the rest is (-1.2, .4, -.4, 1.2). The
    # word's ranks (-1.5, .5, -.5, 1.5) are proportional to it: correlation 1, on 3 - 1 degrees of freedom.
    stratum = np.zeros(4, dtype=int)
    word, given = column(1, 3, 2, 4), column(2, 1, 4, 3)
    z, freedom = Associations(word, stratum)(np.array([1.0, 2, 3, 4]), given=lambda _: given)
    assert z[0] == pytest.approx(2 / 2**0.5)
    assert freedom[0] == 2


def test_association_given_what_does_not_vary_is_the_association():
    random = np.random.default_rng(0)
    rates, values, stratum = random.random((30, 5)), random.random(30), np.arange(30) % 2
    plain, freedom = Associations(rates, stratum)(values)
    given, same = Associations(rates, stratum)(values, given=lambda _: np.ones((30, 2)))
    np.testing.assert_allclose(given, plain)
    np.testing.assert_array_equal(same, freedom)


def test_association_given_the_score_itself_is_nothing():
    random = np.random.default_rng(0)
    rates, values = random.random((30, 5)), random.random(30)
    z, freedom = Associations(rates, np.zeros(30, dtype=int))(values, given=lambda _: values[:, None] ** 3)
    assert not z.any()
    assert not freedom.any()


def test_association_given_a_common_cause_is_chance():
    """Word and values both follow what is given: found without it, and no more often than chance with it."""
    random = np.random.default_rng(0)
    plain, given = [], []
    for _ in range(1500):
        cause = random.normal(size=40)
        rates, values = cause[:, None] + random.normal(size=(40, 1)), cause + random.normal(size=40)
        associations = Associations(rates, np.zeros(40, dtype=int))
        plain.append(associations(values)[0][0])
        given.append(associations(values, given=lambda _, cause=cause: cause[:, None])[0][0])
    assert np.mean(np.array(plain) > 1.645) > 0.8
    assert np.mean(np.array(given) > 1.645) < 0.065
    assert abs(np.mean(given)) < 0.2  # the ranks of a sum are not quite linear in its parts' ranks


def test_association_of_what_does_not_vary_is_nothing():
    assert association(column(1, 1, 1, 1), np.arange(4.0), np.zeros(4, int))[0] == 0
    assert association(column(1, 2), np.arange(2.0), np.zeros(2, int))[0] == 0


def test_difference_is_newcombes_for_one_stratum():
    """Newcombe 1998, table II, example (a), method 10: 56/70 - 48/80 = 0.2000, 0.0524 to 0.3339."""
    found = difference([(56, 70)], [(48, 80)])
    assert found is not None
    assert found.value == pytest.approx(0.2)
    assert (round(found.low, 4), round(found.high, 4)) == (0.0524, 0.3339)


def test_difference_over_strata_by_hand():
    single, double = difference([(56, 70)], [(48, 80)]), difference([(56, 70), (56, 70)], [(48, 80), (48, 80)])
    assert single is not None
    assert double is not None
    assert double.value == pytest.approx(single.value)
    assert single.value - single.low == pytest.approx((double.value - double.low) * 2**0.5)
    # Weights 10 * 10 / 20 = 5 and 5 * 20 / 25 = 4: (5 * 0.3 + 4 * 0.1) / 9.
    mixed = difference([(5, 10), (1, 5)], [(2, 10), (2, 20)])
    assert mixed is not None
    assert mixed.value == pytest.approx((5 * 0.3 + 4 * 0.1) / 9)


def test_strata_without_variation_count_nothing():
    rates = column(1, 2, 3, 4, 7, 7, 7, 7)
    strata = np.array([0] * 4 + [1] * 4)
    z, freedom = Associations(rates, strata)(np.arange(8.0))
    assert (z[0], freedom[0]) == (pytest.approx(3 / 3**0.5), 3)
    assert Associations(rates, strata)(np.arange(8.0), [1])[1][0] == 0


def test_difference_needs_enough_images_on_either_side():
    assert difference([(1, 1)], [(0, 99)], min_images=5) is None
    assert difference([(1, 5)], [(0, 99)], min_images=5) is not None
    assert difference([(1, 3), (1, 3)], [(0, 4), (0, 4)], min_images=6) is not None


def test_difference_needs_both_sides():
    assert difference([(0, 0)], [(3, 5)]) is None
    assert difference([(0, 0), (1, 2)], [(3, 5), (1, 2)]) == difference([(1, 2)], [(1, 2)])


@pytest.mark.parametrize(("hits1", "n1", "hits0", "n0"), [(0, 10, 0, 20), (10, 10, 0, 29), (5, 56, 0, 29), (3, 4, 70, 80)])
def test_difference_has_the_wilson_limits_of_scipy(hits1, n1, hits0, n0):
    """Newcombe's method 10, with each share's limits from scipy."""
    first, second = (binomtest(hits, n).proportion_ci(0.95, method="wilson") for hits, n in ((hits1, n1), (hits0, n0)))
    share1, share0 = hits1 / n1, hits0 / n0
    below = ((share1 - first.low) ** 2 + (second.high - share0) ** 2) ** 0.5
    above = ((first.high - share1) ** 2 + (share0 - second.low) ** 2) ** 0.5
    found = difference([(hits1, n1)], [(hits0, n0)])
    assert found is not None
    assert (found.low, found.high) == pytest.approx((share1 - share0 - below, share1 - share0 + above), abs=1e-12)
