"""Where a direction of the features comes from, by hand and on small real architectures."""

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from doubles import prepare, tiny_classifier
from wordsight.classifiers.modules import classifier as make_classifier
from wordsight.errors import ModelError
from wordsight.features.maps import Box, on_image, view_boxes
from wordsight.runtime import declare_torchvision_operators

declare_torchvision_operators()


class Pooled(nn.Module):
    """A feature map that is the pixels themselves, pooled: everything can be worked out by hand."""

    def __init__(self) -> None:
        super().__init__()
        self.map = nn.Identity()
        self.head = nn.Linear(3, 2)

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        return self.head(self.map(pixels).mean((2, 3)))


def test_the_map_of_a_pooled_feature_by_hand():
    net = Pooled()
    classifier = make_classifier(net, head=net.head, transform=prepare, labels=["a", "b"], name="pooled")
    pixels = torch.zeros(2, 3, 4, 4)
    pixels[0, 1, 0, 3] = 5.0
    pixels[1, 1, 2, 1] = -5.0
    found = classifier.locate(pixels, torch.tensor([[0.0, 1, 0], [0, -2, 0]]))
    expected = torch.zeros(2, 4, 4)
    # Grad-CAM: each place's gradient is direction / 16, their mean too; times the map; what is negative is cut off.
    expected[0, 0, 3], expected[1, 2, 1] = 5 / 16, 10 / 16
    torch.testing.assert_close(found, expected)


@pytest.mark.parametrize("name", ["test_resnet", "test_efficientnet", "test_vit", "test_convnext"])
def test_small_real_architectures_have_maps(name: str):
    import timm

    torch.manual_seed(0)
    net = timm.create_model(name, pretrained=False, num_classes=4)
    net.eval()
    classifier = make_classifier(
        net,
        head=net.get_classifier(),
        transform=lambda image: torch.zeros(1, 3, 160, 160),
        labels=list("abcd"),
        name=name,
    )
    found = classifier.locate(torch.rand(8, 3, 160, 160), torch.randn(8, classifier.features))
    assert found.ndim == 3
    assert found.shape[1] > 1
    assert bool((found >= 0).all())
    assert bool(found.any())


def test_channels_last_maps_are_turned_round():
    import timm

    torch.manual_seed(0)
    net = timm.create_model("swin_tiny_patch4_window7_224", num_classes=3, embed_dim=12, depths=(1, 1), num_heads=(1, 1))
    net.eval()
    classifier = make_classifier(
        net,
        head=net.head.fc,
        transform=lambda image: torch.zeros(1, 3, 224, 224),
        labels=list("abc"),
        name="swin",
    )
    found = classifier.locate(torch.rand(1, 3, 224, 224), torch.randn(1, classifier.features))
    assert found.shape == (1, 28, 28)


def test_a_classifier_without_places_is_refused():
    classifier = tiny_classifier()
    with pytest.raises(ModelError, match="'tiny' has no layer with a spatial feature map, so words cannot be located"):
        classifier.locate(torch.rand(1, 3, 8, 8), torch.randn(1, 6))


def test_no_hook_is_left_behind():
    net = Pooled()
    classifier = make_classifier(net, head=net.head, transform=prepare, labels=["a", "b"], name="pooled")
    classifier.locate(torch.rand(1, 3, 4, 4), torch.ones(1, 3))
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in net.modules())


def test_boxes_of_views_are_found_whatever_the_preparation_does():
    from timm.data import create_transform

    crop = create_transform(input_size=(3, 224, 224), crop_pct=0.875, interpolation="bicubic", mean=(0.5,) * 3, std=(0.5,) * 3)
    (box,) = view_boxes(lambda image: crop(image)[None], (512, 256))
    # The short side, 256, is left as it is; 224 of 512 and 224 of 256 are kept.
    assert (box.left, box.right) == (pytest.approx(144 / 512, abs=0.01), pytest.approx(368 / 512, abs=0.01))
    assert (box.top, box.bottom) == (pytest.approx(16 / 256, abs=0.01), pytest.approx(240 / 256, abs=0.01))


def test_boxes_of_several_views():
    def both(image: Image.Image) -> torch.Tensor:
        half = image.crop((0, 0, image.width // 2, image.height))
        return torch.cat([prepare(image), prepare(half)])

    whole, left = view_boxes(both, (400, 200))
    assert (whole.left, whole.top, whole.right, whole.bottom) == pytest.approx((0, 0, 1, 1), abs=0.02)
    assert (left.left, left.top, left.right, left.bottom) == pytest.approx((0, 0, 0.5, 1), abs=0.02)


def test_maps_are_laid_on_the_picture():
    left = on_image([torch.ones(2, 2)], [Box(0, 0, 0.5, 1)], side=4)
    np.testing.assert_allclose(left, [[1, 1, 0, 0]] * 4)
    # Two views of the whole image: their mean, scaled to a largest value of 1.
    both = on_image([torch.full((2, 2), 3.0), torch.full((2, 2), 1.0)], [Box(0, 0, 1, 1)] * 2, side=2)
    np.testing.assert_allclose(both, np.ones((2, 2)))
    nothing = on_image([torch.zeros(2, 2)], [Box(0, 0, 1, 1)], side=2)
    assert not nothing.any()
