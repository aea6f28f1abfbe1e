"""The words that are a class itself."""

import pytest

from wordsight.audits.kinds import class_itself, is_own


@pytest.mark.parametrize(
    ("label", "own", "other"),
    [
        ("dog", ["dog", "puppy", "terrier", "animal"], ["water", "ball", "cat", "brown"]),
        ("Irish setter", ["setter", "dog", "animal"], ["grass", "poodle"]),
        ("man", ["man", "men", "person"], ["water", "dog"]),
        ("person", ["man", "woman", "women", "boy", "player"], ["ball", "puppy", "street"]),
        ("waterbird", ["bird", "duck", "animal"], ["water", "lake"]),
        ("landbird", ["bird", "animal"], ["land", "forest"]),
        ("garbage_truck", ["truck", "vehicle", "garbage"], ["street", "man"]),
        ("n03028079", ["church", "building"], ["sky", "tree"]),
        ("crane (n02012849)", ["crane", "bird"], ["water"]),
        ("crane (n03126707)", ["crane"], ["bird"]),
        ("qzxv 3", ["qzxv"], ["water"]),
    ],
)
def test_own_words(label: str, own: list[str], other: list[str]) -> None:
    words = class_itself(label)
    assert [word for word in own if not is_own(word, words)] == []
    assert [word for word in other if is_own(word, words)] == []


def test_a_label_without_letters_has_no_words():
    assert class_itself("17") == frozenset()
