"""Where the words of a cloud go: one layout for pages and figures."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from jaxtyping import Float
from matplotlib import get_data_path
from PIL import ImageFont

FONT_FILE = Path(get_data_path(), "fonts", "ttf", "DejaVuSans.ttf")
#: Width and height of a word cloud in its own units; whoever draws it scales it.
CLOUD = (440, 250)
#: Log-odds from which a word of a cloud counts as lifted, and as strongly lifted.
LIFTED, STRONGLY = 0.3, 1.0


@dataclass(frozen=True)
class CloudWord:
    """A word of a cloud: where its baseline begins, its size and width (units of the cloud), and -2..2 for its lift.

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


def cloud(words: Sequence[tuple[str, float, float | None]], *, top: int = 40, size: tuple[int, int] = CLOUD) -> Cloud | None:
    """Where the ``top`` most frequent words go, each given as (word, rate, lift). None if there are none.

    A word is larger the higher its rate, and as near to the centre as there is room. Words are kept apart by the boxes that they
    are written in (the wordcloud library measures one box and writes in another, so that its words touch).
    """
    shown = sorted((w for w in words if w[1] > 0 and w[0].strip()), key=lambda w: (-w[1], w[0]))[:top]
    scale = size[1] / CLOUD[1]
    for largest in (46, 36, 28, 22):  # words that are all as frequent would fill the cloud at the first size
        packed = _packed(shown, round(largest * scale), size)
        if packed is not None and len(packed.words) >= 0.9 * len(shown):
            return packed
    return _packed(shown, round(18 * scale), size)


def _packed(words: Sequence[tuple[str, float, float | None]], largest: int, area: tuple[int, int]) -> Cloud | None:
    """The words that find room, in their order; ``largest`` is the first one's size. None if there are none."""
    positions, centre = _spiral(area), np.array(area) / 2
    taken = np.zeros((0, 4))
    placed: list[CloudWord] = []
    for word, rate, lift in words:
        shown = word if len(word) <= 24 else f"{word[:23]}\N{HORIZONTAL ELLIPSIS}"
        size = max(11, round(largest * (rate / words[0][1]) ** 0.6))
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
    """Positions from the centre of the cloud outwards, as a sunflower's seeds stand, so that they are equally dense."""
    n = np.arange(1600)
    angle, reach = n * np.pi * (3 - 5**0.5), np.sqrt(n / len(n)) * 0.75
    return np.stack([np.cos(angle) * reach + 0.5, np.sin(angle) * reach + 0.5], axis=1) * np.array(area)


@cache
def _font(size: int) -> ImageFont.FreeTypeFont:
    return ImageFont.truetype(str(FONT_FILE), size)


def _lift_step(lift: float) -> int:
    size = (abs(lift) >= LIFTED) + (abs(lift) >= STRONGLY)
    return size if lift > 0 else -size
