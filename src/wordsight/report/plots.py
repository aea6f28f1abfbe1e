"""Word scores -> images: a bar chart, a word cloud, and both beside the photograph. Writing them is separate (``save``)."""

from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any, Literal

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.cm import ScalarMappable
from matplotlib.colors import LinearSegmentedColormap, Normalize
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.ft2font import FT2Font
from matplotlib.ticker import MaxNLocator, PercentFormatter
from PIL import Image

from wordsight.report.cloud import FONT_FILE, cloud
from wordsight.storage import replacing
from wordsight.words.scores import WordScore

#: float an inch; figures are laid out in pixels at this resolution.
DPI = 100
#: The label of the colours.
LIFT_LABEL = "lift over the mean feature (log-odds)"
#: The label of the bars.
RATE_LABEL = "share of sentences that contain the word"

# Blue to orange stays apart for every common kind of colour blindness; the grey between is dark enough to read as text.
_LIFT_COLOURS = LinearSegmentedColormap.from_list("lift", ["#08519c", "#4a8fc7", "#949494", "#e08a3c", "#b84a00"])
_NO_LIFT = "#787878"  # darker than the scale's middle: no lift is not a lift of 0
INK, FAINT = "#222222", "#666666"
# Titles and words are other people's text: no mathtext ("$x^2$" stays as it is, so needs no escaping) and no TeX, whatever
# the user's matplotlibrc says, and in the one font whose glyphs `_printable` knows.
TEXT: dict[str, Any] = {"parse_math": False, "usetex": False, "fontfamily": "DejaVu Sans"}


def bar_chart(words: Sequence[WordScore], *, title: str, top: int = 20) -> Figure:
    """Horizontal bars of the ``top`` most frequent words' rates in percent, whiskers at their 95% intervals.

    The most frequent word is on top. Colour is the lift, with a colour bar; grey bars and no colour bar without lifts.
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
    """The ``top`` most frequent words, larger the higher their rate, coloured by lift."""
    shown = _most_frequent(words, top)
    figure = new_figure(width=800, height=560)
    put_title(figure, title, lines=2)
    scale = _lift_scale(shown)
    _draw_cloud(axes_at(figure, 20, 65, 760, 435), shown, scale=scale)
    if scale is not None:
        _draw_scale(axes_at(figure, 250, 47, 300, 10), scale, orientation="horizontal")
    return figure


def explanation_figure(image: Image.Image, words: Sequence[WordScore], *, title: str, sentences: Sequence[str]) -> Figure:
    """One image's explanation, 1500 x 620 pixels: the photograph, its 12 most frequent words as bars, a cloud of up to 60.

    The first three of ``sentences`` stand below, each wrapped to two lines at most.
    """
    figure = new_figure(width=1500, height=620)
    put_title(figure, title, lines=1)
    quoted = [wrap(f"“{sentence.strip()}”", width=1450, size=12, lines=2) for sentence in sentences[:3]]
    floor = 14
    for lines in reversed(quoted):  # from the bottom up: what the sentences leave is the panels'
        height = 20 * len(lines)
        _put(figure, 24, floor + height, "\n".join(lines), size=12, style="italic", va="top", linespacing=1.25)
        floor += height + 5
    floor += 12
    ceiling = 620 - 62
    photograph = axes_at(figure, 24, floor, 400, ceiling - floor)
    small = image.convert("RGB")
    small.thumbnail((1200, 1200))  # enough for print; a camera's 50 megapixels would only slow the drawing
    photograph.imshow(np.asarray(small), interpolation="lanczos", interpolation_stage="rgba")
    photograph.set_axis_off()
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
    """The image once for each panel, its heat map (rows, columns) in [0, 1] laid over it, under its name; 3 panels a row."""
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
        _put(figure, left, bottom + height + 22, wrap(name, width=width, size=12, lines=1)[0], size=12, va="top")
    return figure


def save(figure: Figure, path: Path | str) -> None:
    """Write the figure as PNG, whatever the name's ending; all or nothing, so an old file survives a failure.

    Missing folders are made. Raises ``OSError`` if the file cannot be written.
    """
    with replacing(path) as partial:
        figure.savefig(partial, format="png", dpi=DPI)


def _draw_bars(axes: Axes, words: Sequence[WordScore], *, scale: Normalize | None, label_width: int) -> None:
    """Bars into ``axes``, the first word on top; labels at most ``label_width`` pixels wide."""
    if not words:
        _say_no_words(axes)
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
    printable = [w for w in words if w.rate > 0 and _printable(w.word)]
    colours = dict(zip((w.word for w in printable), _colours(printable, scale), strict=True))
    width, height = round(axes.bbox.width), round(axes.bbox.height)
    packed = cloud([(w.word, w.rate, w.lift) for w in printable], top=60, size=(width, height))
    if packed is None:
        _say_no_words(axes)
        return
    axes.set_axis_off()
    axes.set_xlim(0, width)
    axes.set_ylim(height, 0)
    for word in packed.words:
        # The layout measures in pixels; a point is 1/72 inch.
        axes.text(
            word.x,
            word.y,
            _printable(word.shown),
            fontsize=word.size * 72 / DPI,
            color=colours[word.word],
            va="baseline",
            **TEXT,
        )


def _most_frequent(words: Sequence[WordScore], top: int) -> list[WordScore]:
    return sorted(words, key=lambda w: (-w.rate, w.word))[: max(top, 0)]


def _lift_scale(words: Sequence[WordScore]) -> Normalize | None:
    """Lifts to colours, 0 in the middle and at least one log-odds unit to each side, so that noise does not look vivid."""
    lifts = [abs(w.lift) for w in words if w.lift is not None]
    return Normalize(-max(1.0, *lifts), max(1.0, *lifts)) if lifts else None


def _colours(words: Sequence[WordScore], scale: Normalize | None) -> list[Any]:
    return [_NO_LIFT if w.lift is None or scale is None else _LIFT_COLOURS(scale(w.lift)) for w in words]


def new_figure(*, width: int, height: int) -> Figure:
    """An empty white figure of so many pixels, with a canvas of its own: pyplot, which is global, stays out of it."""
    figure = Figure(figsize=(width / DPI, height / DPI), dpi=DPI, facecolor="white")
    FigureCanvasAgg(figure)
    return figure


def _size(figure: Figure) -> tuple[float, float]:
    """Width and height in pixels."""
    return float(figure.get_figwidth()) * DPI, float(figure.get_figheight()) * DPI


def axes_at(figure: Figure, left: float, bottom: float, width: float, height: float) -> Axes:
    """Axes at a position given in pixels from the figure's lower left corner."""
    across, up = _size(figure)
    return figure.add_axes((left / across, bottom / up, width / across, height / up))


def _put(figure: Figure, x: float, y: float, text: str, *, size: int, **style: Any) -> None:
    """Printable text at a position given in pixels from the figure's lower left corner."""
    across, up = _size(figure)
    figure.text(x / across, y / up, text, fontsize=size, color=INK, **TEXT, **style)


def put_title(figure: Figure, title: str, *, lines: int) -> None:
    across, up = _size(figure)
    wrapped = wrap(title, width=across - 48, size=14, lines=lines)
    size = 14 if len(wrapped) == 1 else 12
    y = up - 28 if len(wrapped) == 1 else up - 29
    _put(figure, across / 2, y, "\n".join(wrapped), size=size, weight="bold", ha="center", va="center")


def _say_no_words(axes: Axes) -> None:
    axes.set_axis_off()
    axes.text(0.5, 0.5, "no words", transform=axes.transAxes, ha="center", va="center", fontsize=14, color=FAINT, **TEXT)


def _printable(text: str) -> str:
    """The text on one line, with "\N{REPLACEMENT CHARACTER}" for what the font cannot show: boxes and warnings otherwise."""
    glyphs = _glyphs()
    return " ".join("".join(c if c.isspace() or ord(c) in glyphs else "\N{REPLACEMENT CHARACTER}" for c in text).split())


@cache
def _glyphs() -> frozenset[int]:
    return frozenset(code for code in FT2Font(str(FONT_FILE)).get_charmap() if chr(code).isprintable())


def wrap(text: str, *, width: float, size: int, lines: int) -> list[str]:
    """At least one and at most ``lines`` printable lines of at most ``width`` pixels; "…" ends what had to be cut."""
    # Bold is the widest style in use, so what fits in bold fits.
    font = FontProperties(family="DejaVu Sans", size=size, weight="bold")
    renderer = FigureCanvasAgg(Figure(figsize=(1, 1), dpi=DPI)).get_renderer()

    def fits(line: str) -> bool:
        return renderer.get_text_width_height_descent(line, font, False)[0] <= width

    rest, wrapped = _printable(text[:4000]), []  # no two lines hold more; a megabyte would take its time
    while rest and len(wrapped) < lines:
        if fits(rest):
            return [*wrapped, rest]
        last = len(wrapped) == lines - 1
        end = "…" if last else ""
        length = next((n for n in range(1, len(rest)) if not fits(rest[: n + 1] + end)), len(rest))
        # Break at a space where there is one; a word longer than the line is broken inside.
        space = rest.rfind(" ", 0, length + 1)
        cut = space if space > 0 else length
        wrapped.append(rest[:cut].rstrip() + end)
        rest = rest[cut:].lstrip()
    return wrapped or [""]
