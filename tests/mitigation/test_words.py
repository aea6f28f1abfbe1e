"""Where a mitigation takes its word from."""

import numpy as np
import pytest
import torch
from PIL import Image

from doubles import prepare, tiny_classifier, tiny_lm, tiny_translator
from wordsight.errors import TranslatorError
from wordsight.explain import Explainer
from wordsight.images.labelled import LabelledImages
from wordsight.mitigation.run import mitigate
from wordsight.mitigation.words import source_of
from wordsight.translator.word_head import WordHead
from wordsight.words.gradients import head_gradients


def explainer_with_head() -> Explainer:
    classifier, lm = tiny_classifier(), tiny_lm()
    translator, card = tiny_translator(classifier, lm)
    torch.manual_seed(0)
    translator.words = WordHead(6, ["ball", "grass"], hidden=8, rank=4)
    for name, weight in translator.words.named_parameters():
        weight.data *= 6 if "weight" in name else 0
    return Explainer(classifier, lm=lm, translator=(translator, card))


def test_the_word_head_is_the_default_where_it_has_the_word():
    models = explainer_with_head().models
    assert (source_of(models, "ball", None), source_of(models, "cow", None)) == ("head", "sentences")
    assert source_of(models, "ball", "both") == "both"
    with pytest.raises(
        TranslatorError, match=r"'bal' came for the word head, which knows 2 words .* Did you mean 'ball'\? Take"
    ):
        source_of(models, "bal", "head")
    with pytest.raises(ValueError, match="words is 'dreams', wanted one of"):
        source_of(models, "ball", "dreams")


def test_the_gradient_of_the_word_head_is_that_of_its_log_rate():
    models, z = explainer_with_head().models, torch.randn(3, 6, generator=torch.Generator().manual_seed(1))
    gradient = head_gradients(models.translator, z, "grass")
    assert head_gradients(models.translator, z, "cow") is None
    step = 1e-2 * torch.eye(6)
    for row in range(3):
        up, down = (models.word_rates(z[row] + sign * step).rates[:, 1].log() for sign in (1, -1))
        torch.testing.assert_close(gradient[row], (up - down) / 2e-2, atol=2e-2, rtol=2e-2)


def test_a_mitigation_with_the_word_head_samples_no_sentence(tmp_path, monkeypatch):
    def sampled(*_args, **_options):
        raise AssertionError("a sentence was sampled")

    monkeypatch.setattr("wordsight.audits.observations.sample_stored", sampled)
    draw, paths = np.random.default_rng(0), [tmp_path / f"{i}.png" for i in range(90)]
    for path in paths:
        Image.fromarray(draw.integers(0, 255, (1, 1, 3), dtype=np.uint8)).resize((8, 8)).save(path)
    explainer = explainer_with_head()
    pixels = torch.stack([prepare(Image.open(path)) for path in paths])
    explainer.models.translator.learn_scale(explainer.classifier.features_of(pixels))
    images = LabelledImages(paths, [("red", "green", "blue")[i % 3] for i in range(90)])
    result = mitigate(explainer, images, ("red", "ball"), store=tmp_path / "store")
    assert result.words == "head"
    assert result.head is not None
    assert len(result.head.trained_on) == 90 - sum(group.images for group in result.before.groups)
