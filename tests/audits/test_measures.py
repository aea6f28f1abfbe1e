"""Which classes can be tested, by hand; and what the margin is."""

import numpy as np
from scipy.sparse import csc_array

from wordsight.audits.evidence import Evidence
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
