"""The layout of a word cloud, for pages and figures."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from jaxtyping import Float
from matplotlib import get_data_path
from PIL import ImageFont

FONT_FILE = Path(get_data_path(), "fonts", "ttf", "DejaVuSans.ttf")
#: The width and height of a word cloud in its own units; what draws it scales it.
CLOUD = (440, 250)
#: The minimum log-odds of a word that is lifted, and of one that is strongly lifted.
LIFTED, STRONGLY = 0.3, 1.0


@dataclass(frozen=True)
class CloudWord:
    """A word of a cloud.

    ``shown``: the word, at most 24 characters of it, because a word as wide as the cloud would make the others tiny. ``x`` and
    ``y``: the start of its baseline; ``size`` and ``width``: of its text, all in units of the cloud. ``lift``: -2 to 2.
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
    """A word cloud: its words, and the left edge, upper edge, width and height of the box around them."""

    box: tuple[int, int, int, int]
    words: list[CloudWord]


def cloud(words: Sequence[tuple[str, float, float | None]], *, top: int = 40, size: tuple[int, int] = CLOUD) -> Cloud | None:
    """The layout of the ``top`` most frequent words, each given as (word, rate, lift). None without words.

    ``size``: the width and height of the area. The size of a word grows with its rate, and each word is as near to the centre as
    there is room, the most frequent first. The boxes of the words do not overlap; a word without room is left out. (The wordcloud
    library measures one box and draws in another, so its words touch.)
    """
    shown = sorted((w for w in words if w[1] > 0 and w[0].strip()), key=lambda w: (-w[1], w[0]))[:top]
    scale = size[1] / CLOUD[1]
    for largest in (46, 36, 28, 22):  # if all words are equally frequent, the first size is too large for them
        packed = _packed(shown, round(largest * scale), size)
        if packed is not None and len(packed.words) >= 0.9 * len(shown):
            return packed
    return _packed(shown, round(18 * scale), size)


def _packed(words: Sequence[tuple[str, float, float | None]], largest: int, area: tuple[int, int]) -> Cloud | None:
    """The words that have room, in their order; ``largest``: the size of the first one. None if no word has room."""
    positions, centre = _spiral(area), np.array(area) / 2
    taken = np.zeros((0, 4))
    placed: list[CloudWord] = []
    for word, rate, lift in words:
        shown = word if len(word) <= 24 else f"{word[:23]}\N{HORIZONTAL ELLIPSIS}"
        size = max(11, round(largest * (rate / words[0][1]) ** 0.6))
        size = min(size, int(size * (area[0] - 12) / _font(size).getlength(shown)))  # a long word has to fit the area, too
        left, up, right, down = _font(size).getbbox(shown, anchor="ls")
        half = np.array([(right - left) / 2 + 5, (down - up) / 2 + 3])
        inside = np.all(np.abs(positions - centre) + half <= centre, axis=1)
        gaps = np.abs(positions[:, None] - taken[None, :, :2]) - taken[None, :, 2:] - half
        free = np.flatnonzero(inside & np.all(gaps.max(2) >= 0, axis=1))
        if len(free):
            x, y = positions[free[0]]
            taken = np.vstack([taken, [x, y, *half]])
            width = round(_font(size).getlength(shown))
            baseline = round(y - (up + down) / 2)
            placed.append(CloudWord(word, shown, round(x - width / 2), baseline, size, width, _lift_step(lift or 0.0)))
    if not placed:
        return None
    low, high = (taken[:, :2] - taken[:, 2:]).min(0), (taken[:, :2] + taken[:, 2:]).max(0)
    return Cloud((round(low[0]), round(low[1]), round(high[0] - low[0]), round(high[1] - low[1])), placed)


@cache
def _spiral(area: tuple[int, int]) -> Float[np.ndarray, "positions 2"]:
    """Positions from the centre outwards, in a spiral of constant density (Vogel's)."""
    n = np.arange(1600)
    angle, reach = n * np.pi * (3 - 5**0.5), np.sqrt(n / len(n)) * 0.75
    return np.stack([np.cos(angle) * reach + 0.5, np.sin(angle) * reach + 0.5], axis=1) * np.array(area)


@cache
def _font(size: int) -> ImageFont.FreeTypeFont:
    return ImageFont.truetype(str(FONT_FILE), size)


def _lift_step(lift: float) -> int:
    size = (abs(lift) >= LIFTED) + (abs(lift) >= STRONGLY)
    return size if lift > 0 else -size
