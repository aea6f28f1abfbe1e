"""A classifier from any module: outputs, wrappers, precision, heads of several layers, and what is said when it cannot be."""

import copy
import inspect

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from doubles import TinyNet, prepare
from wordsight.classifiers.modules import classifier as make_classifier
from wordsight.errors import ModelError

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


class Named(nn.Module):
    """Layers that want a map, in a module of its own."""

    def __init__(self, last: nn.Module) -> None:
        super().__init__()
        self.inner = [last]  # not a submodule

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        return self.inner[0](pixels)


class Squeezed(nn.Module):
    """A convolution, then ReLU: no linear layer makes the logits."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.last = nn.Sequential(nn.Conv2d(3, 2, 1), nn.ReLU())
        differences = torch.tensor([[1.0, -1, 0], [0, 1, -1]])  # some positions are cut off, others not
        self.last[0].weight.data = differences[:, :, None, None]
        self.named = Named(self.last)

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        return self.named(pixels).mean((2, 3))


@pytest.mark.parametrize(
    ("net", "options", "message"),
    [
        (Scaled(), {}, "The head of 'Scaled' cannot be found: 0 linear layers make the module's logits of one vector an image, of the "
         "first or last token, or of the mean of tokens or positions; wanted one. Give it as head=, a module or its name. "
         "Candidates: 'body' (3 to 6), 'head' (6 to 3)."),
        (Scaled(), {"head": "head"}, "The head of 'Scaled' does not give the logits that the module itself gives"),
        (Squeezed(), {}, "Candidates: 'last.0' (3 to 2)."),
        (Squeezed(), {"head": "last"}, "cannot be called with one vector an image (RuntimeError: "),
        (Squeezed(), {"head": "named"}, "The head of 'Squeezed' cannot be called with one vector an image (RuntimeError: "),
        (Twice(), {"head": "head"}, "The head of 'Twice' ran 2 times in one forward pass, wanted once."),
        (TinyNet(), {"head": "tail"}, "'TinyNet' has no layer 'tail'. Give head= one of its layers; at the top are: body, head."),
        (TinyNet(), {"labels": ["a"]}, "'TinyNet' has 3 classes but 1 labels came; give one label for each class, in order."),
        (TinyNet(), {"labels": {0: "a"}}, "'TinyNet' has 3 classes but 1 labels came"),
        (torch.jit.script(TinyNet()), {}, "is a TorchScript module: what happens between its layers cannot be seen"),
        (torch.jit.trace(TinyNet().eval(), torch.zeros(1, 3, 8, 8)), {"head": "head"}, "is a TorchScript module: what happens"),
        (Wrapped(lambda y: None), {"head": "net.head"}, "'Wrapped' returns no logits that can be recognised."),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said(net, options, message):
    with pytest.raises(ModelError) as caught:
        make_classifier(net, **{"transform": prepare, **options})
    assert message in str(caught.value)


def test_weights_alone_are_no_network():
    with pytest.raises(
        ModelError, match=r"A OrderedDict came as the network, wanted a torch\.nn\.Module: build the model, and load weights"
    ):
        inspect.unwrap(make_classifier)(TinyNet().state_dict(), transform=prepare)  # without the tests' check of types
