"""The share of a score that words explain: by hand, against refitting, and with something planted that words do not see."""

import numpy as np
import pytest

from wordsight.audit.explained import _PENALTIES, _Ridge, explained


def test_the_share_by_hand():
    # One word, y = x at 0, 1, 2, hardly a penalty. The others predict each image without error; it alone is off by 1.5, 0, 1.5
    # from the mean of the others.
    found = _Ridge(np.array([[0.0], [1.0], [2.0]])).share(np.array([0.0, 1.0, 2.0]))
    assert found.value == pytest.approx(1, abs=1e-4)
    # y = 0, 3, 0 has slope 0, and the largest penalty, 10, leaves 1/11 of a slope. Leverages 1/3 + 1/22, 1/3, 1/3 + 1/22;
    # errors -1 / (2/3 - 1/22), 3 and the first again; those of the mean of the others -1.5, 3, -1.5.
    found = _Ridge(np.array([[0.0], [1.0], [2.0]])).share(np.array([0.0, 3.0, 0.0]))
    error = 1 / (2 / 3 - 1 / 22)
    assert found.value == pytest.approx(1 - (2 * error**2 + 9) / 13.5)
    # The delta method: the root of the summed squares of error squared less 1.0502 times the mean's, over 13.5.
    spread = np.sqrt(2 * (error**2 - (1 - found.value) * 2.25) ** 2 + (9 - (1 - found.value) * 9) ** 2) / 13.5
    assert found.low == pytest.approx(found.value - 1.959964 * spread)


def test_every_image_is_predicted_from_the_others():
    random = np.random.default_rng(0)
    x, y = random.normal(size=(12, 4)), random.normal(size=12)
    penalty = _PENALTIES[6]
    centred = x - x.mean(0)
    ridge = penalty * (centred**2).sum()
    expected = []
    for i in range(12):
        # The penalty is that of all images; the intercept is not penalised.
        a = np.delete(np.column_stack([np.ones(12), x]), i, axis=0)
        b = np.linalg.solve(a.T @ a + ridge * np.diag([0, 1, 1, 1, 1]), a.T @ np.delete(y, i))
        expected.append(y[i] - b[0] - x[i] @ b[1:])
    assert _Ridge(x)._errors(y, penalty) == pytest.approx(np.array(expected))


def test_the_interval_covers_what_many_images_show():
    def draw(seed: int, images: int):
        random = np.random.default_rng(seed)
        x = random.random((images, 3))
        return _Ridge(x).share(x @ [1.0, 2.0, 0.0] + random.normal(size=images))

    truth = draw(0, 100_000).value
    assert truth == pytest.approx(5 / 12 / (5 / 12 + 1), abs=0.01)  # the words' variance, 5 / 12, of it and that of the noise
    hits = [one.low <= truth <= one.high for one in (draw(seed, 300) for seed in range(1, 301))]
    assert 0.91 <= np.mean(hits) <= 0.99


def classes(stamped: bool):
    """Four words that say four classes, and a fifth class that differs from the fourth in what no word says."""
    random = np.random.default_rng(1)
    true = np.repeat(np.arange(4), 40)
    rates = np.clip(np.eye(4)[true] * 0.6 + 0.1 * random.random((160, 4)), 0, 1)
    stamp = np.tile([0.0, 1.0], 80) * stamped
    scores = {name: (true == i) * (1 - stamp * (i == 3)) + 0.1 * random.normal(size=160) for i, name in enumerate("abcd")}
    return rates, scores | ({"stamped d": (true == 3) * stamp + 0.1 * random.normal(size=160)} if stamped else {})


def test_what_no_word_tells_apart_is_remarkable():
    found = {one.label: one for one in explained(*classes(stamped=True))}
    assert [label for label, one in found.items() if one.remarkable] == ["d", "stamped d"]
    assert found["stamped d"].share.high < 0.7 < 0.9 < found["a"].share.low
    assert not any(one.remarkable for one in explained(*classes(stamped=False)))


def test_two_classes_have_nothing_to_be_compared_with():
    rates, scores = classes(stamped=True)
    assert [one.remarkable for one in explained(rates, {"a": scores["a"], "stamped d": scores["stamped d"]})] == [False, False]


def test_nothing_to_explain():
    assert explained(np.zeros((2, 1)), {"a": np.zeros(2)}) == []
    assert explained(np.zeros((5, 0)), {"a": np.zeros(5)}) == []
    (same,) = explained(np.eye(5), {"a": np.full(5, 3.0)})
    assert (same.share.value, same.remarkable) == (0, False)
    (silent,) = explained(np.zeros((5, 2)), {"a": np.arange(5.0)})
    assert silent.share.value == pytest.approx(0)
