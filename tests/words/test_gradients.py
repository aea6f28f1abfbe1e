"""Gradients of sentences and words, against finite differences and by hand, on a tiny language model."""

import pytest
import torch

from doubles import tiny_classifier, tiny_lm, tiny_translator
from wordsight.features.maps import logit_gradients
from wordsight.translator.word_head import WordHead
from wordsight.words.gradients import head_gradients, sentence_gradients, sentence_gradients_stored, word_gradients

SENTENCES = ["a dog runs", "a cat sleeps .", "red ball"]


@pytest.fixture(scope="module")
def parts():
    lm = tiny_lm()
    translator, _ = tiny_translator(tiny_classifier(), lm)
    return lm, translator.requires_grad_(False)


def log_probability(lm, translator, z, sentence: str) -> float:
    tokens = torch.tensor(lm.encode(sentence))
    inputs = torch.cat([translator(z[None])[0], lm.embeddings[tokens[:-1]]])
    logits = lm.model(inputs_embeds=inputs[None]).logits[0, translator.prefix_tokens - 1 :]
    return float(logits.log_softmax(-1).gather(1, tokens[:, None]).sum())


def test_the_gradient_is_that_of_the_log_probability(parts):
    lm, translator = parts
    z = torch.linspace(-1, 1, 18).view(3, 6)
    gradients = sentence_gradients(lm, translator, z, SENTENCES, batch=2)
    for row, sentence in enumerate(SENTENCES):
        for i in range(6):
            step = torch.zeros(6)
            step[i] = 1e-2
            up, down = (log_probability(lm, translator, z[row] + sign * step, sentence) for sign in (1, -1))
            assert float(gradients[row, i]) == pytest.approx((up - down) / 2e-2, abs=2e-3, rel=2e-2)


def test_no_sentence_has_no_gradient(parts):
    assert sentence_gradients(*parts, torch.zeros(0, 6), []).shape == (0, 6)


def test_gradients_are_kept_by_image_and_a_damaged_file_is_made_anew(parts, tmp_path, monkeypatch):
    z = torch.linspace(-1, 1, 18).view(3, 6)
    sentences = [SENTENCES[:2], [], SENTENCES]
    first = sentence_gradients_stored(*parts, z, sentences, tmp_path, at_once=2)
    assert [len(gradients) for gradients in first] == [2, 0, 3]
    each = sentence_gradients(*parts, z[2:].expand(3, -1), SENTENCES)
    torch.testing.assert_close(first[2], each, atol=1e-3, rtol=1e-2)  # kept in half precision
    files = sorted(tmp_path.iterdir())
    assert len(files) == 3

    def same(found) -> bool:
        return all(torch.equal(a, b) for a, b in zip(found, first, strict=True))

    with monkeypatch.context() as patch:
        patch.setattr("wordsight.words.gradients.sentence_gradients", None)  # a second call must not compute
        assert same(sentence_gradients_stored(*parts, z, sentences, tmp_path))
        alone = sentence_gradients_stored(*parts, z[2:], sentences[2:], tmp_path)  # nor one for some of the images
        assert torch.equal(alone[0], first[2])
    files[0].write_bytes(b"broken")
    assert same(sentence_gradients_stored(*parts, z, sentences, tmp_path))
    sentence_gradients_stored(*parts, z[:1] + 1, sentences[:1], tmp_path)
    assert len(list(tmp_path.iterdir())) == 4


def test_word_gradients_by_hand():
    gradients = torch.tensor([[3.0, 0], [1, 2], [2, 4]])
    found = word_gradients(gradients, [{"dog", "a"}, {"dog", "a"}, {"cat", "a"}])
    # The mean of all is (2, 2); "a" is in every sentence, so nothing tells its gradient from the mean.
    assert {word: g.tolist() for word, g in found.items()} == {"dog": [0, -1], "cat": [0, 2]}


def test_logit_gradients_by_hand():
    weight = torch.tensor([[1.0, 0], [0, 2], [5, 1]])
    found = logit_gradients(lambda z: z @ weight.T, torch.zeros(2, 2), 1)
    # The row of class 1 less the mean row (2, 1).
    torch.testing.assert_close(found, torch.tensor([[-2.0, 1], [-2, 1]]))
    curved = logit_gradients(lambda z: z.square(), torch.tensor([[1.0, 3.0]]), 0)
    torch.testing.assert_close(curved, torch.tensor([[2.0 - 1, -3.0]]))  # (2a, 0) less half of (2a, 2b)


def test_the_gradient_of_the_word_heads_rate():
    torch.manual_seed(0)
    classifier = tiny_classifier()
    translator, _ = tiny_translator(classifier, tiny_lm())
    z = torch.randn(3, 6)
    assert head_gradients(translator, z, "dog") is None
    translator.words = WordHead(6, ["cat", "dog"], hidden=8, rank=4).eval()
    gradients = head_gradients(translator, z, "dog")
    assert gradients is not None
    assert head_gradients(translator, z, "horse") is None
    for i in range(6):
        step = torch.zeros(6)
        step[i] = 1e-2
        up, down = (translator.word_rates(z + sign * step) for sign in (1, -1))
        assert up is not None
        assert down is not None
        slope = (up.rates[:, 1].log() - down.rates[:, 1].log()) / 2e-2
        assert gradients[:, i].tolist() == pytest.approx(slope.tolist(), abs=1e-3)
