"""Photographs, heat maps and words -> small pieces of a page: data URIs, base64 and SVG."""

import base64
import io
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from wordsight.errors import ImageError
from wordsight.images.files import read_image

#: Pixels a side of a thumbnail, and its WebP quality: 4 kB or so for a photograph, of which a report holds a thousand.
THUMBNAIL, QUALITY = 128, 60
#: Cells a side that a heat map has at most; they come from pooled features, so finer ones show nothing more.
HEAT_CELLS = 16


@dataclass(frozen=True)
class Heat:
    """A heat map for a script: ``rows`` x ``columns`` bytes, 0 to 255, in base64."""

    rows: int
    columns: int
    cells: str


def thumbnails(paths: Iterable[Path]) -> list[str | None]:
    """A data URI for each image, None for one that cannot be read (any more).

    The image's middle square, which is what most classifiers see, so that heat maps lie right on it.
    """
    # Decoding releases the interpreter's lock.
    with ThreadPoolExecutor(4) as pool:
        return list(pool.map(_thumbnail, paths))


def _thumbnail(path: Path) -> str | None:
    try:
        image = read_image(path)
    except (ImageError, OSError, ValueError):  # ValueError: a name with a null byte
        return None
    stream = io.BytesIO()
    ImageOps.fit(image, (THUMBNAIL, THUMBNAIL), Image.Resampling.LANCZOS).save(stream, "WEBP", quality=QUALITY, method=4)
    return "data:image/webp;base64," + base64.b64encode(stream.getvalue()).decode("ascii")


def heat_map(values: np.ndarray) -> Heat:
    """A heat map in [0, 1], at most ``HEAT_CELLS`` a side; what is outside is cut, what is no number counts as 0.

    Raises ValueError for what is not two-dimensional or empty.
    """
    if values.ndim != 2 or 0 in values.shape:
        raise ValueError(f"A heat map of shape {values.shape} came, wanted (rows, columns), for instance (7, 7).")
    eight = np.rint(np.nan_to_num(values.astype(np.float64), nan=0.0).clip(0, 1) * 255).astype(np.uint8)
    if max(eight.shape) > HEAT_CELLS:
        rows, columns = (min(side, HEAT_CELLS) for side in eight.shape)
        eight = np.asarray(Image.fromarray(eight).resize((columns, rows), Image.Resampling.BOX))
    rows, columns = eight.shape
    return Heat(rows, columns, base64.b64encode(eight.tobytes()).decode("ascii"))


def heat_of_images(maps: Mapping[tuple[str, str], np.ndarray], *, limit: int) -> dict[str, dict[str, Heat]]:
    """Heat maps by image and word, at most ``limit`` of them, in the order they came in."""
    found: dict[str, dict[str, Heat]] = {}
    for (image, word), values in list(maps.items())[:limit]:
        found.setdefault(image, {})[word] = heat_map(values)
    return found
