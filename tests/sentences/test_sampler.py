"""The sampler's distribution, against sentences enumerated one by one."""

from collections import Counter

import pytest
import torch
from scipy.stats import chisquare

from doubles import tiny_lm
from wordsight.sentences.reference import enumerate_sentences, next_distribution, sample_one
from wordsight.sentences.sampler import Sampling, cut_at_end, draw_nucleus, nucleus, sample, sample_tokens

DRAWS = 20_000
SMALL = ("<end>", "a", "dog", "cat", "runs")


@pytest.fixture(scope="module")
def lm():
    return tiny_lm(words=SMALL, sharpness=3.0)


@pytest.fixture(scope="module")
def prefix(lm):
    return torch.randn(2, 3, lm.hidden, generator=torch.Generator().manual_seed(5))


def agreement(counts: Counter, probabilities: dict[tuple[int, ...], float]) -> float:
    """p-value of a chi-square test; sentences expected less than five times are pooled. 0 if an impossible one was seen."""
    if set(counts) - set(probabilities):
        return 0.0
    total = sum(counts.values())
    seen, expected, rare_seen, rare_expected = [], [], 0, 0.0
    for sentence, probability in probabilities.items():
        if probability * total < 5:
            rare_seen += counts[sentence]
            rare_expected += probability * total
        else:
            seen.append(counts[sentence])
            expected.append(probability * total)
    if rare_expected >= 5:
        seen.append(rare_seen)
        expected.append(rare_expected)
    scale = sum(seen) / sum(expected)
    return float(chisquare(seen, [e * scale for e in expected]).pvalue)


def drawn(lm, prefix, sampling: Sampling, seed: int) -> Counter:
    uniform = torch.rand(DRAWS, sampling.max_tokens, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    tokens = sample_tokens(lm, prefix, torch.zeros(DRAWS, dtype=torch.long), uniform, sampling)
    return Counter(tuple(row) for row in cut_at_end(tokens, lm.end))


@pytest.mark.parametrize("top_p", [0.6, 0.9, 1.0])
@pytest.mark.parametrize("temperature", [0.7, 1.0, 1.5])
@pytest.mark.parametrize("max_tokens", [1, 3])
def test_sentences_have_the_probabilities_of_independent_nucleus_samples(lm, prefix, top_p, temperature, max_tokens):
    sampling = Sampling(top_p=top_p, temperature=temperature, max_tokens=max_tokens)
    probabilities = enumerate_sentences(lm, prefix[:1], sampling)
    assert sum(probabilities.values()) == pytest.approx(1)
    assert agreement(drawn(lm, prefix[:1], sampling, seed=1), probabilities) > 1e-3


def test_a_biased_sampler_fails_the_same_test(lm, prefix):
    asked = Sampling(top_p=0.9, max_tokens=3)
    biased = drawn(lm, prefix[:1], Sampling(top_p=0.9, temperature=1.1, max_tokens=3), seed=1)
    assert agreement(biased, enumerate_sentences(lm, prefix[:1], asked)) < 1e-3


def test_the_reference_draws_what_it_enumerates(lm, prefix):
    sampling = Sampling(top_p=0.8, max_tokens=2)
    generator = torch.Generator().manual_seed(2)
    counts = Counter(tuple(sample_one(lm, prefix[:1], sampling, generator)) for _ in range(1500))
    assert agreement(counts, enumerate_sentences(lm, prefix[:1], sampling)) > 1e-3


def test_nucleus_is_the_smallest_set_that_reaches_top_p():
    share = torch.tensor([[0.5, 0.3, 0.15, 0.05]])
    # 0.5 < 0.7 <= 0.5 + 0.3: two tokens; 0.8 is reached exactly by two.
    assert nucleus(share, 0.7).tolist()[0] == pytest.approx([0.5, 0.3, 0, 0])
    assert nucleus(share, 0.5).tolist()[0] == pytest.approx([0.5, 0, 0, 0])
    assert nucleus(share, 0.81).tolist()[0] == pytest.approx([0.5, 0.3, 0.15, 0])
    assert nucleus(share, 1.0).tolist()[0] == pytest.approx([0.5, 0.3, 0.15, 0.05])


def test_draw_inverts_the_renormalised_cumulative_distribution():
    # Tokens 2, 0, 1 with 0.5, 0.3, 0.2; top_p 0.75 keeps 2 and 0, renormalised 0.625 and 0.375.
    logits = torch.tensor([0.3, 0.2, 0.5]).log().repeat(4, 1)
    uniform = torch.tensor([0.0, 0.62, 0.63, 0.999], dtype=torch.float64)
    assert draw_nucleus(logits, uniform, Sampling(top_p=0.75)).tolist() == [2, 2, 0, 0]


def test_a_nucleus_wider_than_the_first_look_is_found():
    # 6,000 equally likely tokens: 256 and 4,096 of them do not hold 90%.
    logits = torch.zeros(3, 6000)
    logits[1, 17] = 20.0  # this row's nucleus is one token
    uniform = torch.tensor([0.0, 0.5, 0.9999], dtype=torch.float64)
    tokens = draw_nucleus(logits, uniform, Sampling(top_p=0.9)).tolist()
    assert tokens[1] == 17
    many = draw_nucleus(torch.zeros(4000, 6000), torch.rand(4000, dtype=torch.float64), Sampling(top_p=0.9))
    assert len(many.unique()) > 2000


def test_the_kept_cache_gives_the_model_s_own_next_tokens(lm, prefix):
    """Greedy twin: with a tiny nucleus, cached steps follow the uncached reference."""
    sampling = Sampling(top_p=1e-6, max_tokens=8)
    uniform = torch.zeros(2, 8, dtype=torch.float64)
    tokens = cut_at_end(sample_tokens(lm, prefix, torch.tensor([0, 1]), uniform, sampling), lm.end)
    for image in (0, 1):
        expected: list[int] = []
        while len(expected) < 8:
            (token,) = next_distribution(lm, prefix[image : image + 1], expected, sampling)
            if token == lm.end:
                break
            expected.append(token)
        assert tokens[image] == expected


def test_an_image_s_sentences_do_not_depend_on_batch_or_neighbours(lm, prefix):
    whole = sample(lm, prefix, sentences=30, seeds=[7, 8])
    assert sample(lm, prefix, sentences=30, seeds=[7, 8], batch=7) == whole
    assert sample(lm, prefix[1:], sentences=30, seeds=[8]) == whole[1:]
    assert sample(lm, prefix, sentences=30, seeds=[9, 8])[0] != whole[0]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"top_p": 0.0}, "top_p is 0.0, wanted a number above 0 and at most 1"),
        ({"top_p": 1.5}, "top_p is 1.5"),
        ({"temperature": 0.0}, "temperature is 0.0, wanted a number above 0"),
        ({"max_tokens": 0}, "max_tokens is 0, wanted at least 1"),
    ],
)
def test_settings_out_of_range_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        Sampling(**options)


def test_no_sentences_are_refused(lm, prefix):
    with pytest.raises(ValueError, match="sentences is 0, wanted at least 1"):
        sample(lm, prefix, sentences=0, seeds=[0, 1])


def test_a_sentence_that_ended_stays_ended(lm, prefix):
    uniform = torch.rand(300, 12, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    tokens = sample_tokens(lm, prefix, torch.arange(300) % 2, uniform, Sampling(top_p=1.0, max_tokens=12))
    after_end = (tokens == lm.end).cummax(1).values
    assert bool(after_end.any())
    assert bool((tokens[after_end] == lm.end).all())
