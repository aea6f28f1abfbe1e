"""Which classes can be tested, by hand; and what the margin is."""

from functools import partial

import numpy as np
from scipy.sparse import csc_array

from wordsight.audits.evidence import Evidence, clarity, held_fixed, largest_of_others
from wordsight.audits.measures import judged_classes, measure
from wordsight.audits.statistics import Associations


def evidence(label, predicted) -> Evidence:
    rates = np.random.default_rng(0).random((len(label), 3))
    return Evidence(("a", "b", "c"), csc_array(rates), np.array(label), np.eye(4)[predicted], ("w", "x", "y", "z"))


def test_classes_need_images_predicted_as_them_and_true_images():
    # Class 0: two of its own, three predicted. Class 1: one predicted. Class 2: four predicted, none of its own. Class 3: none.
    found = evidence([0, 0, 1, 1, 1, 1, 1, 1], [0, 0, 0, 1, 2, 2, 2, 2])
    assert judged_classes(found, 1) == [0, 1]
    assert judged_classes(found, 2) == [0]
    assert judged_classes(found, 4) == []
    assert judged_classes(evidence([0] * 8, [0, 0, 0, 1, 2, 2, 2, 2]), 1) == []  # all images are of one class


def test_without_words_that_name_classes_the_sides_are_associations_of_the_margin():
    random = np.random.default_rng(0)
    label = np.arange(60) % 2
    rates, logits = random.random((60, 4)), random.normal(size=(60, 2))
    about = Evidence(tuple("abcd"), csc_array(rates), label, logits, ("x", "y"))
    (found,) = measure(about, np.arange(4), [0], np.zeros((2, 4), dtype=bool))
    margin = logits[:, 0] - logits[:, 1]  # of two classes the log-sum-exp of the others is the other logit
    associations = Associations(rates, label)
    sides = [associations(margin, [0])[0], associations(margin, [1])[0]]
    np.testing.assert_allclose(found.sides, sides)
    np.testing.assert_allclose(found.strength, sum(sides) / 2**0.5)


def test_all_classes_at_once_are_each_class_alone():
    """Also a class that nothing is predicted as, one that is in nearly every sentence, and one of two images."""
    random = np.random.default_rng(3)
    label = np.concatenate([np.arange(90) % 4, [4, 4]])
    rates = random.random((92, 7)) * (random.random((92, 7)) < 0.7)
    rates[:, :4] += np.eye(5)[label][:, :4] * 0.3
    rates[label == 3, 3] = 0.97
    rates = rates.clip(0, 1)
    logits = random.normal(size=(92, 5))
    logits[:, 2] = -9.0  # class 2 is never predicted
    naming = np.eye(5, 7, dtype=bool)
    about = Evidence(tuple("abcdefg"), csc_array(rates), label, logits, tuple("uvwxy"))
    classes = judged_classes(about, 5)
    assert classes == [0, 1, 3, 4]
    margins, clear = logits - largest_of_others(logits), clarity(about, naming)
    associations = Associations(csc_array(rates), label)
    for found in measure(about, np.arange(7), classes, naming):
        assert found.unclear == {3}
        for side, members in zip(found.sides, ({found.c}, {0, 1, 2, 3, 4} - {found.c}), strict=True):
            given = partial(held_fixed, clear, found.c)
            alone, _ = associations(margins[:, found.c], members - {3}, given=given)
            np.testing.assert_allclose(side, alone, atol=1e-12)
