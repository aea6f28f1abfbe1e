"""Architectures of every common kind, with random weights: the head's logits are the model's own, heat maps fit, no hook stays."""

from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from wordsight.classifiers.last_layer import logits_of
from wordsight.classifiers.modules import classifier as make_classifier
from wordsight.features.maps import class_map
from wordsight.runtime import declare_torchvision_operators

declare_torchvision_operators()


def transform_to(side: int):
    def transform(image: Image.Image) -> torch.Tensor:
        small = np.asarray(image.resize((side, side)), dtype=np.float32) / 127.5 - 1
        return torch.from_numpy(small).permute(2, 0, 1)

    return transform


def timm_model(name: str, **options) -> tuple[nn.Module, int]:
    import timm

    net: Any = timm.create_model(name, pretrained=False, num_classes=5, **options)
    return net, net.pretrained_cfg.get("input_size", (3, 64, 64))[-1] if "test_" not in name else 160


def torchvision_model(name: str, side: int = 64, **options) -> tuple[nn.Module, int]:
    from torchvision import models

    return models.get_model(name, weights=None, num_classes=5, **options), side


def huggingface_vit() -> tuple[nn.Module, int]:
    from transformers import ViTConfig, ViTForImageClassification

    config = ViTConfig(
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=64,
        image_size=32,
        patch_size=8,
        num_labels=5,
    )
    return ViTForImageClassification(config), 32


def huggingface_convnext() -> tuple[nn.Module, int]:
    from transformers import ConvNextConfig, ConvNextForImageClassification

    return ConvNextForImageClassification(ConvNextConfig(hidden_sizes=[8, 16, 24, 32], depths=[1, 1, 2, 1], num_labels=5)), 64


ARCHITECTURES = {
    "ResNet": lambda: torchvision_model("resnet18"),
    "EfficientNet": lambda: timm_model("test_efficientnet"),
    "MobileNetV3": lambda: torchvision_model("mobilenet_v3_small"),
    "DenseNet": lambda: torchvision_model("densenet121"),
    "VGG": lambda: torchvision_model("vgg11"),
    "Inception": lambda: torchvision_model("inception_v3", 299, aux_logits=False, init_weights=False),
    "RegNet": lambda: torchvision_model("regnet_y_400mf"),
    "ConvNeXt": lambda: torchvision_model("convnext_tiny"),
    "ViT": lambda: timm_model("vit_tiny_patch16_224"),
    "Swin": lambda: torchvision_model("swin_t", 64),
    "BEiT": lambda: timm_model("beit_base_patch16_224", depth=2),
    "DeiT": lambda: timm_model("deit_tiny_patch16_224", depth=2),
    "DINO": lambda: timm_model("vit_small_patch14_reg4_dinov2", depth=2, img_size=70),
    "Hugging Face ViT": huggingface_vit,
    "Hugging Face ConvNeXt": huggingface_convnext,
}


def hooks(net: nn.Module) -> int:
    return sum(len(layer._forward_hooks) + len(layer._forward_pre_hooks) for layer in net.modules())


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_the_head_is_found_and_gives_the_models_own_logits(name: str):
    torch.manual_seed(0)
    net, side = ARCHITECTURES[name]()
    if name == "DINO":
        side = 70
    classifier = make_classifier(net, transform=transform_to(side), name=name)
    image = Image.fromarray(np.random.default_rng(1).integers(0, 256, (80, 90, 3), dtype=np.uint8))
    pixels = classifier.prepare(image)
    z = classifier.features_of(pixels[None])
    assert z.shape == (1, 1, classifier.features)
    with torch.inference_mode():
        own = logits_of(net(pixels))
    assert own is not None
    scale = max(1.0, float(own.abs().max()))
    torch.testing.assert_close(classifier.logits(z[:, 0]) / scale, own.float() / scale, atol=1e-5, rtol=0)
    found = class_map(classifier, image, "class 2")
    assert found.values.shape == (28, 28)
    assert np.isfinite(found.values).all()
    assert found.values.min() >= 0
    assert found.values.max() <= 1
    assert hooks(net) == 0
