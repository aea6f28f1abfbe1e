"""The share of a logit that words explain: by hand, against refitting, and with something planted that words do not see."""

import numpy as np
import pytest
from scipy.sparse import csc_array

from wordsight.audits.explained import Explained, _directions, _shares, explained, little_explained
from wordsight.audits.statistics import Estimate


def share_of(rates, logit) -> Estimate:
    (found,) = explained(csc_array(np.asarray(rates)), np.asarray(logit, float)[:, None], ["a"], np.array([20]))
    return found.share


def test_the_share_by_hand():
    # One word, y = x at 0, 1, 2, hardly a penalty: the others predict each image without error.
    assert _shares(np.array([[0.0], [1.0], [2.0]]), np.array([[0.0], [1.0], [2.0]])) == pytest.approx(1, abs=1e-4)
    # y = 0, 3, 0 has slope 0, and the largest penalty, 10, leaves 1/11 of a slope. Leverages 1/3 + 1/22, 1/3, 1/3 + 1/22;
    # errors -1 / (2/3 - 1/22), 3 and the first again; those of the mean of the others -1.5, 3, -1.5.
    error = 1 / (2 / 3 - 1 / 22)
    found = _shares(np.array([[0.0], [1.0], [2.0]]), np.array([[0.0], [3.0], [0.0]]))
    assert found == pytest.approx(1 - (2 * error**2 + 9) / 13.5)


def test_the_interval_is_that_of_the_jackknife_over_twenty_groups():
    random = np.random.default_rng(0)
    x, y = random.random((60, 3)), random.random(60)
    without = [share_of(np.delete(x, [i, i + 20, i + 40], 0), np.delete(y, [i, i + 20, i + 40])).value for i in range(20)]
    error = np.sqrt(19 / 20 * ((np.array(without) - np.mean(without)) ** 2).sum())
    found = share_of(x, y)
    assert (found.low, found.high) == pytest.approx((found.value - 2.0930241 * error, found.value + 2.0930241 * error))


def test_every_image_is_predicted_from_the_others():
    random = np.random.default_rng(0)
    x, y = random.normal(size=(12, 4)), random.normal(size=(12, 2))
    total = (np.array([y[i] - np.delete(y, i, 0).mean(0) for i in range(12)]) ** 2).sum(0)
    tried = []
    for penalty in (10.0 ** (k / 2) for k in range(-12, 3)):
        centred = x - x.mean(0)
        ridge = penalty * (centred**2).sum()
        errors = []
        for i in range(12):
            # The penalty is that of all images; the intercept is not penalised.
            a = np.delete(np.column_stack([np.ones(12), x]), i, axis=0)
            b = np.linalg.solve(a.T @ a + ridge * np.diag([0, 1, 1, 1, 1]), a.T @ np.delete(y, i, 0))
            errors.append(y[i] - b[0] - x[i] @ b[1:])
        tried.append((np.array(errors) ** 2).sum(0))
    expected = 1 - np.min(tried, axis=0) / total
    assert _shares(x, y) == pytest.approx(expected)


@pytest.mark.slow
@pytest.mark.parametrize("words", [3, 60])
def test_the_interval_covers_what_more_images_would_show(words):
    """With many words for the images, a fit to a few hundred explains less than one to very many would; the interval is about
    fits to as many.
    """
    weights = np.zeros(words)
    weights[:2] = 1.0, 2.0

    def draw(seed: int) -> Estimate:
        random = np.random.default_rng(seed)
        x = random.random((200, words))
        return share_of(x, x @ weights + random.normal(size=200))

    found = [draw(seed) for seed in range(200)]
    truth = np.mean([share.value for share in found])
    if words == 3:
        assert truth == pytest.approx(5 / 12 / (5 / 12 + 1), abs=0.02)  # the words' variance, 5/12, of it and that of the noise
    assert 0.9 <= np.mean([share.low <= truth <= share.high for share in found]) <= 0.99


def classes(*, stamped: bool):
    """Four words that name four classes, and a fifth class that differs from the fourth in something without a word."""
    random = np.random.default_rng(1)
    true = np.repeat(np.arange(4), 40)
    rates = np.clip(np.eye(4)[true] * 0.6 + 0.1 * random.random((160, 4)), 0, 1)
    stamp = np.tile([0.0, 1.0], 80) * stamped
    logits = [(true == i) * (1 - stamp * (i == 3)) for i in range(4)] + [(true == 3) * stamp] * stamped
    return csc_array(rates), np.stack(logits, 1) + 0.1 * random.normal(size=(160, 4 + stamped))


def test_a_class_without_a_word_of_its_own_is_remarkable():
    predicted = np.array([40, 40, 40, 20, 20])
    labels = ["a", "b", "c", "d", "stamped d"]
    found = {share.label: share for share in explained(*classes(stamped=True), labels, predicted)}
    assert [label for label, share in found.items() if share.remarkable] == ["d", "stamped d"]
    assert found["stamped d"].share.high < 0.7 < 0.9 < found["a"].share.low
    assert not any(share.remarkable for share in explained(*classes(stamped=False), labels[:4], predicted[:4]))
    few = explained(*classes(stamped=True), labels, np.array([40, 40, 40, 9, 20]))
    assert [share.label for share in few if share.remarkable] == ["stamped d"]


def test_two_classes_have_nothing_to_be_compared_with():
    rates, logits = classes(stamped=True)
    found = explained(rates, logits[:, [0, 4]], ["a", "stamped d"], np.array([40, 20]))
    assert [share.remarkable for share in found] == [False, False]


def test_directions_are_those_of_a_singular_value_decomposition():
    random = np.random.default_rng(0)
    for images, words in ((40, 6), (6, 40), (8, 8)):
        x = random.normal(size=(images, words))
        x -= x.mean(0)
        u, squares = _directions(x)
        left, values, _ = np.linalg.svd(x, full_matrices=False)
        real = values > 1e-9
        assert np.sort(squares) == pytest.approx(np.sort(values[real] ** 2))
        assert u @ u.T == pytest.approx(left[:, real] @ left[:, real].T, abs=1e-9)


def test_of_many_images_and_words_those_are_taken_that_the_limits_say(monkeypatch):
    random = np.random.default_rng(0)
    rates = random.random((100, 6)) * np.array([1.0, 0.01, 1.0, 0.02, 1.0, 0.0])
    logits = rates @ random.random((6, 3)) + random.random((100, 3))
    monkeypatch.setattr("wordsight.audits.explained.MAX_IMAGES", 34)
    monkeypatch.setattr("wordsight.audits.explained.MAX_WORDS", 3)
    found = explained(csc_array(rates), logits, "abc", np.full(3, 33))
    monkeypatch.undo()
    rows = np.arange(0, 100, 3)
    assert found == explained(csc_array(rates[rows][:, [0, 2, 4]]), logits[rows], "abc", np.full(3, 33))


def test_nothing_to_explain():
    several = np.array([20, 20, 20])
    assert explained(csc_array((19, 1)), np.zeros((19, 3)), "abc", several) == []
    assert explained(csc_array((25, 0)), np.zeros((25, 3)), "abc", several) == []
    rates, logits = classes(stamped=False)
    logits[:, 1] = 3.0
    logits[:, 2] = -np.inf
    assert [share.label for share in explained(rates, logits, "abcd", np.full(4, 20))] == ["a", "d"]
    assert share_of(np.full((25, 2), np.float32(0.1)), np.arange(25.0)).value == pytest.approx(0)


def test_little_explained_on_the_whole_has_a_sentence():
    shares = [Explained(label, Estimate(value, 0, 1), False) for label, value in (("a", 0.2), ("b", 0.342), ("c", 0.9))]
    assert little_explained(shares) == (
        "The words explain only 34% of the differences in the logit of the median class: much of what decides has no word "
        "here, so the absence of findings means little."
    )
    assert little_explained(shares[2:]) == little_explained([]) == ""
