"""Photographs, heat maps and words -> small pieces of a page: data URIs, base64 and SVG."""

import base64
import io
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from jaxtyping import Float
from PIL import Image, ImageFont, ImageOps

from wordsight.audits.findings import ClassWord
from wordsight.errors import ImageError
from wordsight.images.files import read_image
from wordsight.report.plots import FONT_FILE

#: Pixels a side of a thumbnail, and its WebP quality: 4 kB or so for a photograph, of which a report holds a thousand.
THUMBNAIL, QUALITY = 128, 60
#: Cells a side that a heat map has at most; they come from pooled features, so finer ones say nothing more.
HEAT_CELLS = 16
#: Width and height of a word cloud in its own units; the page scales it.
CLOUD = (440, 250)
#: Log-odds from which a word of a cloud counts as lifted, and as strongly lifted.
LIFTED, STRONGLY = 0.3, 1.0


@dataclass(frozen=True)
class Heat:
    """A heat map for a script: ``rows`` x ``columns`` bytes, 0 to 255, in base64."""

    rows: int
    columns: int
    cells: str


@dataclass(frozen=True)
class CloudWord:
    """A word of a cloud: where its baseline begins, its size and width (units of ``CLOUD``), and -2..2 for its lift.

    ``shown`` is the word, shortened if it is long: one word as wide as the cloud would make all others tiny.
    """

    word: str
    shown: str
    x: int
    y: int
    size: int
    width: int
    lift: int


@dataclass(frozen=True)
class Cloud:
    """A word cloud: left edge, upper edge, width and height of what its words cover, and the words."""

    box: tuple[int, int, int, int]
    words: list[CloudWord]


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


def cloud(words: Sequence[ClassWord], *, top: int = 40) -> Cloud | None:
    """Where the ``top`` most frequent words go: larger the higher their rate, each as near to the middle as there is room.

    The page writes them as SVG text with their width given, so they fit whatever font the reader has. Words are kept apart by
    the boxes that they are written in; the wordcloud library measures one box and writes in another, so that its words touch.
    """
    shown = sorted((w for w in words if w.rate.value > 0 and w.word.strip()), key=lambda w: (-w.rate.value, w.word))[:top]
    for largest in (46, 36, 28, 22):  # words that are all as frequent would fill the cloud at the first size
        made = _packed(shown, largest)
        if made is not None and len(made.words) >= 0.9 * len(shown):
            return made
    return _packed(shown, 18)


def _packed(words: Sequence[ClassWord], largest: int) -> Cloud | None:
    """The words that find room, in their order; ``largest`` is the first one's size. None if there are none."""
    positions, middle = _spiral(), np.array(CLOUD) / 2
    taken = np.zeros((0, 4))
    placed: list[CloudWord] = []
    for word in words:
        shown = word.word if len(word.word) <= 24 else f"{word.word[:23]}\N{HORIZONTAL ELLIPSIS}"
        size = max(11, round(largest * (word.rate.value / words[0].rate.value) ** 0.6))
        left, up, right, down = _font(size).getbbox(shown, anchor="ls")
        half = np.array([(right - left) / 2 + 5, (down - up) / 2 + 3])
        inside = np.all(np.abs(positions - middle) + half <= middle, axis=1)
        gaps = np.abs(positions[:, None] - taken[None, :, :2]) - taken[None, :, 2:] - half
        free = np.flatnonzero(inside & np.all(gaps.max(2) >= 0, axis=1))
        if len(free):
            x, y = positions[free[0]]
            taken = np.vstack([taken, [x, y, *half]])
            width = round(_font(size).getlength(shown))
            baseline = round(y - (up + down) / 2)
            placed.append(CloudWord(word.word, shown, round(x - width / 2), baseline, size, width, _lift_step(word.lift)))
    if not placed:
        return None
    low, high = (taken[:, :2] - taken[:, 2:]).min(0), (taken[:, :2] + taken[:, 2:]).max(0)
    return Cloud((round(low[0]), round(low[1]), round(high[0] - low[0]), round(high[1] - low[1])), placed)


@cache
def _spiral() -> Float[np.ndarray, "positions 2"]:
    """Places from the middle of the cloud outwards, as a sunflower's seeds stand, so that they are equally dense."""
    n = np.arange(1600)
    angle, reach = n * np.pi * (3 - 5**0.5), np.sqrt(n / len(n)) * 0.75
    return np.stack([np.cos(angle) * reach + 0.5, np.sin(angle) * reach + 0.5], axis=1) * np.array(CLOUD)


@cache
def _font(size: int) -> ImageFont.FreeTypeFont:
    return ImageFont.truetype(str(FONT_FILE), size)


def _lift_step(lift: float) -> int:
    size = (abs(lift) >= LIFTED) + (abs(lift) >= STRONGLY)
    return size if lift > 0 else -size
