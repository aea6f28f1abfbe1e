"""Heat maps of words and classes, on tiny models."""

import dataclasses
from collections import Counter

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from doubles import prepare, tiny_lm, tiny_translator
from wordsight.classifiers.modules import classifier as make_classifier
from wordsight.errors import ModelError, WordsightError
from wordsight.explain import Explainer
from wordsight.features.maps import HeatMap, class_map
from wordsight.sentences.estimates import WordRate, WordRates
from wordsight.sentences.sampler import Sampled
from wordsight.sentences.sampling import Sampling


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.map = nn.Conv2d(3, 6, 3, padding=1)
        self.head = nn.Linear(6, 3)

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        return self.head(self.map(pixels).relu().mean((2, 3)))


@pytest.fixture
def explainer(cache) -> Explainer:
    torch.manual_seed(1)
    net = Net()
    classifier = make_classifier(net, head=net.head, transform=prepare, labels=["red", "green", "blue"], name="net")
    lm = tiny_lm()
    return Explainer(classifier, lm=lm, translator=tiny_translator(classifier, lm))


IMAGE = Image.effect_mandelbrot((40, 30), (-2.1, -1.1, 0.7, 1.3), 40).convert("RGB")


def test_words_and_classes_have_maps_from_the_explanations_own_sentences(explainer, monkeypatch):
    (result,) = explainer.explain(IMAGE, Sampling(sentences=100))
    monkeypatch.setattr("wordsight.explain.sample", None)  # nothing is sampled again
    maps = [explainer.word_map(result, word) for word in ("dog", "cat")]
    assert [found.about for found in maps] == ["dog", "cat"]
    of_class = [explainer.class_map(result, "green"), explainer.class_map(result)]
    assert [found.about for found in of_class] == ["green", result.prediction[0].label]
    for found in maps + of_class:
        assert found.values.min() >= 0
        assert found.values.max() in (0, pytest.approx(1))
        assert found.plot().axes


def test_the_same_seed_gives_the_same_map(explainer):
    first, second = (
        explainer.word_map(explainer.explain(IMAGE, Sampling(sentences=60, seed=3))[0], "dog").values for _ in range(2)
    )
    np.testing.assert_array_equal(first, second)


def test_words_in_no_sentence_and_unknown_classes_are_refused(explainer):
    (result,) = explainer.explain(IMAGE, Sampling(sentences=50))
    with pytest.raises(WordsightError, match="'cow' is in none of 50 sentences, wanted some with it and some without"):
        explainer.word_map(result, "cow")
    rates = WordRates({**result.sampled.rates.words, "owl": WordRate(0, 0.013, 0.0, 0.05)}, 50)
    expected = dataclasses.replace(result, sampled=Sampled(result.sampled.sentences, rates))
    with pytest.raises(
        WordsightError, match=r"'owl' is expected in 1.3% of the sentences, but none of the 50 .* has it. Sample"
    ):
        explainer.word_map(expected, "owl")
    everywhere = dataclasses.replace(result, sampled=Sampled(Counter({"a dog": 9}), result.sampled.rates))
    with pytest.raises(WordsightError, match="'dog' is in all of 50 sentences"):
        explainer.word_map(everywhere, "dog")
    with pytest.raises(WordsightError, match="'cow' is none of the 3 classes of 'net'"):
        explainer.class_map(result, "cow")


def test_a_classifier_that_cannot_be_located_in_is_refused(explainer):
    blind = type(explainer.classifier)(**{**vars(explainer.classifier), "locate": None})
    with pytest.raises(ModelError, match="'net' cannot be located in; build it with classifier"):
        class_map(blind, Image.new("RGB", (20, 20)), "red")


def test_the_share_inside_a_box_by_hand():
    values = np.zeros((4, 4))
    values[0, 0], values[3, 3], values[1, 2] = 1.0, 1.0, 2.0
    one = HeatMap("dog", values)
    assert one.share_inside(0, 0, 0.5, 0.5) == 0.25
    assert one.share_inside(0.5, 0, 1, 0.5) == 0.5
    assert HeatMap("dog", np.zeros((4, 4))).share_inside(0, 0, 1, 1) == 0
