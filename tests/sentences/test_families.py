"""Every kind of language model, on tiny random ones: sampling, loss and gradients, training, explanation."""

from collections import Counter

import pytest
import torch
from PIL import Image

from agreement import agreement
from doubles import FAMILIES, tiny_classifier, tiny_family, tiny_translator
from wordsight.explain import Explainer
from wordsight.language.blocked import blocked
from wordsight.language.cross_attention import CrossAttentionLM
from wordsight.sentences.lexicon import Lexicon
from wordsight.sentences.plain import enumerate_sentences, next_distribution
from wordsight.sentences.sampler import cut_at_end
from wordsight.sentences.sampling import Sampling
from wordsight.sentences.tree import grow
from wordsight.translator.mlp import Translator
from wordsight.translator.optimisation import Captioned, Settings, train
from wordsight.words.gradients import sentence_gradients

SMALL = ("<end>", "a", "dog", "cat", "runs")
CAPTIONS = [[[1, 2, 4, 0], [1, 3, 0]], [[3, 4, 2, 1, 0]], [[2, 0], [3, 1, 0], [1, 1, 1, 1, 1, 0]]]

pytestmark = pytest.mark.parametrize("family", [*FAMILIES, "llama in blocks", "gpt2 in blocks"])


def made(family, **options):
    name, *blocks = family.split(" in ")
    lm = tiny_family(name, **options)
    return blocked(lm) if blocks else lm


@pytest.fixture
def lm(family):
    return made(family, words=SMALL)


def prefixes(lm, images: int = 1) -> torch.Tensor:
    return torch.randn(images, 3, lm.hidden, generator=torch.Generator().manual_seed(5))


def sentences(lm, prefix, draws: int, sampling: Sampling, **options) -> list[tuple[int, ...]]:
    uniform = torch.rand(draws, sampling.max_tokens, generator=torch.Generator().manual_seed(1))
    tokens = grow(lm, prefix, torch.arange(draws) % len(prefix), uniform, sampling, **options)
    return [tuple(row) for row in cut_at_end(tokens, lm.end)]


def test_sentences_have_the_probabilities_of_those_that_are_enumerated(lm):
    sampling = Sampling(max_tokens=3, mode="exact")
    probabilities = enumerate_sentences(lm, prefixes(lm), sampling)
    assert len(probabilities) > 10
    found = Counter(sentences(lm, prefixes(lm), 5000, sampling))
    assert agreement(found, probabilities) > 1e-3
    biased = Counter(sentences(lm, prefixes(lm), 20_000, Sampling(max_tokens=3, temperature=1.4)))
    assert agreement(biased, probabilities) < 1e-3


def test_the_prefix_decides_what_comes_next(lm):
    one, other = (next_distribution(lm, prefix[None], [], Sampling(top_p=1.0)) for prefix in prefixes(lm, 2))
    assert max(abs(one[token] - other[token]) for token in one) > 0.01


def test_long_sentences_follow_the_model_without_a_cache(lm):
    greedy = Sampling(top_p=1e-6, max_tokens=16)
    for image, found in enumerate(sentences(lm, prefixes(lm, 4), 4, greedy)):
        expected: list[int] = []
        while len(expected) < greedy.max_tokens:
            (token,) = next_distribution(lm, prefixes(lm, 4)[image : image + 1], expected, greedy)
            if token == lm.end:
                break
            expected.append(token)
        assert list(found) == expected


@pytest.mark.parametrize("most", [1, 3])
def test_memory_limits_do_not_change_the_sentences(lm, most):
    whole = sentences(lm, prefixes(lm, 2), 60, Sampling(max_tokens=14))
    assert sentences(lm, prefixes(lm, 2), 60, Sampling(max_tokens=14), max_nodes=most) == whole


def test_the_bytes_of_a_row_are_those_of_its_keys_and_values(lm):
    state, _ = lm.start(prefixes(lm, 2), capacity=2, room=lm.positions(3) + 5)
    for _ in range(5):
        lm.step(state, torch.tensor([1, 2]))
    kept = [*state._attention.layers, *(state._cross.layers if state._cross else [])]
    held = sum(values.numel() * values.element_size() for layer in kept for values in (layer.keys, layer.values))
    assert 2 * lm.row_bytes(prefix=3, steps=5) == held


def test_captions_cost_what_they_cost_one_by_one_and_so_do_their_gradients(lm):
    prefix = prefixes(lm, 3).requires_grad_()
    loss = lm.loss(prefix, CAPTIONS, backward_scale=1.0)
    assert prefix.grad is not None
    assert lm.loss(prefix.detach(), CAPTIONS) == pytest.approx(loss)
    alone = 0.0
    for image, captions in zip(prefix.detach(), CAPTIONS, strict=True):
        for caption in captions:
            for step, token in enumerate(caption):
                alone -= (
                    torch.tensor(next_distribution(lm, image[None], caption[:step], Sampling(top_p=1.0))[token]).log().item()
                )
    assert loss == pytest.approx(alone, rel=1e-4)
    for place in ((0, 0, 0), (1, 2, 3), (2, 1, 5)):
        change = torch.zeros_like(prefix)
        change[place] = 1e-2
        slope = (lm.loss(prefix.detach() + change, CAPTIONS) - lm.loss(prefix.detach() - change, CAPTIONS)) / 2e-2
        assert float(prefix.grad[place]) == pytest.approx(slope, abs=5e-3, rel=0.05)


def test_training_lowers_the_loss(lm):
    generator = torch.Generator().manual_seed(0)
    kind = torch.randint(2, (24,), generator=generator)
    views = torch.randn(24, 2, 6, generator=generator) * 0.2 + kind[:, None, None] * 2.0
    data = Captioned(views, [[[1, 2, 4, 0]] if k else [[1, 3, 0], [3, 0]] for k in kind.tolist()])
    torch.manual_seed(0)
    translator = Translator(6, lm.hidden, hidden=16, prefix_tokens=3, dropout=0.0)
    translator.learn_scale(views)
    history = train(translator, lm, data, data, settings=Settings(epochs=10, batch=4, learning_rate=0.02, noise=0.1))
    assert min(history) < 0.8 * history[0]
    assert all(weight.grad is None for weight in lm.model.parameters())


def test_a_text_as_a_prefix(lm):
    assert lm.embedded("a dog").shape == (2, lm.hidden)


def test_pieces_of_text_are_put_together(lm):
    lexicon = Lexicon(lm)
    run, word, goes_on, _ = lexicon.after(torch.tensor([0]), torch.tensor([2]))
    assert lexicon.words[int(word)] == "dog"
    _, word, goes_on, _ = lexicon.after(run, torch.tensor([4]))
    assert lexicon.words[int(word)] == "run"
    assert not bool(goes_on)


def test_an_explanation_from_end_to_end(family, cache):
    classifier, lm = tiny_classifier(), made(family)
    translator = tiny_translator(classifier, lm)
    explainer = Explainer(classifier, lm=lm, translator=translator)
    (found,) = explainer.explain(Image.new("RGB", (9, 9), "red"), Sampling(sentences=40, max_tokens=8))
    assert found.words
    assert found.sentences == 40
    gradients = sentence_gradients(lm, translator[0], found.z, list(found.sampled.sentences)[:1])
    assert gradients.abs().max() > 0


def test_the_kind_is_what_the_family_is(lm, family):
    assert isinstance(lm, CrossAttentionLM) == (family in ("t5", "bart", "bert"))
