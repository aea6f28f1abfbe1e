"""Does a classifier look at the same position in all images of a class?

A stamp in a corner or a line of text has no word in captions, so it gives no finding. But it has one position, and objects have
not: the heat maps of the class then agree with each other more than those of other classes.
"""

import hashlib
import json
import logging
import random
from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import dataclass, field
from math import sqrt
from pathlib import Path
from statistics import median

import numpy as np
from jaxtyping import Float, Int
from safetensors.numpy import load_file, save_file
from scipy.special import stdtrit
from torch import Tensor

from wordsight.audits.statistics import Estimate
from wordsight.classifiers.classifier import Classifier
from wordsight.errors import WordsightError
from wordsight.features.maps import locate
from wordsight.storage import read_stored, store_if_possible

logger = logging.getLogger(__name__)

#: Images predicted as a class whose heat maps are compared: at most, at least, and at most of all classes together.
MAX_IMAGES, MIN_IMAGES, ALL_IMAGES = 20, 10, 500
#: Heat maps of a class that agree this much, and twice as much as the median of the other classes, are remarkable; at the
#: latter, all are, since several classes may be decided at one position. Set on ten classes of Imagenette with 20 images each,
#: where the agreement is 0.02 to 0.29, and 0.14 to 0.85 with a stamp planted (benchmarks/planted.py).
REMARKABLE, CERTAIN = 0.3, 0.6


@dataclass(frozen=True)
class Focus:
    """How much the heat maps of a class agree.

    ``images``: how many heat maps. ``agreement``: their mean correlation, in [-1, 1]. ``remarkable``: see ``REMARKABLE``.
    ``heat``: their mean over the central square of the images, (rows, columns), sum 1.
    """

    label: str
    images: int
    agreement: Estimate
    remarkable: bool
    heat: Float[np.ndarray, "rows columns"] = field(compare=False, repr=False)


def focus_of(maps: Mapping[str, Float[np.ndarray, "images rows columns"]]) -> list[Focus]:
    """The agreement of each class's heat maps, each 0 or more.

    Maps without heat are left out, and then classes with fewer than three maps. Empty for fewer than two classes.
    """
    shares = {}
    for label, of_class in maps.items():
        mass = of_class.sum((1, 2))
        if (mass > 0).sum() >= 3:
            shares[label] = of_class[mass > 0] / mass[mass > 0, None, None]
    means = {label: share.mean(0) for label, share in shares.items()}
    if len(means) < 2:
        return []
    found = {
        label: agreement(share, np.mean([mean for other, mean in means.items() if other != label], axis=0))
        for label, share in shares.items()
    }
    return [
        Focus(
            label,
            len(shares[label]),
            estimate,
            _remarkable(estimate, [e.value for other, e in found.items() if other != label]),
            means[label],
        )
        for label, estimate in found.items()
    ]


def _remarkable(estimate: Estimate, others: list[float]) -> bool:
    return estimate.value >= max(REMARKABLE, min(CERTAIN, 2 * median(others))) and estimate.low >= REMARKABLE / 3


def agreement(maps: Float[np.ndarray, "images rows columns"], usual: Float[np.ndarray, "rows columns"]) -> Estimate:
    """The mean correlation between two images' maps of where there is more heat than ``usual``; in [-1, 1].

    The 95% interval is the jackknife's over images (Student's t).
    """
    n = len(maps)
    deviation = np.maximum(maps - usual, 0).reshape(n, -1)
    deviation -= deviation.mean(1, keepdims=True)
    length = np.linalg.norm(deviation, axis=1, keepdims=True)
    unit = np.divide(deviation, length, out=np.zeros_like(deviation), where=length > 0)
    correlations = unit @ unit.T
    np.fill_diagonal(correlations, 0)
    total = correlations.sum()
    value = float(total / (n * (n - 1)))
    if n < 3:
        return Estimate(value, -1.0, 1.0)
    without = (total - 2 * correlations.sum(1)) / ((n - 1) * (n - 2))
    error = sqrt((n - 1) / n * ((without - without.mean()) ** 2).sum())
    return Estimate.around(value, float(stdtrit(n - 1, 0.975)) * error, low=-1.0, high=1.0)


def class_focus(
    classifier: Classifier,
    labels: Set[str],
    paths: Sequence[Path],
    predicted: Int[np.ndarray, " images"],
    store: Path,
    *,
    seed: int,
    on_classes: Callable[[int, int], None] = lambda done, total: None,
) -> list[Focus]:
    """Whether the classifier looks at one position, for each of these classes, on images that are predicted as the class.

    ``predicted``: the predicted class of each image, by number. ``store``: the folder of the heat maps; they are made once.
    ``seed``: which images are drawn. Classes with fewer than ``MIN_IMAGES`` images are left out. Empty without a spatial feature
    map, without a linear head, and for more than ``ALL_IMAGES`` / ``MIN_IMAGES`` classes.
    """
    weight, limit = classifier.head_weight, min(MAX_IMAGES, ALL_IMAGES // max(1, len(labels)))
    if classifier.locate is None or weight is None or limit < MIN_IMAGES:
        return []
    maps = {}
    classes = [c for c, label in enumerate(classifier.labels) if label in labels]
    for done, c in enumerate(classes):
        on_classes(done, len(classes))
        rows = np.flatnonzero(predicted == c).tolist()
        if len(rows) < MIN_IMAGES:
            continue
        draw = random.Random(f"{seed} {classifier.labels[c]}")  # the same images in every audit of the same data
        rows = sorted(draw.sample(rows, min(limit, len(rows))))
        try:
            maps[classifier.labels[c]] = _maps(classifier, [paths[row] for row in rows], weight[c] - weight.mean(0), store)
        except (WordsightError, OSError) as error:  # no spatial feature map, a file gone: the findings stand without
            logger.warning("Whether '%s' is decided at one position is not known: %s", classifier.labels[c], error)
    on_classes(len(classes), len(classes))
    return focus_of(maps)


def _maps(
    classifier: Classifier, paths: Sequence[Path], direction: Float[Tensor, " features"], store: Path
) -> Float[np.ndarray, "images rows columns"]:
    """Grad-CAM of a class on several images."""
    about = [classifier.fingerprint, *(_stamp(path) for path in paths)]
    digest = hashlib.sha256(json.dumps(about).encode() + direction.contiguous().float().cpu().numpy().tobytes())
    file = store / f"{digest.hexdigest()[:32]}.safetensors"
    stored = read_stored(file, lambda file: load_file(file)["maps"])
    if stored is None:
        stored = np.stack([locate(classifier, path, direction, square=True, side=14) for path in paths]).astype(np.float32)
        store_if_possible(file, lambda partial, maps: save_file({"maps": maps}, partial), stored)
    return stored


def _stamp(path: Path) -> str:
    """What changes when an image does; of one that is no file here (``images.stored``) its address."""
    return str(path) if hasattr(path, "place") else f"{path.resolve()} {path.stat().st_mtime_ns}"
