import pytest

from wordsight.words.agreement import agreement


def test_agreement_by_hand():
    captions = {"a.jpg": ["A dog runs.", "A dog on grass.", "The dog and a ball."], "b.jpg": ["Snow."], "c.jpg": [""]}
    found = agreement({"a.jpg": ["dog", "cat", "grass"], "b.jpg": ["sun"], "c.jpg": ["dog"], "d.jpg": ["dog"]}, captions)
    # a: used dog, run, grass, ball; hits at 1 and 3 of 3: P@10 0.2, AP@20 (1 + 2/3) / 4; dog in all three is found. b: nothing.
    assert found.precision_at_10 == pytest.approx(0.1)
    assert found.average_precision_at_20 == pytest.approx((5 / 3) / 4 / 2)
    assert found.majority_recall_at_10 == pytest.approx(1.0)
    assert found.images == 2


def test_nothing_to_compare():
    assert vars(agreement({}, {})) == {
        "precision_at_10": 0.0,
        "average_precision_at_20": 0.0,
        "majority_recall_at_10": 0.0,
        "images": 0,
    }
