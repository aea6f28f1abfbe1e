"""Gaps between shares of errors, by hand."""

import numpy as np
import pytest

from wordsight.audits.severity import gaps, shrunk, worse_gap
from wordsight.audits.statistics import Estimate, after_selection, difference


def test_gaps_by_hand():
    # Class 0: missed 1 of 4 with the word, 3 of 4 without it. Class 1: mistaken 2 of 4 with it, 1 of 4 without it. Class 2 has no
    # image without the word and counts nothing.
    label = np.array([0] * 8 + [1] * 8 + [2] * 3)
    present = np.array(([True] * 4 + [False] * 4) * 2 + [True] * 3)
    predicted = np.array([0, 1, 1, 1, 0, 0, 0, 1, 1, 1, 0, 0, 1, 0, 0, 0, 1, 1, 1], dtype=bool)
    missed, mistaken = gaps(present, predicted, label, 0)
    assert missed == difference([(3, 4)], [(1, 4)])
    assert mistaken == difference([(2, 4), (3, 3)], [(1, 4), (0, 0)])
    assert missed is not None
    assert mistaken is not None
    assert (missed.value, mistaken.value) == (pytest.approx(0.5), pytest.approx(0.25))
    assert worse_gap((missed, mistaken)) == missed
    assert gaps(present, predicted, label, 0, min_images=5) == (None, None)


def test_the_severity_is_the_gap_that_is_known():
    gap = Estimate(-0.1, -0.2, 0.0)
    assert worse_gap((None, gap)) == worse_gap((gap, None)) == gap
    assert worse_gap((None, None)) is None


def test_a_gap_that_was_hardly_found_is_shrunk_by_hand():
    # A standard error of 0.05. Far beyond the limit it stays; at the limit it goes down as many standard errors as z does.
    gap = Estimate(0.3, 0.3 - 1.959964 * 0.05, 0.3 + 1.959964 * 0.05)
    far, near = shrunk([gap], 9.0, 3.0), shrunk([gap], 4.01, 4.0)
    assert (far.value, far.low, far.high) == pytest.approx((0.3, gap.low, gap.high), abs=2e-3)
    assert near.value == pytest.approx(0.3 - (4.01 - after_selection(4.01, 4.0).value) * 0.05)
    assert near.low < near.value < near.high < gap.high
    assert shrunk([Estimate(0.05, -0.15, 0.25)], 4.01, 4.0).value == 0


def test_the_larger_of_two_gaps_is_shrunk_by_what_it_is_too_large_on_average():
    # Two equal gaps with standard errors 0.05: the larger is 0.0707 x 0.3989 = 0.0282 too large; far apart it is not.
    gap, low = (Estimate(v, v - 1.959964 * 0.05, v + 1.959964 * 0.05) for v in (0.3, -0.1))
    assert shrunk([gap, gap], 9.0, 3.0).value == pytest.approx(0.3 - 0.0282, abs=1e-3)
    assert shrunk([low, gap], 9.0, 3.0).value == pytest.approx(0.3, abs=1e-3)
