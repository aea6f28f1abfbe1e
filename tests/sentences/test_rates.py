"""Word rates of every mode, against a language model small enough to enumerate."""

import math
from dataclasses import replace

import pytest
import torch
from scipy.stats import norm

from doubles import tiny_lm
from wordsight.language.content import content_words
from wordsight.sentences.lexicon import Lexicon
from wordsight.sentences.plain import enumerate_sentences
from wordsight.sentences.rates import MIN_PICKS, MIN_UNSEEN
from wordsight.sentences.sampler import sample
from wordsight.sentences.sampling import Sampling

pytestmark = pytest.mark.slow

# "red" is a word of one token unless "fish" follows; "redfish" takes two, "redfishing" three; words come twice ("dog red dog").
PIECES = ("<end>", "Ġdog", "Ġcat", "fish", "ing", "Ġred", ".")
MODES = ["exact", "stratified"]


@pytest.fixture(scope="module")
def lm():
    return tiny_lm(seed=11, words=PIECES, sharpness=2.5)


@pytest.fixture(scope="module")
def prefix(lm):
    return torch.randn(1, 3, lm.hidden, generator=torch.Generator().manual_seed(2))


@pytest.fixture(scope="module")
def truth(lm, prefix):
    rates: dict[str, float] = {}
    for tokens, probability in enumerate_sentences(lm, prefix, Sampling(max_tokens=5)).items():
        for word in content_words(lm.decode([list(tokens)])[0]):
            rates[word] = rates.get(word, 0.0) + probability
    return rates


def runs(lm, prefix, mode: str, *, sentences: int, times: int, conditional: bool = True, temperature: float = 1.0):
    """Each word's rate, interval included, in ``times`` runs with seeds of their own."""
    sampling = Sampling(max_tokens=5, mode=mode, temperature=temperature)
    many = prefix.expand(times, -1, -1)
    found = sample(lm, many, replace(sampling, sentences=sentences), seeds=range(times), conditional=conditional)
    return [one.rates.words for one in found]


def deviations(found, truth: dict[str, float], words) -> dict[str, float]:
    """By word, how many standard errors the mean rate is off the truth."""
    off = {}
    for word in words:
        rates = torch.tensor([one[word].rate if word in one else 0.0 for one in found], dtype=torch.float64)
        off[word] = float((rates.mean() - truth[word]) / (rates.std() / math.sqrt(len(found))))
    return off


def test_the_language_model_says_words_of_one_two_and_three_tokens_and_words_twice(lm, prefix, truth):
    assert {"dog", "cat", "red", "redfish", "catfish", "redfishing"} <= truth.keys()
    twice = [s for s in enumerate_sentences(lm, prefix, Sampling(max_tokens=5)) if s.count(1) > 1]
    assert len(twice) > 20


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(("conditional", "least_picks"), [(False, MIN_PICKS), (True, MIN_PICKS), (True, 0.3), (True, 20.0)])
def test_rates_are_unbiased(lm, prefix, truth, mode, conditional, least_picks, monkeypatch):
    """However many tokens are left to plain counting, as the rare ones of a real vocabulary are."""
    monkeypatch.setattr("wordsight.sentences.rates.MIN_PICKS", least_picks)
    # 500 sentences a run: enough for these words' rates to stay off 0 and 1, where they would be cut.
    words = [word for word, rate in truth.items() if 0.02 < rate < 0.98]
    assert {"dog", "red", "redfish", "redfishing"} <= set(words)
    found = runs(lm, prefix, mode, sentences=500, times=200, conditional=conditional)
    limit = norm.isf(1e-3 / (2 * len(words)))
    assert max(map(abs, deviations(found, truth, words).values())) < limit


def test_a_biased_sampler_fails_the_same_test(lm, prefix, truth):
    found = runs(lm, prefix, "exact", sentences=500, times=200, temperature=1.1)
    words = [word for word, rate in truth.items() if 0.02 < rate < 0.98]
    assert max(map(abs, deviations(found, truth, words).values())) > norm.isf(1e-3 / (2 * len(words)))


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("conditional", [True, False])
@pytest.mark.parametrize("sentences", [100, 400])
def test_intervals_cover_the_truth_as_often_as_they_say(lm, prefix, truth, mode, conditional, sentences):
    found = runs(lm, prefix, mode, sentences=sentences, times=300, conditional=conditional)
    # Counts of rare words are whole numbers, so that their intervals cannot be as narrow as 95% allows.
    for least, most, limit in ((2, 10, 0.98), (10, sentences - 10, 0.97)):
        words = [word for word, rate in truth.items() if least <= rate * sentences <= most]
        covered = [one[w].low <= truth[w] <= one[w].high for one in found for w in words if w in one]
        assert len(covered) >= 1500
        assert 0.93 < sum(covered) / len(covered) < limit


def variance(found, words) -> float:
    return sum(float(torch.tensor([one[w].rate if w in one else 0.0 for one in found]).var()) for w in words)


def test_each_of_the_three_ways_lowers_the_variance(lm, prefix, truth):
    words = [word for word, rate in truth.items() if rate > 0.03]
    plain, stratified, conditional, both = (
        variance(runs(lm, prefix, mode, sentences=100, times=200, conditional=conditional), words)
        for mode, conditional in (("exact", False), ("stratified", False), ("exact", True), ("stratified", True))
    )
    independent = sum(truth[w] * (1 - truth[w]) for w in words) / 100
    assert plain == pytest.approx(independent, rel=0.15)
    assert stratified < 0.8 * plain
    assert conditional < 0.8 * plain
    assert both < 0.9 * min(stratified, conditional)


def test_a_word_complete_after_one_token_is_known_exactly(lm, prefix):
    """With one token to say, the first distribution is all there is: the rate is exact whatever was drawn."""
    sampling = Sampling(max_tokens=1)
    exact = {lm.decode([list(s)])[0]: p for s, p in enumerate_sentences(lm, prefix, sampling).items()}
    (found,) = sample(lm, prefix, replace(sampling, sentences=40), seeds=[0])
    for word in ("dog", "cat", "red"):
        assert found.rates.words[word].rate == pytest.approx(exact[word], abs=1e-6)


def test_a_fragment_that_goes_on_gets_no_noise(lm, prefix, truth):
    """A "red" goes on to "redfish" here more often than not: its rate must not vary more than plain counts do."""
    assert truth["redfish"] > truth["red"]
    for mode in MODES:
        plain, conditional = (
            variance(runs(lm, prefix, mode, sentences=100, times=200, conditional=c), ["red"]) for c in (False, True)
        )
        assert conditional < 1.1 * plain


def test_words_that_no_sentence_says_are_reported_if_they_may_well_have_been(lm, prefix, truth):
    """With two sentences most words go unsaid; their rates are known from the distributions that were met."""
    found = sample(lm, prefix.expand(50, -1, -1), Sampling(sentences=2, max_tokens=5), seeds=range(50))
    unsaid = [(word, rate.rate) for one in found for word, rate in one.rates.words.items() if rate.count == 0]
    assert {"dog", "cat", "red"} <= {word for word, _ in unsaid}
    # "redfish" and "redfishing" are in no dictionary: they may be beginnings of longer words.
    assert {word for word, _ in unsaid}.isdisjoint({"redfish", "redfishing"})
    assert min(rate for _, rate in unsaid) >= MIN_UNSEEN
    for word in ("dog", "cat"):  # leaving them out where they go unsaid would lose much of them
        rates = [one.rates.words[word].rate if word in one.rates.words else 0.0 for one in found]
        said = [rate for one, rate in zip(found, rates, strict=True) if word in one.rates.words and one.rates.words[word].count]
        assert sum(rates) / 50 == pytest.approx(truth[word], abs=0.1)
        assert sum(said) / 50 < 0.9 * truth[word]


def test_runs_grow_with_the_tokens_that_continue_a_word(lm):
    lexicon = Lexicon(lm)
    dog, fish, ing, red, stop = (PIECES.index(p) for p in ("Ġdog", "fish", "ing", "Ġred", "."))
    said, run = [], torch.tensor([0])
    for token in (dog, fish, ing, red, stop, fish):
        run, word, _, _ = lexicon.after(run, torch.tensor([token]))
        said.append(lexicon.words[int(word)] if int(word) >= 0 else None)
    assert said == ["dog", "dogfish", "dogfishing", "red", None, "fish"]


@pytest.fixture
def names(monkeypatch):
    """A red dog is a name, and "cat dog" says nothing."""
    monkeypatch.setattr("wordsight.language.forms.NAMES", frozenset({("red", "dog")}))
    monkeypatch.setattr("wordsight.language.forms.PLACES", frozenset({("cat", "dog")}))
    monkeypatch.setattr("wordsight.sentences.lexicon.FIRST", frozenset({"red", "cat"}))


def test_a_name_of_two_words_takes_the_word_before_it_in(lm, names):
    lexicon = Lexicon(lm)
    red, dog, cat, fish, stop = (PIECES.index(p) for p in ("Ġred", "Ġdog", "Ġcat", "fish", "."))
    said, pairs, run = [], [], torch.tensor([0])
    for token in (red, dog, dog, cat, dog, red, stop, dog, red, dog, fish):
        run, word, _, paired = lexicon.after(run, torch.tensor([token]))
        said.append(lexicon.words[int(word)] if int(word) >= 0 else None)
        pairs.append(bool(paired))
    assert said == ["red", "red dog", "dog", "cat", None, "red", None, "dog", "red", "red dog", "dogfish"]
    assert [i for i, paired in enumerate(pairs) if paired] == [1, 4, 9]


@pytest.mark.parametrize("mode", MODES)
def test_rates_are_unbiased_with_names_of_two_words(lm, prefix, names, mode):
    truth: dict[str, float] = {}
    for tokens, probability in enumerate_sentences(lm, prefix, Sampling(max_tokens=5)).items():
        for word in content_words(lm.decode([list(tokens)])[0]):
            truth[word] = truth.get(word, 0.0) + probability
    words = [word for word, rate in truth.items() if 0.02 < rate < 0.98]
    assert {"dog", "red", "red dog", "cat"} <= set(words)
    found = runs(lm, prefix, mode, sentences=500, times=200)
    limit = norm.isf(1e-3 / (2 * len(words)))
    off = deviations(found, truth, words)
    assert max(map(abs, off.values())) < limit, off
