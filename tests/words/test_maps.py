"""Heat maps of words and classes, on tiny models."""

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
from wordsight.words.maps import word_maps


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.map = nn.Conv2d(3, 6, 3, padding=1)
        self.head = nn.Linear(6, 3)

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        return self.head(self.map(pixels).relu().mean((2, 3)))


@pytest.fixture
def explainer() -> Explainer:
    torch.manual_seed(1)
    net = Net()
    classifier = make_classifier(net, head=net.head, transform=prepare, labels=["red", "green", "blue"], name="net")
    lm = tiny_lm()
    return Explainer(classifier, lm, *tiny_translator(classifier, lm))


def test_words_and_classes_have_maps(explainer):
    picture = Image.effect_mandelbrot((40, 30), (-2.1, -1.1, 0.7, 1.3), 40).convert("RGB")
    maps = word_maps(explainer, picture, ["dog", "cat"], sentences=100)
    assert [m.about for m in maps] == ["dog", "cat"]
    for one in [*maps, class_map(explainer.classifier, picture, "green")]:
        assert one.values.min() >= 0
        assert one.values.max() in (0, pytest.approx(1))


def test_the_same_seed_gives_the_same_map(explainer):
    picture = Image.new("RGB", (20, 20), "red")
    first, second = (word_maps(explainer, picture, ["dog"], sentences=60, seed=3)[0] for _ in range(2))
    np.testing.assert_array_equal(first.values, second.values)


def test_words_that_are_not_said_and_unknown_classes_are_refused(explainer):
    picture = Image.new("RGB", (20, 20), "red")
    with pytest.raises(WordsightError, match="'cow' is in none of 50 sentences, wanted some with it and some without"):
        word_maps(explainer, picture, ["cow"], sentences=50)
    with pytest.raises(WordsightError, match="'cow' is none of the 3 classes of 'net'"):
        class_map(explainer.classifier, picture, "cow")


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
