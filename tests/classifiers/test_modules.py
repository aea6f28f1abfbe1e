"""A classifier from any module: outputs, wrappers, precision, heads of several layers, and what is said when it cannot be."""

import copy
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from doubles import TinyNet, prepare
from wordsight.classifiers.modules import classifier as make_classifier
from wordsight.errors import ModelError
from wordsight.features.extraction import extract

IMAGE = Image.fromarray(np.random.default_rng(0).integers(0, 256, (16, 12, 3), dtype=np.uint8))


class Wrapped(nn.Module):
    """A tiny net whose output is packed in some way."""

    def __init__(self, pack) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.net, self.pack = TinyNet(), pack

    def forward(self, pixels: torch.Tensor):
        return self.pack(self.net(pixels))


class Output(dict):
    """Like Hugging Face's outputs: keys and attributes."""

    @property
    def logits(self):
        return self["logits"]


@pytest.mark.parametrize(
    "pack",
    [
        lambda y: y,
        lambda y: (y, None),
        lambda y: [y, y * 2],
        lambda y: {"logits": y, "loss": y.sum()},
        lambda y: {"out": y, "aux": 2 * y},
        lambda y: {"scores": y},
        lambda y: Output(logits=y),
    ],
)
def test_every_kind_of_output(pack):
    net = Wrapped(pack)
    classifier = make_classifier(net, transform=prepare)
    z = classifier.features_of(classifier.prepare(IMAGE)[None])[:, 0]
    torch.testing.assert_close(classifier.logits(z), net.net(prepare(IMAGE)))
    assert classifier.labels == ("class 0", "class 1", "class 2")
    assert classifier.name == "Wrapped"
    assert classifier.spec is None


@pytest.mark.parametrize("wrap", [nn.DataParallel, lambda net: torch.compile(net, backend="eager")])
def test_wrapped_models(wrap):
    torch.manual_seed(0)
    net = TinyNet()
    plain = make_classifier(copy.deepcopy(net), transform=prepare, name="net")
    wrapped = make_classifier(wrap(net), transform=prepare, name="net")
    assert wrapped.fingerprint == plain.fingerprint
    pixels = plain.prepare(IMAGE)[None]
    torch.testing.assert_close(wrapped.features_of(pixels), plain.features_of(pixels))


def test_half_precision():
    torch.manual_seed(0)
    net = TinyNet().to(torch.bfloat16)
    classifier = make_classifier(net, transform=prepare)
    z = classifier.features_of(classifier.prepare(IMAGE)[None])[:, 0]
    assert z.dtype == torch.float32
    assert torch.equal(classifier.logits(z), net(prepare(IMAGE).bfloat16()).float())


class Deep(nn.Module):
    """A head of two linear layers with dropout."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.body = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten())
        self.top = nn.Sequential(nn.Dropout(0.9), nn.Linear(3, 7), nn.ReLU(), nn.Dropout(0.9), nn.Linear(7, 4))

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        return self.top(self.body(pixels))


@pytest.mark.parametrize("head", [None, "top"])
def test_a_head_of_several_layers_reads_the_input_of_its_first_linear_layer(head):
    net = Deep()
    classifier = make_classifier(net, transform=prepare, head=head)
    z = classifier.features_of(classifier.prepare(IMAGE)[None])[:, 0]
    torch.testing.assert_close(z, prepare(IMAGE).mean((2, 3)))
    torch.testing.assert_close(classifier.logits(z), net(prepare(IMAGE)))
    assert classifier.head_weight is None
    assert not net.training


def test_one_logit_is_two_classes():
    torch.manual_seed(0)
    net = TinyNet(classes=1)
    classifier = make_classifier(net, transform=prepare, labels=["no", "yes"])
    z = classifier.features_of(classifier.prepare(IMAGE)[None])[:, 0]
    expected = net(prepare(IMAGE)).sigmoid()
    torch.testing.assert_close(classifier.probabilities(z), torch.cat([1 - expected, expected], 1))
    torch.testing.assert_close(classifier.head_weight, torch.cat([torch.zeros(1, 6), net.head.weight.detach()]))


def test_the_user_s_parameters_stay_trainable_and_no_hook_stays():
    net = TinyNet()
    make_classifier(net, transform=prepare)
    assert all(parameter.requires_grad for parameter in net.parameters())
    assert not any(layer._forward_hooks or layer._forward_pre_hooks for layer in net.modules())


@pytest.mark.parametrize(
    "transform",
    [
        lambda image: prepare(image)[0],
        lambda image: prepare(image).numpy(),
        lambda image: {"pixel_values": prepare(image)},
        lambda image: {"pixel_values": [prepare(image)[0].numpy()]},
    ],
)
def test_every_kind_of_transform(transform):
    torch.manual_seed(0)
    classifier = make_classifier(TinyNet(), transform=transform)
    torch.testing.assert_close(classifier.prepare(IMAGE), prepare(IMAGE))


class Scaled(TinyNet):
    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        return 3 * super().forward(pixels)


class Twice(TinyNet):
    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        z = self.body(pixels.mean((2, 3))).relu()
        self.head(z)
        return self.head(z)


class Maps(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.last = nn.Conv2d(3, 2, 1)

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        return self.last(pixels).mean((2, 3))


@pytest.mark.parametrize(
    ("net", "options", "message"),
    [
        (Scaled(), {}, "The head of 'Scaled' cannot be found: 0 linear layers have one vector an image as input and the module's "
         "logits as output, wanted one. Give it as head=, a module or its name. Candidates: 'body' (3 to 6), 'head' (6 to 3)."),
        (Scaled(), {"head": "head"}, "The head of 'Scaled' does not give the logits that the module itself gives"),
        (Maps(), {}, "Candidates: none."),
        (Twice(), {"head": "head"}, "The head of 'Twice' ran 2 times in one forward pass, wanted once."),
        (TinyNet(), {"head": "tail"}, "'TinyNet' has no layer 'tail'. Give head= one of its layers; at the top are: body, head."),
        (TinyNet(), {"labels": ["a"]}, "'TinyNet' has 3 classes but 1 labels came; give one label for each class, in order."),
        (TinyNet(), {"transform": lambda image: torch.zeros(4, 4)}, "gave a tensor of shape (4, 4), wanted (3, height, width)"),
        (Wrapped(lambda y: None), {"head": "net.head"}, "'Wrapped' returns no logits that can be recognised."),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said(net, options, message):
    with pytest.raises(ModelError) as caught:
        make_classifier(net, **{"transform": prepare, **options})
    assert message in str(caught.value)


class Pointwise(nn.Module):
    """A head that is a 1x1 convolution after the pooling."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.body, self.head = nn.Conv2d(3, 6, 3), nn.Conv2d(6, 3, 1)

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        return self.head(self.body(pixels).relu().mean((2, 3), keepdim=True)).flatten(1)


class Tokens(nn.Module):
    """A head that is called on every token; with a keyword."""

    def __init__(self, *, pooled: bool) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.body, self.head, self.pooled = nn.Conv2d(3, 6, 4, stride=4), nn.Linear(6, 3), pooled

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        tokens = self.body(pixels).flatten(2).transpose(1, 2)
        return self.head(input=tokens.mean(1)) if self.pooled else self.head(tokens).mean(1)


@pytest.mark.parametrize("head", [None, "head"])
@pytest.mark.parametrize("net", [Pointwise(), Tokens(pooled=True)])
def test_heads_that_are_convolutions_or_called_with_a_keyword(net, head):
    classifier = make_classifier(net, transform=prepare, head=head)
    z = classifier.features_of(classifier.prepare(IMAGE)[None])[:, 0]
    assert z.shape == (1, 6)
    torch.testing.assert_close(classifier.logits(z), net(prepare(IMAGE)))
    assert classifier.head_weight.shape == (3, 6)
    assert classifier.locate(prepare(IMAGE), torch.ones(1, 6)).shape[0] == 1


def test_a_head_on_every_token_is_refused_with_what_it_gets():
    with pytest.raises(ModelError, match=r"gets a tensor of shape \(1, \d+, 6\), wanted one vector an image") as caught:
        make_classifier(Tokens(pooled=False), transform=prepare, head="head")
    assert "the last layers after the pooling" in str(caught.value)


def test_torchscript_is_refused_with_the_way_out():
    script = torch.jit.trace(TinyNet(), prepare(IMAGE))
    with pytest.raises(ModelError, match="is TorchScript, whose layers do not show their inputs"):
        make_classifier(script, transform=prepare)


@pytest.mark.parametrize("labels", [{0: "a", 1: "b", 2: "c"}, {"2": "c", "0": "a", "1": "b"}, ("a", "b", "c")])
def test_labels_by_number(labels):
    assert make_classifier(TinyNet(), transform=prepare, labels=labels).labels == ("a", "b", "c")


def test_labels_that_are_numbers_are_their_text():
    assert make_classifier(TinyNet(), transform=prepare, labels=[7, 8, 9]).labels == ("7", "8", "9")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"labels": {1: "a", 2: "b", 3: "c"}}, "are a dict with the keys [1, 2, 3]..., wanted 0, 1, 2, ..."),
        ({"labels": {"x": "a"}}, "are a dict with the key 'x', wanted class numbers"),
        (
            {"transform": lambda image: image},
            "returned a PIL image (320 x 320), wanted a tensor (3, height, width). Add ToTensor",
        ),
        ({"transform": lambda image: None}, "returned NoneType, wanted a tensor (3, height, width)."),
        ({"transform": lambda image: prepare(image)[0, :1]}, "gave a tensor of shape (1, "),
    ],
)
def test_what_is_wrong_with_labels_and_transforms_is_said(options, message):
    with pytest.raises(ModelError) as caught:
        make_classifier(TinyNet(), **{"transform": prepare, **options})
    assert message in str(caught.value)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float64])
def test_other_precisions_have_features_logits_and_maps(dtype):
    net = Pointwise().to(dtype)
    classifier = make_classifier(net, transform=prepare)
    z = classifier.features_of(classifier.prepare(IMAGE)[None])[:, 0]
    assert z.dtype == classifier.logits(z).dtype == torch.float32
    assert classifier.locate(prepare(IMAGE), torch.ones(1, 6)).dtype == torch.float32


def test_a_head_behind_dropout_has_maps():
    net = nn.Sequential(
        nn.Conv2d(3, 6, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Sequential(nn.Dropout(), nn.Linear(6, 3))
    )
    classifier = make_classifier(net, transform=prepare)
    assert classifier.head_weight.shape == (3, 6)
    assert classifier.locate(prepare(IMAGE), torch.ones(1, 6)).shape[0] == 1


def test_threads_may_share_a_classifier():
    classifier = make_classifier(TinyNet(), transform=prepare)
    pixels = classifier.prepare(IMAGE)[None]
    wanted = classifier.features_of(pixels)
    with ThreadPoolExecutor(8) as pool:
        for found in pool.map(lambda _: classifier.features_of(pixels), range(200)):
            torch.testing.assert_close(found, wanted)


def test_images_of_different_sizes_go_one_by_one_and_other_numbers_of_views_are_named():
    sizes = iter([8, 8, 12, 8])
    net = Pointwise()
    classifier = make_classifier(net, transform=lambda image: torch.zeros(3, 8, 8))
    classifier = replace(classifier, prepare=lambda image: torch.ones(1, 3, (side := next(sizes)), side))
    found = extract(classifier, [IMAGE] * 4)
    assert found.readable == [0, 1, 2, 3]
    views = iter([1, 2, 1])
    classifier = replace(classifier, prepare=lambda image: torch.ones(next(views), 3, 8, 8))
    found = extract(classifier, [IMAGE] * 3)
    assert found.readable == [0, 2]
    assert found.failures == {1: "the transform made 2 views of it, and 1 of the images before; wanted as many"}
