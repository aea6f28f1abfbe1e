"""Findings of one thing stand together; a word with evidence of its own leads."""

import numpy as np
from scipy.sparse import csc_array

from wordsight.audits.evidence import Evidence
from wordsight.audits.findings import ClassWord, Finding
from wordsight.audits.groups import alikeness, with_leaders
from wordsight.audits.statistics import Estimate

WORDS = ("player", "ball", "stand", "grass")


def evidence(effects: dict[str, float], *, seed: int, images: int = 300) -> Evidence:
    """Two classes; "ball" is another name of what "player" names, "stand" goes along with it loosely, "grass" not at all.

    ``effects``: what a word's rate adds to the margin of the first class.
    """
    random = np.random.default_rng(seed)
    label, game = np.arange(images) % 2, random.random(images) < 0.5
    stand = np.where(random.random(images) < 0.6, game, ~game)
    parts = [0.6 * there + random.normal(0.2, 0.12, images) for there in (game, game, stand)]
    rates = np.clip(np.stack([*parts, random.random(images)], 1), 0, 1)
    margin = np.where(label == 0, 1.0, -1.0) + random.normal(0, 1, images)
    margin += sum(size * rates[:, WORDS.index(word)] for word, size in effects.items())
    return Evidence(WORDS, csc_array(rates), label, np.stack([margin, -margin], 1), ("man", "child"))


def finding(word: str, label: str = "man") -> Finding:
    one = Estimate(0.2, 0.1, 0.3)
    return Finding(ClassWord(label, word, 9, one, 0.5, one, one, one, one, one, 4.0, "harmful"), one)


def leaders(about: Evidence, words: tuple[str, ...]) -> dict[str, str | None]:
    naming = np.zeros((2, len(WORDS)), dtype=bool)
    found = with_leaders(about, [finding(word) for word in words], naming)
    assert [one.about.word for one in found] == list(words)
    return {one.about.word: one.along_with for one in found}


def test_words_that_only_go_along_lead_no_card_of_their_own():
    """Only the first word moves the margin: others lead in at most one of twenty audits."""
    draws = [leaders(evidence({"player": 3.0}, seed=seed), WORDS) for seed in range(200)]
    assert sum(any(word != "player" and leader is None for word, leader in one.items()) for one in draws) <= 0.05 * 200 + 7
    assert draws[0]["ball"] == draws[0]["stand"] == "player"


def test_a_word_with_an_effect_of_its_own_leads():
    """The twin: "stand" moves the margin, too, and is found although it goes along with the first."""
    draws = [leaders(evidence({"player": 3.0, "stand": 2.0}, seed=seed), WORDS) for seed in range(20)]
    assert sum(one["stand"] is None for one in draws) >= 18


def test_two_names_of_one_thing_stay_together():
    draws = [leaders(evidence({"player": 2.0, "ball": 2.0}, seed=seed), WORDS) for seed in range(20)]
    assert all(one["ball"] == "player" for one in draws)


def test_other_words_go_along_with_the_leader_that_they_are_most_like():
    found = leaders(evidence({"player": 3.0, "grass": 4.0}, seed=0), ("grass", "player", "ball"))
    assert found == {"grass": None, "player": None, "ball": "player"}


def two_causes(seed: int) -> Evidence:
    """The margin moves with "ball" and with "grass", alone; "player" is a blend of both."""
    random = np.random.default_rng(seed)
    label, causes = np.arange(400) % 2, random.random((400, 2))
    both = np.clip(causes.mean(1) + random.normal(0, 0.3, 400), 0, 1)
    rates = np.stack([both, causes[:, 0], random.random(400), causes[:, 1]], 1)
    margin = np.where(label == 0, 1.0, -1.0) + 2 * causes.sum(1) + random.normal(0, 0.7, 400)
    return Evidence(WORDS, csc_array(rates), label, np.stack([margin, -margin], 1), ("man", "child"))


def test_a_word_that_two_others_explain_together_does_not_lead():
    """It comes first and leads until both others do."""
    draws = [leaders(two_causes(seed), ("player", "ball", "grass")) for seed in range(40)]
    assert sum(one["ball"] is None and one["grass"] is None for one in draws) >= 36
    assert sum(one["player"] is None for one in draws) <= 0.05 * 40 + 4


def test_each_class_has_leaders_of_its_own():
    naming = np.zeros((2, len(WORDS)), dtype=bool)
    found = with_leaders(evidence({"player": 3.0}, seed=0), [finding("ball"), finding("player", "child")], naming)
    assert [one.along_with for one in found] == [None, None]


def test_alikeness_by_hand():
    """Ranks within labels: 1 2 3 against 1 3 2 (correlation 0.5) and 1 2 against 2 1 (-1), a constant against all (0)."""
    rates = np.array([[0.1, 0.1, 0.5], [0.2, 0.3, 0.5], [0.3, 0.2, 0.5], [0.8, 0.9, 0.5], [0.9, 0.8, 0.5]])
    found = alikeness(rates, np.array([0, 0, 0, 1, 1]))
    # Centred ranks over their number: -1/3, 0, 1/3 with -1/3, 1/3, 0 give 1/9; -1/4, 1/4 with 1/4, -1/4 give -1/8; lengths 2/9 + 1/8.
    hand = (1 / 9 - 1 / 8) / (2 / 9 + 1 / 8)
    np.testing.assert_allclose(found, [[1, hand, 0], [hand, 1, 0], [0, 0, 1]])
