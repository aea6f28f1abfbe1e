"""Classifiers: the frozen network up to its penultimate, pooled feature, and its head."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from PIL import Image
from torch import Tensor

from wordsight.classifiers.spatial import Locate
from wordsight.errors import FeatureError
from wordsight.tensors import Features, Pixels

Prepare = Callable[[Image.Image], Float[Tensor, "views channels height width"]]
"""An RGB image -> its normalised views (crops); the features of the views are averaged for an explanation."""


@dataclass(frozen=True)
class Classifier:
    """A frozen classifier, as wordsight sees every classifier.

    ``backbone`` maps pixels (n, 3, height, width) to features (n, features); ``head`` maps features to logits (n, classes).
    ``locate``: where in the pixels a direction of the features comes from (see ``spatial``). ``trained_on``: what is known of the
    images that trained the head, as ``Head`` has it. Build one from any torch module with ``modules.classifier``.
    """

    name: str
    backbone: Callable[[Tensor], Tensor]
    head: Callable[[Tensor], Tensor]
    prepare: Prepare
    labels: Sequence[str]
    features: int
    fingerprint: str
    device: str = "cpu"
    head_weight: Tensor | None = None
    locate: Locate | None = None
    spec: str | None = None
    trained_on: frozenset[str] = frozenset()

    @torch.inference_mode()
    def features_of(self, pixels: Pixels) -> Float[Tensor, "images views features"]:
        """Features of every view. Raises FeatureError if the classifier gives anything but finite (n, features)."""
        flat = pixels.flatten(0, 1).contiguous(memory_format=torch.channels_last).to(self.device)
        z = self.backbone(flat)
        if z.ndim != 2 or z.shape[1] != self.features:
            raise FeatureError(
                f"The classifier '{self.name}' gave features of shape {tuple(z.shape)}, wanted ({len(flat)}, {self.features}): "
                "one pooled vector an image. Check the layer that the adapter reads."
            )
        return z.float().cpu().unflatten(0, pixels.shape[:2])

    @torch.inference_mode()
    def logits(self, z: Features) -> Float[Tensor, "images classes"]:
        """The classifier's own logits for features."""
        return self.head(z.to(self.device)).float().cpu()

    def probabilities(self, z: Features) -> Float[Tensor, "images classes"]:
        """The classifier's own class probabilities for features."""
        return self.logits(z).softmax(-1)
