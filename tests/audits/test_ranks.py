"""Ranks of sparse rates against SciPy's of the same rates as an ordinary array."""

import numpy as np
from scipy.sparse import csc_array
from scipy.stats import mannwhitneyu, rankdata

from wordsight.audits.ranks import Ranks
from wordsight.audits.statistics import Associations, separation


def rates(images: int = 300, words: int = 600) -> np.ndarray:
    """From none to all images of a word have a rate, many of them the same one; one word's rate is the same in all images."""
    random = np.random.default_rng(0)
    drawn = np.round(random.random((images, words)), 2).astype(np.float32)
    drawn[random.random((images, words)) > np.linspace(0, 1.2, words)] = 0
    drawn[:, -1] = 0.5
    return drawn


def test_ranks_are_those_of_an_ordinary_array():
    drawn = rates()
    ranks, wanted = Ranks.of(csc_array(drawn)), rankdata(drawn, axis=0)
    np.testing.assert_array_equal(ranks.above.toarray() + ranks.none, wanted)
    np.testing.assert_allclose(ranks.squares, ((wanted - wanted.mean(0)) ** 2).sum(0), rtol=1e-12)
    assert (ranks.squares[[0, -1]] == 0).all()
    below = np.array([[-1.0], [0.0], [2.0], [-1.0]])
    np.testing.assert_array_equal((lambda r: r.above.toarray() + r.none)(Ranks.of(csc_array(below))), rankdata(below, axis=0))


def test_ranks_of_so_many_images_that_32_bits_do_not_hold_their_square():
    drawn = np.zeros((120_000, 4), np.float32)
    drawn[:5000, 0], drawn[:, 1], drawn[::2, 2] = np.arange(5000) % 7 + 1, 0.5, 1.0
    ranks, wanted = Ranks.of(csc_array(drawn)), rankdata(drawn, axis=0)
    np.testing.assert_allclose(ranks.squares, ((wanted - wanted.mean(0)) ** 2).sum(0), rtol=1e-12)
    assert (ranks.squares[[1, 3]] == 0).all()


def test_separation_and_its_p_value_are_those_of_an_ordinary_array():
    drawn, here = rates(), np.arange(300) % 3 == 0
    ranks = Ranks.of(csc_array(drawn))
    area = separation(csc_array(drawn), here)
    np.testing.assert_array_equal(area, separation(drawn, here))
    varies = ranks.squares > 0
    exact = drawn[:, varies].astype(np.float64)  # of 32 bits SciPy's p-value has errors of 1e-6
    wanted = mannwhitneyu(exact[here], exact[~here], axis=0, alternative="greater", method="asymptotic")
    np.testing.assert_allclose(area[varies] * 100 * 200, wanted.statistic, rtol=1e-12)
    np.testing.assert_allclose(ranks.p_higher(here, area)[varies], wanted.pvalue, rtol=1e-12)
    assert (ranks.p_higher(here, area)[~varies] == 1).all()


def test_associations_are_those_of_centred_ranks():
    drawn, random = rates(), np.random.default_rng(1)
    label, values = np.arange(300) % 4, random.random(300)
    found, freedom = Associations(csc_array(drawn), label)(values)
    total, degrees = np.zeros(600), np.zeros(600)
    for number in range(4):
        own, word = (rankdata(x[label == number], axis=0) for x in (values, drawn))
        own, word = own - own.mean(), word - word.mean(0)
        length = np.sqrt((word**2).sum(0))
        varies = length > 0
        total[varies] += (own / np.sqrt((own**2).sum())) @ (word[:, varies] / length[varies]) * 74
        degrees += varies * 74
    np.testing.assert_array_equal(freedom, degrees)
    np.testing.assert_allclose(found[degrees > 0], (total / np.sqrt(np.maximum(degrees, 1)))[degrees > 0], atol=1e-12)
