"""Words of an image -> figures: a bar chart, a word cloud, heat maps, and an overview. Writing is separate (``save``)."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import LinearSegmentedColormap, Normalize
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter
from PIL import Image

from wordsight.report.cloud import cloud
from wordsight.report.drawing import DPI, FAINT, INK, TEXT, axes_at, new_figure, printable, put, put_title, wrap
from wordsight.storage import replacing
from wordsight.words.scores import WordScore

#: The label of the colours.
LIFT_LABEL = "lift over usual images (log-odds)"
#: The label of the bars.
RATE_LABEL = "rate: share of descriptions with the word"

# Blue and orange differ for every common kind of colour blindness; the grey between is dark enough for text.
_LIFT_COLOURS = LinearSegmentedColormap.from_list("lift", ["#08519c", "#4a8fc7", "#949494", "#e08a3c", "#b84a00"])
_NO_LIFT = "#787878"  # darker than the colour of a lift of 0, which is something else


def bar_chart(words: Sequence[WordScore], *, title: str, top: int = 20) -> Figure:
    """The rates of the ``top`` most frequent words in percent, as horizontal bars with 95% intervals.

    The most frequent word is on top. The colour is the lift, with a colour bar; without lifts the bars are grey.
    """
    shown = _most_frequent(words, top)
    height = 130 + 26 * max(len(shown), 5)
    figure = new_figure(width=800, height=height)
    put_title(figure, title, lines=2)
    bars = axes_at(figure, 150, 72, 800 - 150 - 130, height - 72 - 58)
    scale = _lift_scale(shown)
    _draw_bars(bars, shown, scale=scale, label_width=130)
    if scale is not None:
        _draw_scale(axes_at(figure, 800 - 105, 72, 14, height - 72 - 58), scale, orientation="vertical")
    return figure


def word_cloud(words: Sequence[WordScore], *, title: str, top: int = 60) -> Figure:
    """The ``top`` most frequent words; the size shows the rate and the colour the lift. The same words, the same figure."""
    shown = _most_frequent(words, top)
    figure = new_figure(width=800, height=560)
    put_title(figure, title, lines=2)
    scale = _lift_scale(shown)
    _draw_cloud(axes_at(figure, 20, 65, 760, 435), shown, scale=scale)
    if scale is not None:
        _draw_scale(axes_at(figure, 250, 47, 300, 10), scale, orientation="horizontal")
    return figure


def explanation_figure(image: Image.Image, words: Sequence[WordScore], *, title: str, sentences: Sequence[str]) -> Figure:
    """An overview of one image, 1500 x 620 pixels: the image, its 12 most frequent words as bars, up to 60 as a cloud.

    The first three of ``sentences`` are below, each in at most two lines.
    """
    figure = new_figure(width=1500, height=620)
    put_title(figure, title, lines=1)
    quoted = [wrap(f"“{sentence.strip()}”", width=1450, size=12, lines=2) for sentence in sentences[:3]]
    floor = 14
    for lines in reversed(quoted):  # from the bottom up: what the sentences leave is the panels'
        height = 20 * len(lines)
        put(figure, 24, floor + height, "\n".join(lines), size=12, style="italic", va="top", linespacing=1.25)
        floor += height + 5
    floor += 12
    ceiling = 620 - 62
    panel = axes_at(figure, 24, floor, 400, ceiling - floor)
    small = image.convert("RGB")
    small.thumbnail((1200, 1200))  # enough for print; a camera's 50 megapixels would only slow the drawing
    panel.imshow(np.asarray(small), interpolation="lanczos", interpolation_stage="rgba")
    panel.set_axis_off()
    bottom = floor + 44
    bars = axes_at(figure, 570, bottom, 370, ceiling - bottom)
    in_cloud = _most_frequent(words, 60)
    scale = _lift_scale(in_cloud)  # one for both panels: a word has the same colour in each
    _draw_bars(bars, _most_frequent(words, 12), scale=scale, label_width=120)
    if scale is not None:
        _draw_scale(axes_at(figure, 957, bottom, 12, ceiling - bottom), scale, orientation="vertical")
    _draw_cloud(axes_at(figure, 1050, floor, 430, ceiling - floor), in_cloud, scale=scale)
    return figure


def heat_maps(image: Image.Image, panels: Sequence[tuple[str, np.ndarray]], *, title: str) -> Figure:
    """A panel for each (name, heat map): the map, (rows, columns) in [0, 1], over the image; three panels a row."""
    width = 320
    height = max(120, min(480, round(width * image.height / image.width)))
    across, down = min(3, len(panels)), -(-len(panels) // 3)
    figure = new_figure(width=24 + across * (width + 24), height=62 + down * (height + 44))
    put_title(figure, title, lines=1)
    small = image.convert("RGB")
    small.thumbnail((960, 960))
    grey = np.asarray(small.convert("L"))
    for i, (name, values) in enumerate(panels):
        left, bottom = 24 + i % 3 * (width + 24), (down - 1 - i // 3) * (height + 44) + 16
        axes = axes_at(figure, left, bottom, width, height)
        box = (0, 1, 1, 0)
        axes.imshow(grey, extent=box, aspect="auto", cmap="gray", vmin=0, vmax=255)
        # Clear where the map is 0, so that the image stays readable.
        axes.imshow(
            values,
            extent=box,
            aspect="auto",
            cmap="inferno",
            vmin=0,
            vmax=1,
            alpha=0.75 * np.sqrt(values),
            interpolation="bilinear",
        )
        axes.set_axis_off()
        put(figure, left, bottom + height + 22, wrap(name, width=width, size=12, lines=1)[0], size=12, va="top")
    return figure


def save(figure: Figure, path: Path | str) -> None:
    """Write the figure as PNG, whatever the file's ending, atomically: if it fails, an old file stays as it is.

    Missing folders are made. Raises OSError if the file cannot be written.
    """
    with replacing(path) as partial:
        figure.savefig(partial, format="png", dpi=DPI)


def _draw_bars(axes: Axes, words: Sequence[WordScore], *, scale: Normalize | None, label_width: int) -> None:
    """Bars into ``axes``, the first word on top; labels at most ``label_width`` pixels wide."""
    if not words:
        _no_words(axes)
        return
    rates = np.array([100 * w.rate for w in words])
    # Rounding can put an end of the interval 1e-16 on the wrong side of the rate, and matplotlib refuses negative lengths.
    whiskers = np.array([[max(0.0, 100 * (w.rate - w.low)), max(0.0, 100 * (w.high - w.rate))] for w in words]).T
    rows = range(len(words))
    axes.barh(
        rows,
        rates,
        height=0.72,
        color=_colours(words, scale),
        xerr=whiskers,
        error_kw={"ecolor": INK, "elinewidth": 1.1, "capsize": 3, "capthick": 1.1},
    )
    labels = [wrap(w.word, width=label_width, size=11, lines=1)[0] for w in words]
    axes.set_yticks(rows, labels=labels, fontsize=11, color=INK, **TEXT)
    # At least five rows' room: one word's bar would otherwise be as high as the panel.
    axes.set_ylim(max(len(words), 5) - 0.4, -0.6)
    axes.set_xlim(0, min(100.0, 1.06 * float((rates + whiskers[1]).max())))
    axes.set_xlabel(RATE_LABEL, fontsize=11, color=INK, **TEXT)
    axes.xaxis.set_major_locator(MaxNLocator(nbins=6, min_n_ticks=3))
    axes.xaxis.set_major_formatter(PercentFormatter(100))
    axes.tick_params(axis="x", labelsize=10, colors=FAINT)
    axes.tick_params(axis="y", length=0)
    axes.set_axisbelow(True)
    axes.grid(axis="x", color="#dddddd", linewidth=0.8)
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    axes.spines["bottom"].set_color("#aaaaaa")


def _draw_scale(axes: Axes, scale: Normalize, *, orientation: Literal["vertical", "horizontal"]) -> None:
    """The legend of the colours, as a colour bar that fills ``axes``."""
    drawn = axes.figure.colorbar(ScalarMappable(scale, _LIFT_COLOURS), cax=axes, orientation=orientation)
    drawn.outline.set_visible(False)
    drawn.ax.tick_params(labelsize=9, colors=FAINT, length=3)
    drawn.set_label(LIFT_LABEL, fontsize=10, color=INK, labelpad=6 if orientation == "vertical" else 1, **TEXT)


def _draw_cloud(axes: Axes, words: Sequence[WordScore], *, scale: Normalize | None) -> None:
    """The words at the positions of ``cloud``, in an area that fills ``axes``."""
    drawn = [w for w in words if w.rate > 0 and printable(w.word)]
    colours = dict(zip((w.word for w in drawn), _colours(drawn, scale), strict=True))
    width, height = round(axes.bbox.width), round(axes.bbox.height)
    packed = cloud([(w.word, w.rate, w.lift) for w in drawn], top=60, size=(width, height))
    if packed is None:
        _no_words(axes)
        return
    axes.set_axis_off()
    axes.set_xlim(0, width)
    axes.set_ylim(height, 0)
    for word in packed.words:
        # The layout measures in pixels; a point is 1/72 inch.
        axes.text(
            word.x,
            word.y,
            printable(word.shown),
            fontsize=word.size * 72 / DPI,
            color=colours[word.word],
            va="baseline",
            **TEXT,
        )


def _most_frequent(words: Sequence[WordScore], top: int) -> list[WordScore]:
    return sorted(words, key=lambda w: (-w.rate, w.word))[: max(top, 0)]


def _lift_scale(words: Sequence[WordScore]) -> Normalize | None:
    """Lifts to colours, symmetric about 0; the ends are at least one log-odds unit, so that noise has no strong colours."""
    lifts = [abs(w.lift) for w in words if w.lift is not None]
    return Normalize(-max(1.0, *lifts), max(1.0, *lifts)) if lifts else None


def _colours(words: Sequence[WordScore], scale: Normalize | None) -> list[Any]:
    return [_NO_LIFT if w.lift is None or scale is None else _LIFT_COLOURS(scale(w.lift)) for w in words]


def _no_words(axes: Axes) -> None:
    """The note "no words" instead of a chart."""
    axes.set_axis_off()
    axes.text(0.5, 0.5, "no words", transform=axes.transAxes, ha="center", va="center", fontsize=14, color=FAINT, **TEXT)
