"""Photographs, heat maps and words -> small pieces of a page: data URIs, base64 and SVG."""

import base64
import io
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float
from PIL import Image, ImageFont, ImageOps
from wordcloud import WordCloud

from wordsight.audit.findings import ClassWord
from wordsight.errors import ImageError
from wordsight.images.files import read_image
from wordsight.report.plots import FONT_FILE

#: Pixels a side of a thumbnail, and its WebP quality: 3 kB or so for a photograph, of which a report holds a thousand.
THUMBNAIL, QUALITY = 112, 62
#: Cells a side that a heat map has at most; they come from pooled features, so finer ones say nothing more.
HEAT_CELLS = 16
#: Width and height of a word cloud in its own units; the page scales it.
CLOUD = (560, 300)
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
    """A word of a cloud: where its baseline begins, how wide and high it is (units of ``CLOUD``), and -2..2 for its lift."""

    word: str
    x: int
    y: int
    size: int
    width: int
    lift: int


def thumbnails(paths: Iterable[Path]) -> list[str | None]:
    """A data URI for each picture, None for one that cannot be read (any more).

    The picture's middle square, which is what most classifiers see, so that heat maps lie right on it.
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


def heat_map(values: Float[np.ndarray, "rows columns"]) -> Heat:
    """A heat map in [0, 1], at most ``HEAT_CELLS`` a side; what is outside is cut, what is no number counts as 0.

    Raises ValueError for what is not two-dimensional or empty.
    """
    if values.ndim != 2 or 0 in values.shape:
        raise ValueError(f"A heat map of shape {values.shape} came, wanted (rows, columns), for instance (7, 7).")
    eight = np.rint(np.nan_to_num(values.astype(np.float64), nan=0.0).clip(0, 1) * 255).astype(np.uint8)
    if max(eight.shape) > HEAT_CELLS:
        rows, columns = (min(side, HEAT_CELLS) for side in eight.shape)
        eight = np.asarray(Image.fromarray(eight).resize((columns, rows), Image.Resampling.BOX))
    return Heat(*eight.shape, base64.b64encode(eight.tobytes()).decode("ascii"))


def heat_of_images(maps: Mapping[tuple[str, str], np.ndarray], *, most: int) -> dict[str, dict[str, Heat]]:
    """Heat maps by image and word, at most ``most`` of them, in the order they came in."""
    found: dict[str, dict[str, Heat]] = {}
    for (image, word), values in list(maps.items())[:most]:
        found.setdefault(image, {})[word] = heat_map(values)
    return found


def cloud(words: Sequence[ClassWord], *, seed: int = 0, top: int = 50) -> list[CloudWord]:
    """Where the ``top`` most frequent words go: larger the higher their rate; the same seed, the same cloud.

    The page writes them as SVG text with their width given, so they fit whatever font the reader has.
    """
    shown = sorted((w for w in words if w.rate.value > 0 and w.word.strip()), key=lambda w: (-w.rate.value, w.word))[:top]
    lifts = {w.word: w.lift for w in shown}
    if not lifts:
        return []
    width, height = CLOUD
    made = WordCloud(
        font_path=str(FONT_FILE),
        width=width,
        height=height,
        max_words=len(lifts),
        max_font_size=height // 5,
        min_font_size=9,
        margin=4,
        prefer_horizontal=1.0,
        random_state=seed,
    ).generate_from_frequencies({w.word: w.rate.value for w in shown})
    placed = []
    for (word, _), size, (top_edge, left), _, _ in made.layout_:
        font = ImageFont.truetype(str(FONT_FILE), size)
        baseline = int(top_edge) + font.getmetrics()[0]
        placed.append(CloudWord(word, int(left), baseline, size, round(font.getlength(word)), _lift_step(lifts[word])))
    return placed


def _lift_step(lift: float) -> int:
    size = (abs(lift) >= LIFTED) + (abs(lift) >= STRONGLY)
    return size if lift > 0 else -size
