"""Hide a word's region in images."""

import hashlib
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np
from jaxtyping import Float
from PIL import Image

from wordsight.audits.observations import Observations
from wordsight.features.extraction import extract_stored, open_rgb
from wordsight.features.maps import locate
from wordsight.mitigation.directions import gradients_of, mean_direction
from wordsight.mitigation.target import Target
from wordsight.models import Models
from wordsight.runtime import OnProgress
from wordsight.storage import replacing, shortened
from wordsight.tensors import Features

#: An image is hidden where its heat map reaches this share of its maximum.
LEVEL = 0.5


def hide(image: Image.Image, heat: Float[np.ndarray, "rows columns"], *, level: float = LEVEL) -> Image.Image:
    """The RGB image with its own mean colour where ``heat`` is at least ``level``.

    ``heat``: over the whole image, in [0, 1], maximum 1. The edge is soft, so that the classifier does not learn the outline of
    the mask. An empty map hides nothing.
    """
    if not heat.any():
        return image.copy()
    soft = np.clip((heat - (level - 0.1)) / 0.2, 0, 1)
    mask = Image.fromarray((255 * soft).round().astype(np.uint8)).resize(image.size, Image.Resampling.BICUBIC)
    mean = np.asarray(image.convert("RGB"), dtype=np.float64).mean((0, 1))
    plain = Image.new("RGB", image.size, tuple(round(value) for value in mean))
    return Image.composite(plain, image.convert("RGB"), mask)


def masked_folder(observed: Observations, target: Target, models: Models) -> Path:
    """The folder in the store for the masked images of these models, images and this target."""
    about = f"{models.fingerprint} {models.classifier.fingerprint} {target.label} {target.word} "
    about += f"{sorted(map(str, observed.images.paths))}"
    return observed.store / "masked" / hashlib.sha256(about.encode(errors="surrogateescape")).hexdigest()[:16]


def masked_features(
    models: Models,
    observed: Observations,
    word: str,
    rows: Sequence[int],
    folder: Path,
    *,
    seed: int,
    on_progress: OnProgress,
) -> Features:
    """Features of these images (by number) with the word's region hidden; the masked images are written to ``folder``.

    Where an image has no gradient of the word (all of its sentences have the word, or too few), the region is that of the
    word's mean direction. Raises WordsightError if no image has one.
    """
    gradients = gradients_of(models, observed, word, rows, seed=seed, on_progress=on_progress)
    mean = mean_direction(word, gradients)
    paths = []
    for done, (row, gradient) in enumerate(zip(rows, gradients, strict=True), start=1):
        path = observed.images.paths[row]
        image = open_rgb(path)
        masked = folder / f"{row}-{shortened(path.stem)}.png"
        with replacing(masked) as unfinished:
            hide(image, locate(models.classifier, image, mean if gradient is None else gradient)).save(unfinished, format="PNG")
        paths.append(masked)
        on_progress("masks", done, len(rows))
    extracted = extract_stored(
        models.classifier, paths, observed.store / "features", on_images=partial(on_progress, "features of masked images")
    )
    assert len(extracted.readable) == len(rows)  # they were written just now
    return extracted.views.mean(1)
