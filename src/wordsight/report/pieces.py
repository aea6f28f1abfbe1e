"""Images and heat maps -> data for a page: data URIs and base64."""

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

#: The side of a thumbnail in pixels, and its WebP quality: about 4 kB each, and a report has up to a thousand.
THUMBNAIL, QUALITY = 128, 60
#: The maximum number of cells a side of a heat map; it comes from pooled features, so finer cells show nothing more.
HEAT_CELLS = 16


@dataclass(frozen=True)
class Heat:
    """A heat map for a script: ``rows`` x ``columns`` bytes, 0 to 255, in base64."""

    rows: int
    columns: int
    cells: str


def thumbnails(paths: Iterable[Path]) -> list[str | None]:
    """A data URI of the central square of each image, which heat maps are over; None for an image that cannot be read."""
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
    """A heat map in [0, 1] with at most ``HEAT_CELLS`` cells a side. Values outside are cut; NaN counts as 0.

    Raises ValueError for an array that is empty or does not have two dimensions.
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
    """The first ``limit`` heat maps, by image and word."""
    found: dict[str, dict[str, Heat]] = {}
    for (image, word), values in list(maps.items())[:limit]:
        found.setdefault(image, {})[word] = heat_map(values)
    return found
