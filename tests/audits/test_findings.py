"""Planted shortcuts are found, honest classifiers are left alone, the class's own words are set apart."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.sparse import csc_array

from wordsight.audits.evidence import Evidence, largest_of_others, presence_level
from wordsight.audits.findings import Limits, class_words, findings, naming_of, unclear_classes
from wordsight.audits.reliances import Use
from wordsight.audits.statistics import Estimate, mean_estimate
from wordsight.audits.untested import power, untested

WORDS = ("water", "grass", "dog", *(f"word{i}" for i in range(40)))


def evidence(*, shortcut: float, seed: int = 0, images: int = 200) -> Evidence:
    """Two classes, balanced over water and grass; ``shortcut`` is how much the first class's logit depends on water."""
    random = np.random.default_rng(seed)
    label = np.arange(images) % 2
    water = (np.arange(images) // 2) % 2 == 0
    rates = np.clip(random.beta(0.5, 4, size=(images, len(WORDS))), 0, 1)
    rates[:, 0] = np.clip(0.6 * water + random.normal(0.1, 0.1, images), 0, 1)
    rates[:, 1] = np.clip(0.6 * ~water + random.normal(0.1, 0.1, images), 0, 1)
    rates[:, 2] = np.clip(0.8 * (label == 0) + random.normal(0.1, 0.05, images), 0, 1)
    margin = np.where(label == 0, 2.0, -2.0) + shortcut * (water - 0.5) + random.normal(0, 1, images)
    return Evidence(WORDS, csc_array(rates), label, np.stack([margin / 2, -margin / 2], 1), ("dog", "person"))


def used(c: int, words) -> list[Use | None]:
    """Water is used for the first class, grass for the second, the rest a little for both."""
    by_word = {0: 0.3 if c == 0 else -0.3, 1: -0.3 if c == 0 else 0.3, 2: 0.5 if c == 0 else -0.5}
    return [use(by_word.get(w, 0.1), 0.05) for w in words]


def use(value: float, reach: float, **more) -> Use:
    return Use(Estimate(value, value - reach, value + reach), **more)


OWN = [frozenset({"dog"}), frozenset({"person"})]


def found(about: Evidence, limits: Limits = Limits()):  # noqa: B008 (frozen)
    return findings(about, class_words(about, used, OWN, limits))


def test_a_planted_shortcut_is_found_for_both_classes():
    first, second = found(evidence(shortcut=4))
    assert {(f.about.label, f.about.word) for f in (first, second)} == {("dog", "water"), ("person", "grass")}
    water = first if first.about.word == "water" else second
    assert water.about.severity == water.severity
    assert water.severity.low > 0.1
    groups = {(g.label, g.present): g.accuracy for g in water.groups}
    assert groups["dog", True] > groups["dog", False] + 0.1
    assert groups["not dog", True] < groups["not dog", False] - 0.1
    assert sum(g.images for g in water.groups) == 200


def test_an_honest_classifier_gives_no_findings():
    assert [found(evidence(shortcut=0, seed=seed)) for seed in range(10)] == [[]] * 10


def clear_and_unclear_images() -> Evidence:
    """Some dogs are hard to see: their margin is low, and the sentences say neither "dog" nor "brown"."""
    random = np.random.default_rng(0)
    words = ("dog", "person", "brown", *(f"word{i}" for i in range(20)))
    label = np.arange(400) % 2
    clear = random.random(400)
    rates = random.beta(0.5, 4, size=(400, len(words)))
    for column, share in ((0, np.where(label == 0, clear, 0.0)), (1, np.where(label == 1, clear, 0.0))):
        rates[:, column] = np.clip(share + random.normal(0.1, 0.03, 400), 0, 1)
    rates[:, 2] = np.clip(np.where(label == 0, 0.8 * clear, 0.0) + random.normal(0.1, 0.05, 400), 0, 1)
    margin = np.where(label == 0, 1.0, -1.0) * (4 * clear - 1) + random.normal(0, 0.5, 400)
    return Evidence(words, csc_array(rates), label, np.stack([margin / 2, -margin / 2], 1), ("dog", "person"))


def words_found(shown: Evidence, own, **options) -> list[str]:
    """Words of the findings if every word is used."""
    always = [use(0.3, 0.1)]
    return [f.about.word for f in findings(shown, class_words(shown, lambda _, w: always * len(w), own, Limits(), **options))]


def test_words_that_go_along_with_a_clear_image_of_the_class_are_no_shortcut():
    shown, none = clear_and_unclear_images(), [frozenset()] * 2
    assert words_found(shown, OWN) == []
    assert "brown" in words_found(shown, none)  # without the classes' own words it looks like one
    # A user can name them; words set apart that separate no class from the others change nothing.
    assert words_found(shown, none, apart={"dog", "person"}) == []
    assert words_found(shown, OWN, apart={f"word{i}" for i in range(5)}) == []


def test_a_word_that_a_class_without_images_owns_is_found_all_the_same():
    shown = evidence(shortcut=4)
    wider = Evidence(
        shown.vocabulary,
        shown.rates,
        shown.label,
        np.column_stack([shown.logits, np.full(200, -50.0)]),
        ("dog", "person", "lake"),
    )
    for own in ([*OWN, frozenset({"lake", "water"})], [OWN[0], frozenset({"person", "water"}), frozenset({"lake"})]):
        found = findings(wider, class_words(wider, used, own, Limits()))
        assert ("dog", "water") in {(f.about.label, f.about.word) for f in found}


def test_a_word_that_the_other_class_has_by_nature_is_encoded_if_the_margin_rises_with_it():
    """Grass goes with dogs everywhere, and yet the classifier predicts images with grass as "person"."""
    random = np.random.default_rng(0)
    label = np.arange(300) % 2
    grass = random.random(300) < np.where(label == 0, 0.6, 0.3)
    rates = np.clip(random.beta(0.5, 4, size=(300, len(WORDS))), 0, 1)
    rates[:, 1] = np.clip(0.6 * grass + random.normal(0.1, 0.05, 300), 0, 1)
    margin = np.where(label == 0, 3.0, -3.0) - 2.5 * grass + random.normal(0, 1, 300)
    shown = Evidence(WORDS, csc_array(rates), label, np.stack([margin / 2, -margin / 2], 1), ("dog", "person"))
    table = {(w.label, w.word): w for w in class_words(shown, used, OWN, Limits())}
    assert table["person", "grass"].encoded.high < 0.5
    assert table["person", "grass"].verdict == "harmful"


def test_the_class_itself_is_set_apart():
    table = class_words(evidence(shortcut=4), used, OWN, Limits())
    verdicts = {(w.label, w.word): w.verdict for w in table}
    assert verdicts["dog", "dog"] == "class"
    assert verdicts["dog", "water"] == "harmful"
    assert verdicts["dog", "grass"] == "none"


def test_each_step_has_to_be_passed():
    shown = evidence(shortcut=4)
    unused = class_words(shown, lambda c, words: [use(0.0, 0.1)] * len(words), OWN, Limits())
    assert {w.verdict for w in unused} == {"class", "none", "encoded"}
    assert findings(shown, unused) == []
    assert {w.verdict for w in class_words(shown, used, OWN, Limits(severity=0.9))} == {"class", "none", "used"}
    assert found(shown, Limits(used=0.4)) == []


def test_a_word_whose_reliance_may_be_zero_is_no_finding():
    shown = evidence(shortcut=4)
    unsure = class_words(shown, lambda c, words: [use(0.3, 0.4)] * len(words), OWN, Limits())
    assert findings(shown, unsure) == []


def test_classes_with_too_few_images_are_left_out():
    shown = evidence(shortcut=4)
    predicted_as_one = Evidence(WORDS, shown.rates, shown.label, np.tile([1.0, 0.0], (200, 1)), shown.classes)
    assert class_words(predicted_as_one, used, OWN, Limits()) == []


def test_the_level_of_presence_by_hand():
    rates = np.linspace(0, 1, 21)[:, None] * np.array([[1.0, 0.1]])
    np.testing.assert_allclose(presence_level(csc_array(rates)), [0.95 / 3, 0.1])


def test_what_is_present_is_what_a_dense_matrix_says():
    random = np.random.default_rng(0)
    rates = random.random((43, 12)) * (random.random((43, 12)) < np.linspace(0, 1, 12))
    shown = Evidence(tuple("abcdefghijkl"), csc_array(rates), np.zeros(43, dtype=int), np.zeros((43, 2)), ("x", "y"))
    level = np.maximum(0.1, np.quantile(rates, 0.95, axis=0) / 3)
    np.testing.assert_allclose(presence_level(shown.rates), level)
    np.testing.assert_array_equal(shown.present.toarray() > 0, rates >= level)
    for w in range(12):
        np.testing.assert_array_equal(shown.column(w), rates[:, w])
        np.testing.assert_array_equal(shown.has(w), rates[:, w] >= level[w])


def test_mean_with_students_interval_by_hand():
    # Mean 2, standard deviation 1, t(2) = 4.3027: 2 +- 4.3027 / sqrt(3).
    estimate = mean_estimate(np.array([1.0, 2.0, 3.0]), low=-9, high=9)
    assert (estimate.value, round(estimate.low, 4), round(estimate.high, 4)) == (2.0, -0.4841, 4.4841)
    assert mean_estimate(np.array([0.25]), low=0, high=1) == Estimate(0.25, 0, 1)


def test_weighted_mean_by_hand():
    # Shares 1/6, 1/6, 1/6, 1/2: mean 2, as if of 1 / (3/36 + 9/36) = 3 values; error^2 (4 + 1 + 0 + 9) / 36 x 3/2.
    estimate = mean_estimate(np.array([0.0, 1, 2, 3]), np.array([1.0, 1, 1, 3]), low=-9, high=9)
    assert (estimate.value, round(estimate.high, 4)) == (pytest.approx(2), 5.2862)
    values = np.array([1.0, 2.0, 3.0])
    assert mean_estimate(values, np.full(3, 0.2), low=-9, high=9).high == pytest.approx(
        mean_estimate(values, low=-9, high=9).high
    )
    assert mean_estimate(np.array([0.5, 0.9]), np.array([1.0, 0.0]), low=0, high=1) == Estimate(0.5, 0, 1)


def test_a_class_among_many_is_judged_by_its_own_images():
    """One class of ten uses water and loses images without it; the nine others do not."""
    random = np.random.default_rng(0)
    label = np.arange(600) % 10
    water = random.random(600) < 0.5
    rates = np.clip(random.beta(0.5, 4, size=(600, len(WORDS))), 0, 1)
    rates[:, 0] = np.clip(0.6 * water + random.normal(0.1, 0.1, 600), 0, 1)
    logits = random.normal(size=(600, 10)) + 4.0 * np.eye(10)[label]
    logits[:, 0] += np.where(label == 0, np.where(water, 1.0, -8.0), 0.0)
    own = [frozenset({f"class{i}"}) for i in range(10)]
    shown = Evidence(WORDS, csc_array(rates), label, logits, tuple(f"class{i}" for i in range(10)))
    always = [use(0.3, 0.1)]
    found = findings(shown, class_words(shown, lambda c, words: always * len(words), own, Limits()))
    assert [(f.about.label, f.about.word) for f in found] == [("class0", "water")]


def test_one_image_makes_no_finding():
    shown = evidence(shortcut=4)
    rates = shown.rates.toarray()
    dogs = np.flatnonzero(shown.label == 0)
    rates[dogs, 0] = 0.9
    rates[dogs[:3], 0] = 0.0  # all but three dogs have water
    few = Evidence(WORDS, csc_array(rates), shown.label, shown.logits, shown.classes)
    table = {(w.label, w.word): w for w in class_words(few, used, OWN, Limits())}
    assert table["dog", "water"].missed is None


def few_without(errors: int) -> Evidence:
    """Six of 30 images of each of six classes lack a word that moves the first class's margin clearly; some of them are missed."""
    random = np.random.default_rng(0)
    label = np.arange(180) % 6
    water = np.arange(180) // 6 % 5 > 0
    rates = random.beta(0.5, 4, size=(180, len(WORDS)))
    rates[:, 0] = np.clip(0.6 * water + random.normal(0.15, 0.03, 180), 0, 1)
    logits = 4.0 * np.eye(6)[label] + 0.1 * random.normal(size=(180, 6))
    logits[:, 0] += 2 * (rates[:, 0] - 0.75)
    logits[np.flatnonzero((label == 0) & ~water)[:errors], 0] -= 5.0
    return Evidence(WORDS, csc_array(rates), label, logits, tuple(f"class{i}" for i in range(6)))


def test_one_error_among_six_images_is_no_harm_and_three_are():
    """The margin rises with the word as surely; that errors do is shown by the gap's interval alone."""
    verdicts = []
    for errors in (1, 3):
        shown = few_without(errors)
        table = class_words(shown, lambda c, words: [use(0.5, 0.1)] * len(words), [frozenset[str]()] * 6, Limits())
        verdicts.append(next(w for w in table if (w.label, w.word) == ("class0", "water")))
    one, three = verdicts
    assert one.missed is not None
    assert three.missed is not None
    assert one.missed.value == pytest.approx(1 / 6)
    assert one.missed.low < 0 < three.missed.low
    assert one.strength == pytest.approx(three.strength, rel=0.2)
    assert (one.verdict, three.verdict) == ("untested", "harmful")
    assert one.unseen is not None
    assert one.unseen > 0.3  # and the audit says so


def test_the_margin_is_the_logit_against_the_largest_other():
    logits = np.array([[1.0, 2.0, 5.0], [3.0, 1.0, 1.0]])
    np.testing.assert_allclose(largest_of_others(logits), [[5, 5, 2], [1, 3, 3]])
    np.testing.assert_allclose(largest_of_others(logits[:, :2]), [[2, 1], [1, 3]])
    assert np.isneginf(largest_of_others(logits[:, :1])).all()


def test_scaling_all_logits_changes_no_finding():
    shown = evidence(shortcut=2.0)
    scaled = replace(shown, logits=37.0 * shown.logits)
    names = [[(finding.about.label, finding.about.word) for finding in found(of)] for of in (shown, scaled)]
    assert names[0] == names[1] != []


def named_in_every_sentence(seed: int, *, scores: bool) -> Evidence:
    """Clear images have larger margins and more words. Sentences name the class in nearly all images; scores tell them apart."""
    random = np.random.default_rng(seed)
    words = ("dog", "person", *(f"word{i}" for i in range(30)))
    label, clear = np.arange(400) % 2, random.normal(size=400)
    name = np.where(label[:, None] == np.arange(2), 6 + clear[:, None], -3.0)
    others = random.normal(size=(400, 30)) - 2 + (1 + clear[:, None]) * (np.arange(30) < 10) * (label == 0)[:, None]
    log_odds = np.concatenate([name, others], 1)
    rates = np.round(24 / (1 + np.exp(-log_odds))) / 24  # 24 sentences
    margin = np.where(label == 0, 1, -1) * (1 + clear) + 0.5 * random.normal(size=400)
    logits = np.stack([margin / 2, -margin / 2], 1)
    return Evidence(
        words, csc_array(rates), label, logits, ("dog", "person"), (lambda some: log_odds[:, some]) if scores else None
    )


def test_where_a_class_is_named_in_every_sentence_harm_is_not_judged_but_with_scores_it_is():
    none = [frozenset[str]()] * 2
    for seed in range(3):
        without = named_in_every_sentence(seed, scores=False)
        assert words_found(without, none) != []  # what the adjustment has to take away
        assert words_found(without, OWN) == []
        assert unclear_classes(without, naming_of(without, OWN, frozenset())) == ["dog", "person"]
        with_scores = named_in_every_sentence(seed, scores=True)
        assert words_found(with_scores, OWN) == []
        assert unclear_classes(with_scores, naming_of(with_scores, OWN, frozenset())) == []
    planted = named_in_every_sentence(3, scores=True)
    planted.logits[:, 0] += 3 * planted.column(20) / planted.column(20).std()
    assert "word18" in words_found(planted, OWN)


def biased(without: int) -> Evidence:
    """All but a few of 100 dogs have water, and few persons do."""
    random = np.random.default_rng(4)
    label = np.arange(200) % 2
    water = label == 0
    water[np.flatnonzero(label == 0)[:without]] = False
    water[np.flatnonzero(label == 1)[:without]] = True
    rates = random.beta(0.5, 4, size=(200, len(WORDS)))
    rates[:, 0] = np.clip(0.7 * water + random.normal(0.1, 0.05, 200), 0, 1)
    margin = np.where(label == 0, 1.5, -1.5) + random.normal(0, 1, 200)
    return Evidence(WORDS, csc_array(rates), label, np.stack([margin / 2, -margin / 2], 1), ("dog", "person"))


def test_what_is_relied_on_and_cannot_be_tested_is_said_with_the_images_that_would_settle_it():
    few, relied = biased(2), lambda c, words: [use(0.8, 0.1, changes=0.3) if w == 0 and c == 0 else use(0, 0.1) for w in words]
    table = class_words(few, relied, OWN, Limits())
    assert findings(few, table) == []
    (one,) = untested(few, table, Limits())
    assert (one.about.label, one.about.word, one.images) == ("dog", "water", 2)
    assert one.about.unseen is not None
    assert one.about.unseen > 0.5
    assert one.wanted is not None
    assert 2 < one.wanted < 60
    # Not if few calls change, if the reliance is small, or if harm could have been seen.
    for of, limits in ((few, Limits(changes=0.4)), (few, Limits(relied=0.9)), (biased(40), Limits())):
        assert untested(of, class_words(of, relied, OWN, limits), limits) == []


def test_the_power_of_each_class():
    shown = biased(40)
    table = class_words(shown, used, OWN, Limits(false_discovery=1.0))
    found = {of.label: of for of in power(shown, table)}
    assert set(found) <= {"dog", "person"}
    for label, of in found.items():
        gap = [w.unseen for w in table if w.label == label and w.verdict != "class" and w.unseen is not None]
        assert (of.images, of.smallest) == (100, min(gap))
        assert of.smallest >= 0.05
