"""What could have been found, by hand and against the test itself."""

import numpy as np
import pytest
from scipy.stats import norm

from wordsight.audits.power import images_wanted, smallest_gap
from wordsight.audits.statistics import Associations


def test_the_smallest_gap_by_hand():
    # 50 with and 50 without: p (1 - p) = 1/4, so 100 / 4 x 3/4 = 18.75, with ranks 17.9; limit 2.4865: moved by m with
    # m^2 (17.9 - 2.4865^2 / 4) = 2.4865^2.
    moved = 2.4865 / (0.955 * 18.75 - 2.4865**2 / 4) ** 0.5
    assert smallest_gap([(50, 50)], 0.5, 0.05) == pytest.approx(norm.cdf(moved) - 0.5, abs=1e-3)
    assert smallest_gap([(25, 25), (25, 25), (9, 0)], 0.5, 0.05) == pytest.approx(norm.cdf(moved) - 0.5, abs=1e-3)
    assert smallest_gap([(9, 0)], 0.1, 0.05) == 0.9
    assert smallest_gap([(3, 3)], 0.1, 0.001) == 0.9


def test_a_gap_of_this_size_is_found_four_times_of_five():
    random, found = np.random.default_rng(0), []
    word = np.arange(80) < 30
    gap = smallest_gap([(30, 50)], 0.2, 0.001)
    moved = norm.ppf(0.2 + gap) - norm.ppf(0.2)
    rates = (word + 0.01 * random.random(80))[:, None]
    associations = Associations(rates, np.zeros(80, dtype=int))
    for _ in range(1500):
        z, _ = associations(moved * word + random.normal(size=80))
        found.append(norm.sf(z[0]) <= 0.001)
    assert 0.78 < np.mean(found) < 0.92


def test_the_images_that_would_settle_it():
    wanted = images_wanted(3, 60, 0.05, 1e-4, 0.3)
    assert wanted is not None
    assert smallest_gap([(wanted, 60)], 0.05, 1e-4) <= 0.3 < smallest_gap([(wanted - 1, 60)], 0.05, 1e-4)
    assert images_wanted(3, 60, 0.05, 1e-4, 0.3, most=10) is None
