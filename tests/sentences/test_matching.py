"""The gradient of word rates, against a language model small enough to enumerate."""

import math

import pytest
import torch
from scipy.stats import norm

from doubles import tiny_lm
from wordsight.sentences.matching import Words, rate_loss
from wordsight.sentences.nucleus import Sampling
from wordsight.sentences.reference import enumerate_sentences
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


def estimates(lm, prefix, targets, *, times: int, sentences: int = 6) -> tuple[torch.Tensor, torch.Tensor]:
    """Scores (times,) and gradients (times, prefix numbers)."""
    words, scores, gradients = Words(lm, VOCABULARY), [], []
    for seed in range(times):
        torch.manual_seed(seed)
        leaf = prefix.clone().requires_grad_(True)
        scores.append(rate_loss(lm, leaf, words, targets, sentences=sentences, sampling=WHOLE, backward_scale=1.0))
        assert leaf.grad is not None
        gradients.append(leaf.grad.flatten())
    return torch.tensor(scores), torch.stack(gradients)


def test_score_and_gradient_are_unbiased(lm, prefix, targets):
    leaf = prefix.clone().requires_grad_(True)
    truth = exact(lm, leaf, targets)
    truth.backward()
    assert leaf.grad is not None
    scores, gradients = estimates(lm, prefix, targets, times=400)
    off = (scores.mean() - truth.item()) / (scores.std() / math.sqrt(len(scores)))
    assert abs(off) < norm.isf(1e-3 / 2)
    error = gradients.std(0) / math.sqrt(len(gradients))
    off = (gradients.mean(0) - leaf.grad.flatten()) / error
    assert off.abs().max() < norm.isf(1e-3 / (2 * len(off)))
    assert torch.nn.functional.cosine_similarity(gradients.mean(0), leaf.grad.flatten(), dim=0) > 0.95


def test_the_same_test_fails_for_other_targets(lm, prefix, targets):
    leaf = prefix.clone().requires_grad_(True)
    exact(lm, leaf, targets.flip(0)).backward()
    assert leaf.grad is not None
    _, gradients = estimates(lm, prefix, targets, times=400)
    off = (gradients.mean(0) - leaf.grad.flatten()) / (gradients.std(0) / math.sqrt(len(gradients)))
    assert off.abs().max() > norm.isf(1e-3 / (2 * len(off)))


def test_a_sentence_alone_cannot_be_judged(lm, prefix, targets):
    with pytest.raises(ValueError, match="sentences is 1, wanted at least 2"):
        rate_loss(lm, prefix, Words(lm, VOCABULARY), targets, sentences=1)


def test_words_end_where_no_token_goes_on_with_them(lm):
    words = Words(lm, VOCABULARY)
    name = words.lexicon.words
    word, goes_on = words.ends(torch.tensor([[5, 3, 1, 6, 0]]))  # red fish dog . <end>
    assert [name[w] if w >= 0 else None for w in word[0].tolist()] == ["red", "redfish", "dog", None, None]
    assert goes_on[0].tolist() == [False, True, False, False, False]
    assert {(PIECES[t], name[w]) for t, w in zip(words.token.tolist(), words.word.tolist(), strict=True)} == {
        ("Ġdog", "dog"),
        ("Ġred", "red"),
    }
