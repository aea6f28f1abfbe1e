"""What could have been found, by hand and against the test itself."""

import numpy as np
import pytest
from scipy.stats import norm

from wordsight.audits.power import gap_of_errors, gap_of_margins, images_wanted, smallest_gap, unseen_gap
from wordsight.audits.statistics import Associations, difference


def test_the_gap_of_margins_by_hand():
    # 50 with and 50 without: p (1 - p) = 1/4, so 100 / 4 x 3/4 = 18.75, with ranks 17.9; limit 2.4865: moved by m with
    # m^2 (17.9 - 2.4865^2 / 4) = 2.4865^2.
    moved = 2.4865 / (0.955 * 18.75 - 2.4865**2 / 4) ** 0.5
    assert gap_of_margins([(50, 50)], 0.5, 0.05) == pytest.approx(norm.cdf(moved) - 0.5, abs=1e-3)
    assert gap_of_margins([(25, 25), (25, 25), (9, 0)], 0.5, 0.05) == pytest.approx(norm.cdf(moved) - 0.5, abs=1e-3)
    assert gap_of_margins([(9, 0)], 0.1, 0.05) == 0.9
    assert gap_of_margins([(3, 3)], 0.1, 0.001) == 0.9


def test_a_gap_of_margins_of_this_size_is_found_four_times_of_five():
    random, found = np.random.default_rng(0), []
    word = np.arange(80) < 30
    gap = gap_of_margins([(30, 50)], 0.2, 0.001)
    moved = norm.ppf(0.2 + gap) - norm.ppf(0.2)
    rates = (word + 0.01 * random.random(80))[:, None]
    associations = Associations(rates, np.zeros(80, dtype=int))
    for _ in range(1500):
        z, _ = associations(moved * word + random.normal(size=80))
        found.append(norm.sf(z[0]) <= 0.001)
    assert 0.78 < np.mean(found) < 0.92


def test_the_gap_of_errors_by_hand():
    # 10 of 10 right on the better side, whose upper limit is 3.8416 / 13.8416 = 0.2775. Of 5 on the worse side 1 wrong: Wilson's lower
    # limit is 0.0362, and 0.2 < hypot(0.1638, 0.2775); 2 wrong: 0.1176, and 0.4 > hypot(0.2824, 0.2775).
    found = [difference([(wrong, 5)], [(0, 10)]) for wrong in (1, 2)]
    assert [interval is not None and interval.low > 0 for interval in found] == [False, True]
    # So the share that comes out, 0.8416 standard errors below its mean, lies between.
    gap = gap_of_errors([(10, 5)], 0.0)
    assert 1 / 5 < gap - 0.8416 * (gap * (1 - gap) / 5) ** 0.5 < 2 / 5
    # Two classes of the same kind count as one of twice the size; one without images on a side counts nothing.
    assert gap_of_errors([(10, 5), (10, 5), (9, 0)], 0.1) == pytest.approx(gap_of_errors([(20, 10)], 0.1))
    assert gap_of_errors([(9, 0)], 0.1) == 0.9
    assert gap_of_errors([(9, 1)], 0.6) == pytest.approx(0.4)


@pytest.mark.parametrize(("better", "worse", "errors"), [(100, 100, 0.3), (24, 6, 0.01), (100, 12, 0.1)])
def test_a_gap_of_errors_of_this_size_is_clear_of_zero_four_times_of_five(better, worse, errors):
    random, gap = np.random.default_rng(0), gap_of_errors([(better, worse)], errors)
    drawn = [(int(random.binomial(worse, errors + gap)), int(random.binomial(better, errors))) for _ in range(1000)]
    clear = [(of := difference([(wrong, worse)], [(few, better)])) is not None and of.low > 0 for wrong, few in drawn]
    assert 0.7 < np.mean(clear) < 0.87


def test_the_smallest_gap_is_seen_both_ways():
    """Where errors are few, the margins' strict test wants the larger gap; where every second image is wrong, the errors may."""
    for errors, larger in ((0.05, gap_of_margins([(50, 50)], 0.05, 0.001)), (0.5, gap_of_errors([(50, 50)], 0.5))):
        level = 0.001 if errors == 0.05 else 0.05
        assert smallest_gap([(50, 50)], errors, level) == larger
        assert larger > min(gap_of_margins([(50, 50)], errors, level), gap_of_errors([(50, 50)], errors))


def test_the_unseen_gap_takes_the_side_that_sees_more():
    label, present = np.arange(200) % 2, np.arange(200) < 100
    right = label == 0
    assert unseen_gap(present, right, label, 0, level=0.01, min_images=5) == smallest_gap([(50, 50)], 0.5 / 51, 0.01)
    # Three images of class 0 without the word: only the other class's images can show a gap; without it, nothing can.
    present[np.flatnonzero(label == 0)[:-3]] = True
    assert unseen_gap(present, right, label, 0, level=0.01, min_images=5) == smallest_gap([(50, 50)], 0.5 / 51, 0.01)
    assert unseen_gap(present, right, label, 0, level=0.01, min_images=5, unclear=frozenset({1})) == 1


def test_the_images_that_would_settle_it():
    wanted = images_wanted(3, 60, 0.05, 1e-4, 0.3)
    assert wanted is not None
    assert smallest_gap([(60, wanted)], 0.05, 1e-4) <= 0.3 < smallest_gap([(60, wanted - 1)], 0.05, 1e-4)
    assert images_wanted(3, 60, 0.05, 1e-4, 0.3, most=10) is None
