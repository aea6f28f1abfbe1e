"""Heads of every kind, models in every precision, transforms that give something else: it works, or the error names it."""

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from doubles import TinyNet, prepare
from wordsight.classifiers.classifier import Classifier
from wordsight.classifiers.modules import classifier as make_classifier
from wordsight.errors import ModelError
from wordsight.features.extraction import extract
from wordsight.features.maps import class_map

IMAGE = Image.fromarray(np.random.default_rng(0).integers(0, 256, (24, 18, 3), dtype=np.uint8))


class Net(nn.Module):
    """One convolution, then a head of some kind."""

    def __init__(self, kind: str = "plain", *, channels: int = 3) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.kind, self.body = kind, nn.Conv2d(channels, 8, 3, padding=1)
        classes = 1 if kind in ("one", "sigmoid", "squeezed") else 3
        layer = nn.Conv2d(8, classes, 1) if kind in ("map", "pooled map") else nn.Linear(8, classes)
        endings = {"softmax layer": nn.Softmax(1), "log-softmax layer": nn.LogSoftmax(1), "sigmoid layer": nn.Sigmoid()}
        self.fc = nn.Sequential(nn.Dropout(), layer, endings[kind]) if kind in endings else layer
        if kind == "dropout":
            self.fc = nn.Sequential(nn.Dropout(), layer)

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        maps = self.body(pixels).relu()
        tokens, pooled = maps.flatten(2).transpose(1, 2), maps.mean((2, 3))
        made = {
            "map": lambda: self.fc(pooled[:, :, None, None]).flatten(1),
            "pooled map": lambda: self.fc(maps).mean((2, 3)),
            "keyword": lambda: self.fc(input=pooled),
            "first token": lambda: self.fc(tokens)[:, 0],
            "last token": lambda: self.fc(tokens)[:, -1],
            "mean token": lambda: self.fc(tokens).mean(1),
            "softmax": lambda: self.fc(pooled).softmax(1),
            "log-softmax": lambda: self.fc(pooled).log_softmax(1),
            "sigmoid": lambda: self.fc(pooled).sigmoid(),
            "several sigmoids": lambda: self.fc(pooled).sigmoid(),
            "squeezed": lambda: self.fc(pooled).sigmoid().squeeze(1),
        }
        return made.get(self.kind, lambda: self.fc(pooled))()


def pixels(image: Image.Image, channels: int = 3) -> torch.Tensor:
    values = torch.from_numpy(np.asarray(image.resize((16, 16)), dtype=np.float32) / 255).permute(2, 0, 1)
    return {1: values.mean(0, keepdim=True), 3: values, 4: torch.cat([values, torch.ones(1, 16, 16)])}[channels]


def probabilities(classifier: Classifier) -> torch.Tensor:
    return classifier.probabilities(extract(classifier, [IMAGE]).views.mean(1))[0]


def own(net: nn.Module) -> torch.Tensor:
    with torch.inference_mode():
        return net.eval()(pixels(IMAGE)[None]).float().flatten()


KINDS = ("plain", "dropout", "map", "pooled map", "keyword", "first token", "last token", "mean token", "log-softmax")


@pytest.mark.parametrize("head", [None, "fc"])
@pytest.mark.parametrize("kind", [*KINDS, "softmax", "softmax layer", "log-softmax layer"])
def test_heads_of_every_kind(kind, head):
    net = Net(kind)
    classifier = make_classifier(net, transform=pixels, head=head)
    expected = own(net) if kind.startswith("softmax") else own(net).softmax(0)
    torch.testing.assert_close(probabilities(classifier), expected, atol=1e-4, rtol=1e-3)
    assert classifier.head_weight is not None
    heat = class_map(classifier, IMAGE, classifier.labels[1]).values
    assert heat.max() == pytest.approx(1)


@pytest.mark.parametrize("kind", ["one", "sigmoid", "squeezed"])
@pytest.mark.parametrize("head", [None, "fc"])
def test_one_output_is_two_classes_with_or_without_a_sigmoid(kind, head):
    net = Net(kind)
    classifier = make_classifier(net, transform=pixels, head=head, labels=["defect"])
    assert classifier.labels == ("not defect", "defect")
    expected = own(net).sigmoid() if kind == "one" else own(net)
    torch.testing.assert_close(probabilities(classifier)[1:], expected, atol=1e-4, rtol=1e-3)


def test_a_sigmoid_for_each_of_several_classes_is_said(caplog):
    net = Net("several sigmoids")
    made = probabilities(make_classifier(net, transform=pixels))
    torch.testing.assert_close(made, own(net).logit().softmax(0), atol=1e-4, rtol=1e-3)
    assert "'Net' ends in a sigmoid for each of its 3 classes: an image may have several." in caplog.text


class Packed(nn.Module):
    """A head whose layers are not linear layers."""

    def __init__(self, ending: str) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.weight, self.ending = nn.Parameter(torch.randn(1 if ending == "sigmoid" else 3, 8)), ending

    def forward(self, z: torch.Tensor) -> torch.Tensor:
        logits = z @ self.weight.T
        return {"none": logits, "softmax": logits.softmax(1), "sigmoid": logits.sigmoid()}[self.ending]


@pytest.mark.parametrize("ending", ["none", "softmax", "sigmoid"])
def test_a_head_of_one_s_own_that_ends_in_probabilities_is_not_put_through_softmax_twice(ending):
    net = Net()
    net.fc = Packed(ending)
    expected = own(net).softmax(0) if ending == "none" else own(net)
    made = probabilities(make_classifier(net, transform=pixels, head="fc"))
    torch.testing.assert_close(made[1:] if ending == "sigmoid" else made, expected, atol=1e-4, rtol=1e-3)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_every_precision_with_heat_maps(dtype):
    net = Net().to(dtype)
    classifier = make_classifier(net, transform=pixels)
    with torch.inference_mode():
        expected = net(pixels(IMAGE)[None].to(dtype)).float().softmax(1)[0]
    torch.testing.assert_close(probabilities(classifier), expected, atol=1e-2, rtol=1e-2)
    assert class_map(classifier, IMAGE, classifier.labels[0]).values.max() == pytest.approx(1)


@pytest.mark.parametrize("channels", [1, 4])
def test_any_number_of_channels_with_heat_maps(channels):
    classifier = make_classifier(Net(channels=channels), transform=lambda image: pixels(image, channels))
    assert extract(classifier, [IMAGE]).views.shape == (1, 1, 8)
    assert max(class_map(classifier, IMAGE, label).values.max() for label in classifier.labels) == pytest.approx(1)


def test_a_scripted_backbone_with_a_plain_head():
    class Half(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            torch.manual_seed(0)
            self.body = torch.jit.trace(nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten()).eval(), torch.zeros(1, 3, 8, 8))
            self.fc = nn.Linear(3, 2)

        def forward(self, pixels: torch.Tensor) -> torch.Tensor:
            return self.fc(self.body(pixels))

    net = Half()
    torch.testing.assert_close(probabilities(make_classifier(net, transform=pixels)), own(net).softmax(0))


def fails(image: Image.Image) -> torch.Tensor:
    raise KeyError("mean")


@pytest.mark.parametrize(
    ("transform", "message"),
    [
        (lambda image: image.resize((8, 8)), "gave a PIL image of 8 x 8 pixels, wanted (channels, height, width) or (views,"),
        (lambda image: pixels(image)[0], "gave a tensor of shape (16, 16), wanted (channels, height, width)"),
        (lambda image: None, "gave nothing, wanted"),
        (lambda image: {"pixels": 1}, "gave a dict, wanted"),
        (
            lambda image: pixels(image).permute(1, 2, 0),
            "'Net' fails on what its transform gives, a tensor of shape (1, 16, 16, 3)",
        ),
        (fails, "The transform of 'Net' (fails) failed on an RGB image of 320 x 320 pixels (KeyError: 'mean')."),
    ],
)
def test_a_transform_that_gives_something_else_is_named(transform, message):
    with pytest.raises(ModelError) as caught:
        make_classifier(Net(), transform=transform)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    "labels", [{0: "a", 1: "b", 2: "c"}, {"2": "c", "1": "b", "0": "a"}, {"c": 2, "a": 0, "b": 1}, np.array(["a", "b", "c"])]
)
def test_labels_as_dicts_and_arrays(labels):
    assert make_classifier(TinyNet(), transform=prepare, labels=labels).labels == ("a", "b", "c")


def test_labels_that_are_numbers_are_text():
    assert make_classifier(TinyNet(), transform=prepare, labels={1: 7, 0: 5, 2: 9}).labels == ("5", "7", "9")
    with pytest.raises(
        ModelError, match=r"The labels of 'TinyNet' cannot be read \(.*Wanted one name for each class, in order, or a"
    ):
        make_classifier(TinyNet(), transform=prepare, labels={"cat": "x"})
    assert make_classifier(TinyNet(), transform=prepare, labels=range(3)).labels == ("0", "1", "2")
