"""The gradient of word rates, against a language model small enough to enumerate."""

import math

import pytest
import torch
from scipy.stats import norm

from doubles import tiny_lm
from wordsight.sentences import matching as matching_module
from wordsight.sentences.matching import Matching, WordTokens, cost_later, matching, rate_loss
from wordsight.sentences.nucleus import Sampling
from wordsight.sentences.reference import enumerate_sentences
from wordsight.translator.mlp import Translator
from wordsight.words.content import content_words

# As in test_rates: "red" is a word unless "fish" follows, words come twice; "cat" is no word of the vocabulary.
PIECES = ("<end>", "Ġdog", "Ġcat", "fish", "ing", "Ġred", ".")
VOCABULARY = ["dog", "red", "redfish", "dogfish"]
WHOLE = Sampling(max_tokens=4, top_p=1.0)


@pytest.fixture(scope="module")
def lm():
    return tiny_lm(seed=11, words=PIECES, sharpness=2.5)


@pytest.fixture(scope="module")
def prefix(lm):
    return torch.randn(2, 2, lm.hidden, generator=torch.Generator().manual_seed(2))


@pytest.fixture(scope="module")
def targets():
    return torch.tensor([[0.9, 0.1, 0.5, 0.0], [0.2, 0.8, 0.0, 0.3]])


def exact(lm, prefix, targets) -> torch.Tensor:
    """The Brier score of the true rates, differentiable, mean over images: every sentence's probability, added up."""
    total = torch.zeros(())
    for image, wanted in zip(prefix, targets, strict=True):
        rates: dict[str, torch.Tensor] = {}
        for tokens in enumerate_sentences(lm, image[None].detach(), WHOLE):
            drawn = torch.tensor([*tokens, lm.end][: WHOLE.max_tokens])  # without an end, if it was cut off
            inputs = torch.cat([image, lm.model.get_input_embeddings()(drawn[:-1])])
            log_p = lm.model(inputs_embeds=inputs[None]).logits[0, len(image) - 1 :].log_softmax(-1)
            probability = log_p.gather(1, drawn[:, None]).sum().exp()
            for word in content_words(lm.decode([list(tokens)])[0]):
                rates[word] = rates.get(word, torch.zeros(())) + probability
        wants = dict(zip(VOCABULARY, wanted.tolist(), strict=True))
        for word in rates.keys() | wants.keys():
            total = total + (rates.get(word, torch.zeros(())) - wants.get(word, 0.0)) ** 2
    return total / len(prefix)


COPIES = 100


def estimates(lm, prefix, targets, *, seeds: int, sentences: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Scores and gradients (estimates, numbers of the prefix): every image stands in ``COPIES`` rows of a batch."""
    tokens, scores, gradients = WordTokens(lm, VOCABULARY), [], []
    for seed in range(seeds):
        torch.manual_seed(seed)
        many = prefix.repeat(COPIES, 1, 1).requires_grad_(True)
        wanted = targets.repeat(COPIES, 1)
        scores.append(rate_loss(lm, many, tokens, wanted, sentences=sentences, sampling=WHOLE, backward_scale=float(COPIES)))
        assert many.grad is not None
        gradients.append(many.grad.unflatten(0, (COPIES, len(prefix))).flatten(1))
    return torch.tensor(scores), torch.cat(gradients)


def deviations(found: torch.Tensor, truth: torch.Tensor) -> torch.Tensor:
    """How many standard errors the means are off."""
    return (found.mean(0) - truth) / (found.std(0) / math.sqrt(len(found)))


def limit(numbers: int) -> float:
    return norm.isf(1e-3 / (2 * numbers))


@pytest.fixture(scope="module")
def truth(lm, prefix, targets):
    leaf = prefix.clone().requires_grad_(True)
    score = exact(lm, leaf, targets)
    score.backward()
    assert leaf.grad is not None
    return score.item(), leaf.grad.flatten()


@pytest.mark.parametrize("sentences", [2, 6])
def test_score_and_gradient_are_unbiased(lm, prefix, targets, truth, sentences):
    score, gradient = truth
    scores, gradients = estimates(lm, prefix, targets, seeds=60, sentences=sentences)
    assert abs(float(deviations(scores, torch.tensor(score)))) < limit(1)
    assert deviations(gradients, gradient).abs().max() < limit(len(gradient))


def test_a_baseline_from_the_other_sentences_would_bias_it(lm, prefix, targets, truth, monkeypatch):
    """Their costs come from this sentence, too: what one would take first to lower the noise fails the same test."""

    def with_baseline(*arguments):
        later = cost_later(*arguments).unflatten(0, (-1, 6))
        return ((later - later.mean(1, keepdim=True)) * 6 / 5).flatten(0, 1)

    monkeypatch.setattr(matching_module, "cost_later", with_baseline)
    _, gradients = estimates(lm, prefix, targets, seeds=60, sentences=6)
    assert deviations(gradients, truth[1]).abs().max() > limit(gradients.shape[1])


def test_what_a_token_is_answerable_for():
    """Red fish dog red <end>, worked out by hand: "redfish" takes "red" back, and the last "red" is the first for good."""
    red, redfish, dog = 0, 1, 2
    word = torch.tensor([[red, redfish, dog, red, -1]])
    goes_on = torch.tensor([[False, True, False, False, False]])
    cost = torch.tensor([[0.5, -0.3, 0.2]])
    first = torch.tensor([[3, 1, 2]])
    own = [0.5, -0.3 - 0.5, 0.2, 0.5, 0.0]
    nothing_summed = torch.zeros(1, 5, dtype=torch.bool)
    later = cost_later(word, goes_on, nothing_summed, cost, first)
    torch.testing.assert_close(later, torch.tensor([[sum(own[i:]) for i in range(5)]]))
    summed = torch.tensor([[True, False, True, True, False]])
    later = cost_later(word, goes_on, summed, cost, first)
    torch.testing.assert_close(later, torch.tensor([[sum(own[1:]), sum(own[1:]), 0.5, 0.0, 0.0]]))


def test_the_score_alone_moves_nothing(lm, prefix, targets):
    leaf = prefix.clone().requires_grad_(True)
    assert isinstance(rate_loss(lm, leaf, WordTokens(lm, VOCABULARY), targets, sentences=4, sampling=WHOLE), float)
    assert leaf.grad is None


def test_sentences_of_the_nucleus_pull_words_into_it(lm, prefix):
    """A word that the nucleus never says but that is wanted gets more probable all the same."""
    narrow = Sampling(max_tokens=1, top_p=0.01)  # one token: the most probable
    said = {lm.decode([list(s)])[0] for s in enumerate_sentences(lm, prefix[:1], narrow)}
    word = next(w for w in ("dog", "red", "cat") if w not in said)
    leaf = prefix[:1].clone().requires_grad_(True)
    torch.manual_seed(0)
    tokens = WordTokens(lm, [word])
    rate_loss(lm, leaf, tokens, torch.ones(1, 1), sentences=2, sampling=narrow, backward_scale=1.0)
    assert leaf.grad is not None

    def probability(at: torch.Tensor) -> float:
        return float(lm.model(inputs_embeds=at).logits[0, -1].softmax(-1)[tokens.token].sum())

    assert probability(leaf.detach() - 0.1 * leaf.grad) > probability(leaf.detach())


def test_settings_that_cannot_work_are_refused():
    for wrong in ({"sentences": 1}, {"images": 0}, {"weight": 0.0}):
        with pytest.raises(ValueError, match=r"wanted at least 1 image, at least 2 sentences .* and a weight above 0"):
            Matching(**wrong)


def test_targets_of_another_vocabulary_are_refused(lm, targets):
    with pytest.raises(ValueError, match=r"targets has the shape \(2, 4\), wanted \(2, 1\)"):
        matching(lm, torch.zeros(2, 1, 4), ["dog"], targets, settings=Matching(), noise=0.0)


def test_matching_teaches_the_rates_of_words():
    """A language model that may say "dog" or "cat": the rates wanted are those that come out."""
    lm = tiny_lm()
    torch.manual_seed(0)
    translator = Translator(4, lm.hidden, hidden=16, prefix_tokens=2, dropout=0.0)
    views = torch.eye(4)[:2, None].repeat(1, 2, 1)
    targets = torch.tensor([[0.8, 0.2], [0.1, 0.6]])
    objective = matching(lm, views, ["dog", "cat"], targets, settings=Matching(2, 32, 1.0), noise=0.0)
    optimiser = torch.optim.Adam(translator.parameters(), lr=0.01)
    scores = []
    for _ in range(150):
        optimiser.zero_grad()
        scores.append(objective(translator))
        optimiser.step()
    assert sum(scores[-10:]) < 0.3 * sum(scores[:10])


def test_words_end_where_no_token_goes_on_with_them(lm):
    words = WordTokens(lm, VOCABULARY)
    name = words.lexicon.words
    word, goes_on = words.ends(torch.tensor([[5, 3, 1, 6, 0]]))  # red fish dog . <end>
    assert [name[w] if w >= 0 else None for w in word[0].tolist()] == ["red", "redfish", "dog", None, None]
    assert goes_on[0].tolist() == [False, True, False, False, False]
    assert {(PIECES[t], name[w]) for t, w in zip(words.token.tolist(), words.word.tolist(), strict=True)} == {
        ("Ġdog", "dog"),
        ("Ġred", "red"),
    }
