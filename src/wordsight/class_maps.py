"""Heat maps of whole classes: does a classifier look at one place of the pictures that it calls a class?"""

import hashlib
import json
import logging
import random
from collections.abc import Sequence, Set
from pathlib import Path

import numpy as np
from jaxtyping import Float, Int
from safetensors.numpy import load_file, save_file
from torch import Tensor

from wordsight.audit.places import Place, places
from wordsight.errors import WordsightError
from wordsight.features.classifier import Classifier
from wordsight.files import read_kept, replacing
from wordsight.locating import locate

logger = logging.getLogger(__name__)

#: Images called a class whose heat maps are compared: most, least, and those of all classes together.
IMAGES, LEAST_IMAGES, ALL_IMAGES = 20, 10, 500


def class_places(
    classifier: Classifier,
    labels: Set[str],
    paths: Sequence[Path],
    called: Int[np.ndarray, " images"],
    store: Path,
    *,
    seed: int,
) -> list[Place]:
    """Whether the classifier looks at one place, for each of these classes, on images that it calls so.

    Nothing without a map of places, or for very many classes; classes with few images are left out. Heat maps are kept in
    ``store``.
    """
    weight, most = classifier.head_weight, min(IMAGES, ALL_IMAGES // max(1, len(labels)))
    if classifier.locate is None or weight is None or most < LEAST_IMAGES:
        return []
    maps = {}
    for c in (c for c, label in enumerate(classifier.labels) if label in labels):
        rows = np.flatnonzero(called == c).tolist()
        if len(rows) < LEAST_IMAGES:
            continue
        draw = random.Random(f"{seed} {classifier.labels[c]}")  # the same images in every audit of the same data
        rows = sorted(draw.sample(rows, min(most, len(rows))))
        try:
            maps[classifier.labels[c]] = _maps(classifier, [paths[row] for row in rows], weight[c] - weight.mean(0), store)
        except (WordsightError, OSError) as error:  # no places in the classifier, a file gone: the findings stand without
            logger.warning("Whether '%s' is decided at one place is not known: %s", classifier.labels[c], error)
    return places(maps)


def _maps(
    classifier: Classifier, paths: Sequence[Path], direction: Float[Tensor, " features"], store: Path
) -> Float[np.ndarray, "images rows columns"]:
    """Grad-CAM of a class on several pictures."""
    about = [classifier.fingerprint, *(f"{path.resolve()} {path.stat().st_mtime_ns}" for path in paths)]
    digest = hashlib.sha256(json.dumps(about).encode() + direction.contiguous().float().cpu().numpy().tobytes())
    file = store / f"{digest.hexdigest()[:32]}.safetensors"
    kept = read_kept(file, lambda kept: load_file(kept)["maps"])
    if kept is None:
        kept = np.stack([locate(classifier, path, direction, square=True, side=14) for path in paths]).astype(np.float32)
        with replacing(file) as partial:
            save_file({"maps": kept}, partial)
    return kept
