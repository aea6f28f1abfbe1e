import torch
from PIL import Image

from wordsight.classifiers.efficientnet_lite import EfficientNetLite0, view
from wordsight.runtime import declare_torchvision_operators
from wordsight.tensors import weights_fingerprint


def timm_model() -> torch.nn.Module:
    """Random weights, whose norms are not the identity."""
    declare_torchvision_operators()
    import timm

    model = timm.create_model("tf_efficientnet_lite0", pretrained=False).eval()
    generator = torch.Generator().manual_seed(0)
    for name, weights in model.state_dict().items():
        if "bn" in name and weights.is_floating_point():
            weights.copy_(0.5 + torch.rand(weights.shape, generator=generator))
    return model


def test_the_same_weights_give_timms_logits_bit_for_bit():
    theirs = timm_model()
    ours = EfficientNetLite0().eval()
    ours.load_state_dict(theirs.state_dict())
    assert weights_fingerprint(ours.state_dict()) == weights_fingerprint(theirs.state_dict())
    with torch.inference_mode():
        for height, width in ((224, 224), (225, 190), (97, 64)):  # odd sides are padded otherwise
            pixels = torch.rand(2, 3, height, width, generator=torch.Generator().manual_seed(height))
            logits = ours(pixels)
            assert torch.equal(logits, theirs(pixels))
            assert logits.std() > 0


def test_a_view_has_timms_pixels():
    declare_torchvision_operators()
    from timm.data import create_transform, resolve_model_data_config

    config = resolve_model_data_config(timm_model())
    noise = torch.randint(0, 256, (7, 9, 3), generator=torch.Generator().manual_seed(0), dtype=torch.uint8).numpy()
    for size in ((300, 451), (333, 224), (100, 61), (224, 224)):
        image = Image.fromarray(noise).resize(size, Image.Resampling.BICUBIC)
        for crop in (0.875, 1.0):
            assert torch.equal(view(image, crop), create_transform(**(config | {"crop_pct": crop}))(image))
