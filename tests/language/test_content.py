"""Sentence -> content words: what is folded, what stays, what is dropped."""

import pytest

from wordsight.language.content import content_words, lemma


@pytest.mark.parametrize(
    ("sentence", "words"),
    [
        pytest.param("A DOG and a Dog", {"dog"}, id="lower case"),
        pytest.param("the dogs and ponies beside buses", {"dog", "pony", "bus"}, id="plural folded"),
        pytest.param("men, women and children, a man", {"men", "women", "children", "man"}, id="plurals kept apart"),
        pytest.param("a man looks at a grassy area", {"man", "look", "grassy", "area"}, id="words that are no boilerplate"),
        pytest.param("a mouse and mice on a bus", {"mouse", "bus"}, id="irregular plural, and a singular in -s"),
        pytest.param("a man wearing a hat is running", {"man", "wearing", "hat", "running"}, id="-ing stays"),
        pytest.param("It was there, with some of them, under the", set(), id="stop words"),
        pytest.param("he sees it and they were seen", set(), id="forms of stop words"),
        pytest.param("two dogs and three cats", {"two", "dog", "three", "cat"}, id="numbers"),
        pytest.param("skies over shelves with leaves", {"sky", "shelf", "leaf"}, id="nouns, not verbs or other nouns"),
        pytest.param("a man with a saw", {"man", "saw"}, id="a noun that is a verb's form, too"),
        pytest.param("in shorts, in the woods, with glasses", {"shorts", "woods", "glasses"}, id="things in the plural"),
        pytest.param("an older man at a broken, lit window", {"older", "man", "broken", "lit", "window"}, id="kept forms"),
        pytest.param("polar bears eat ice cream", {"polar bear", "eat", "ice cream"}, id="names of two words"),
        pytest.param("a chain saw, polar, bear", {"chain saw", "polar", "bear"}, id="no name across a comma"),
        pytest.param("a woman in a red top on top of a hill", {"woman", "red", "top", "hill"}, id="a garment and a place"),
        pytest.param("at the top of the stairs, on top", {"stair"}, id="places only"),
        pytest.param("A close-up photo of the background, images of a scene", set(), id="boilerplate and its plurals"),
        pytest.param("an ox on TV by us", set(), id="under three letters"),
        pytest.param("polar-bears and a polar-bear in a t-shirt", {"polar-bear", "t-shirt"}, id="hyphenated words are one"),
        pytest.param("-dog- --cat-- - horse", {"dog", "cat", "horse"}, id="loose hyphens are none"),
        pytest.param("dog dog dogs DOG dog.", {"dog"}, id="each once"),
        pytest.param("the man's hat", {"man", "hat"}, id="possessive"),
        pytest.param("dog,cat;bird/tree 3 boats 42", {"dog", "cat", "bird", "tree", "boat"}, id="punctuation and digits"),
    ],
)
def test_words_of_a_sentence(sentence: str, words: set[str]) -> None:
    assert content_words(sentence) == words


@pytest.mark.parametrize(
    "sentence", ["", " \t\n", "...!?", "12345", "\x00\x1b[31m", "женщина", "猫が座っている", "🐈🐈", "----"]
)
def test_a_sentence_without_english_letters_has_no_words(sentence: str) -> None:
    assert content_words(sentence) == frozenset()


@pytest.mark.parametrize(
    "sentence",
    [
        "<script>alert('cat')</script>",
        "'; DROP TABLE cats; --",
        "$\\frac{cat}{2}$",
        "../../etc/cat",
        "cat\x00\ud800",
        "猫cat猫",
    ],
)
def test_hostile_text_leaves_plain_letters_only(sentence: str) -> None:
    words = content_words(sentence)
    assert "cat" in words
    assert all(word.isascii() and word.replace("-", "").isalpha() for word in words)


def test_a_very_long_sentence_is_no_trouble() -> None:
    assert content_words("dog " * 100_000) == {"dog"}
    assert content_words("x" * 100_000) == {"x" * 100_000}


@pytest.mark.parametrize(("word", "form"), [("dogs", "dog"), ("running", "running"), ("has", "has"), ("qzxv", "qzxv")])
def test_lemma(word: str, form: str) -> None:
    assert lemma(word) == form


def test_accents_are_folded() -> None:
    assert content_words("A café in Ünder") == {"cafe", "under"} - {"under"}


def test_plurals_that_are_also_verbs_are_things() -> None:
    assert content_words("Red leaves and glasses") == {"red", "leaf", "glasses"}
