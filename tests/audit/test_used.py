"""Gradients of sentences and words, against finite differences and by hand, on a tiny language model."""

import pytest
import torch

from doubles import tiny_classifier, tiny_lm, tiny_translator
from wordsight.audit.used import cosines, logit_gradients, sentence_gradients, sentence_gradients_stored, word_gradients

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


def test_gradients_are_kept_and_a_damaged_file_is_made_anew(parts, tmp_path, monkeypatch):
    z = torch.linspace(-1, 1, 18).view(3, 6)
    first = sentence_gradients_stored(*parts, z, SENTENCES, tmp_path)
    (file,) = tmp_path.iterdir()
    with monkeypatch.context() as patch:
        patch.setattr("wordsight.audit.used.sentence_gradients", None)  # a second call must not compute
        assert torch.equal(sentence_gradients_stored(*parts, z, SENTENCES, tmp_path), first)
    file.write_bytes(b"broken")
    assert torch.equal(sentence_gradients_stored(*parts, z, SENTENCES, tmp_path), first)
    sentence_gradients_stored(*parts, z + 1, SENTENCES, tmp_path)
    assert len(list(tmp_path.iterdir())) == 2


def test_word_gradients_by_hand():
    gradients = torch.tensor([[3.0, 0], [1, 2], [2, 4]])
    found = word_gradients(gradients, [{"dog", "a"}, {"dog", "a"}, {"cat", "a"}])
    # The mean of all is (2, 2); "a" is in every sentence, so nothing tells its gradient from the mean.
    assert {word: g.tolist() for word, g in found.items()} == {"dog": [0, -1], "cat": [0, 2]}


def test_cosines_by_hand():
    found = cosines(
        torch.tensor([1.0, 1]), {"up": torch.tensor([2.0, 2]), "across": torch.tensor([1.0, -1]), "no": torch.zeros(2)}
    )
    assert found == {"up": pytest.approx(1), "across": pytest.approx(0)}


def test_logit_gradients_by_hand():
    weight = torch.tensor([[1.0, 0], [0, 2], [5, 1]])
    found = logit_gradients(lambda z: z @ weight.T, torch.zeros(2, 2), 1)
    # The row of class 1 less the mean row (2, 1).
    torch.testing.assert_close(found, torch.tensor([[-2.0, 1], [-2, 1]]))
    curved = logit_gradients(lambda z: z.square(), torch.tensor([[1.0, 3.0]]), 0)
    torch.testing.assert_close(curved, torch.tensor([[2.0 - 1, -3.0]]))  # (2a, 0) less half of (2a, 2b)
