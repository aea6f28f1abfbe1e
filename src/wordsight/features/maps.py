"""Heat maps: where in an image a direction of the features comes from."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import torch
from jaxtyping import Float
from PIL import Image
from torch import Tensor, nn

if TYPE_CHECKING:
    from matplotlib.figure import Figure

from wordsight.classifiers.classifier import Classifier
from wordsight.errors import ModelError, WordsightError
from wordsight.features.extraction import open_rgb
from wordsight.images.sources import ImageLike
from wordsight.tensors import Features


@dataclass(frozen=True)
class Box:
    """A rectangle in an image, in shares of its width and height."""

    left: float
    top: float
    right: float
    bottom: float


def view_boxes(prepare: Callable[[Image.Image], Tensor], size: tuple[int, int]) -> list[Box]:
    """Which part of an image of ``size`` (width, height) each view of ``prepare`` shows.

    An image whose values are its x, and one whose values are its y, go through the preparation; black and white show what it
    does to values. Works for whatever resizes, crops and normalises, and for any number of channels.
    """
    width, height = size
    grids = np.meshgrid(np.linspace(0, 255, width), np.linspace(0, 255, height))
    ramps = [Image.fromarray(grid.round().astype(np.uint8)).convert("RGB") for grid in grids]
    black, white = (prepare(Image.new("RGB", size, colour)) for colour in ("black", "white"))
    varies = ((white - black).abs() > 1e-6).float()  # a channel that is always the same, such as alpha, shows nothing
    across, down = (
        (((prepare(ramp) - black) / (white - black + (1 - varies))) * varies).sum(1) / varies.sum(1).clamp(min=1)
        for ramp in ramps
    )
    boxes = []
    for x, y in zip(across, down, strict=True):
        (left, right), (top, bottom) = _ends(x.mean(0)), _ends(y.mean(1))
        boxes.append(Box(left, top, right, bottom))
    return boxes


def _ends(centres: Float[Tensor, " pixels"]) -> tuple[float, float]:
    """The outer edges of a line of pixels whose centres lie at these shares of the image."""
    half = float((centres[-1] - centres[0]) / (len(centres) - 1) / 2)
    return min(1.0, max(0.0, float(centres[0]) - half)), min(1.0, max(0.0, float(centres[-1]) + half))


def middle_square(box: Box, size: tuple[int, int]) -> Box:
    """The same rectangle in shares of the image's middle square; parts of it may lie outside [0, 1]."""
    width, height = size
    side = min(width, height)
    left, top = (width - side) / 2, (height - side) / 2
    return Box(
        (box.left * width - left) / side,
        (box.top * height - top) / side,
        (box.right * width - left) / side,
        (box.bottom * height - top) / side,
    )


def on_image(
    maps: Sequence[Float[Tensor, "rows columns"]], boxes: Sequence[Box], side: int = 28
) -> Float[np.ndarray, "side side"]:
    """The views' maps on what the boxes are shares of, in a grid of ``side`` by ``side`` cells, the largest value 1.

    Where views overlap their mean is taken; what no view shows is 0.
    """
    total, views = np.zeros((side, side)), np.zeros((side, side))
    centre = (np.arange(side) + 0.5) / side
    for heat, box in zip(maps, boxes, strict=True):
        x, y = np.meshgrid((centre - box.left) / (box.right - box.left), (centre - box.top) / (box.bottom - box.top))
        inside = (x >= 0) & (x <= 1) & (y >= 0) & (y <= 1)
        grid = torch.from_numpy(np.stack([2 * x - 1, 2 * y - 1], axis=-1)).float()[None]
        drawn = nn.functional.grid_sample(heat[None, None], grid, align_corners=False, padding_mode="border")[0, 0].numpy()
        total += np.where(inside, drawn, 0)
        views += inside
    mean = total / np.maximum(views, 1)
    return mean / mean.max() if mean.max() > 0 else mean


@dataclass(frozen=True)
class HeatMap:
    """Where a word or a class comes from: ``values`` (rows, columns) over the whole image, the largest 1, none below 0."""

    about: str
    values: Float[np.ndarray, "rows columns"]
    image: ImageLike | None = field(default=None, repr=False, compare=False)

    def plot(self) -> "Figure":
        """The heat map over its image."""
        from wordsight.report.charts import heat_map_figure

        return heat_map_figure(self)

    def share_inside(self, left: float, top: float, right: float, bottom: float) -> float:
        """The share of the map's mass in a rectangle, given in shares of width and height. 0 if the map is empty."""
        rows, columns = self.values.shape
        y, x = (np.arange(rows) + 0.5) / rows, (np.arange(columns) + 0.5) / columns
        inside = np.outer((y >= top) & (y < bottom), (x >= left) & (x < right))
        total = float(self.values.sum())
        return float(self.values[inside].sum()) / total if total > 0 else 0.0


def class_map(classifier: Classifier, image: ImageLike, label: str) -> HeatMap:
    """Grad-CAM of a class on one image (Selvaraju et al. 2017).

    Raises ImageError if the image cannot be read, WordsightError for a class that the classifier does not have, and ModelError
    if it has no spatial feature map.
    """
    if label not in classifier.labels:
        raise WordsightError(f"'{label}' is none of the {len(classifier.labels)} classes of '{classifier.name}'.")
    c = list(classifier.labels).index(label)
    if classifier.head_weight is not None:
        direction = classifier.head_weight[c]
    else:
        z = classifier.features_of(classifier.prepare(open_rgb(image))[None]).mean(1)
        direction = logit_gradients(classifier.head, z.to(classifier.device), c)[0]
    return HeatMap(label, locate(classifier, image, direction), image)


def logit_gradients(head: Callable[[Tensor], Tensor], z: Features, c: int) -> Features:
    """grad_z of class c's logit less the mean logit, for each row: what all logits share changes no decision."""
    with torch.inference_mode(False), torch.enable_grad():
        rows = z.detach().clone().requires_grad_()
        logits = head(rows)
        (gradient,) = torch.autograd.grad((logits[:, c] - logits.mean(1)).sum(), rows)
    return gradient.float().cpu()


def locate(
    classifier: Classifier, image: ImageLike, direction: Float[Tensor, " features"], *, square: bool = False, side: int = 28
) -> Float[np.ndarray, "rows columns"]:
    """Where a direction of the features comes from, over the whole image (or its middle square), the largest value 1."""
    if classifier.locate is None:
        raise ModelError(f"'{classifier.name}' cannot be located in; build it with classifier_from_module.")
    rgb = open_rgb(image)
    views = classifier.prepare(rgb)
    try:
        maps = classifier.locate(views.to(classifier.device), direction.to(classifier.device).expand(len(views), -1))
        boxes = view_boxes(classifier.prepare, rgb.size)
    except WordsightError:
        raise
    except Exception as error:  # the user's layers and transform: words stand without maps
        raise ModelError(
            f"'{classifier.name}' cannot be located in ({type(error).__name__}: {error}). Wanted layers that PyTorch differentiates, "
            "and a transform that takes images of any colours."
        ) from error
    if square:
        boxes = [middle_square(box, rgb.size) for box in boxes]
    return on_image(list(maps), boxes, side)
