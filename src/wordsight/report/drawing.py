"""Figures laid out in pixels, and text on them."""

import io
from functools import cache
from typing import Any

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.ft2font import FT2Font

from wordsight.report.cloud import FONT_FILE

#: Dots an inch: one pixel of the layout is one dot.
DPI = 100
INK, FAINT = "#222222", "#666666"
# Titles and words come from outside: no mathtext ("$x^2$" is drawn as it is and needs no escaping) and no TeX, whatever the
# user's matplotlibrc sets, and always the font whose glyphs `printable` knows.
TEXT: dict[str, Any] = {"parse_math": False, "usetex": False, "fontfamily": "DejaVu Sans"}


class Picture(Figure):
    """A figure that notebooks show as a picture: theirs is only shown once pyplot, which is not used here, is imported."""

    def _repr_png_(self) -> bytes:
        content = io.BytesIO()
        self.savefig(content, format="png", dpi=DPI)
        return content.getvalue()


def new_figure(*, width: int, height: int) -> Figure:
    """An empty white figure, its size in pixels, with its own canvas; pyplot's global state is not used."""
    figure = Picture(figsize=(width / DPI, height / DPI), dpi=DPI, facecolor="white")
    FigureCanvasAgg(figure)
    return figure


def _size(figure: Figure) -> tuple[float, float]:
    """The width and height of a figure in pixels."""
    return float(figure.get_figwidth()) * DPI, float(figure.get_figheight()) * DPI


def axes_at(figure: Figure, left: float, bottom: float, width: float, height: float) -> Axes:
    """New axes; position and size in pixels, from the figure's lower left corner."""
    across, up = _size(figure)
    return figure.add_axes((left / across, bottom / up, width / across, height / up))


def put(figure: Figure, x: float, y: float, text: str, *, size: int, **style: Any) -> None:
    """Add printable text at a position in pixels, from the figure's lower left corner; ``size`` in points."""
    across, up = _size(figure)
    figure.text(x / across, y / up, text, fontsize=size, color=INK, **TEXT, **style)


def put_title(figure: Figure, title: str, *, lines: int) -> None:
    """Add a title in at most ``lines`` lines, centred at the top."""
    across, up = _size(figure)
    wrapped = wrap(title, width=across - 48, size=14, lines=lines)
    size = 14 if len(wrapped) == 1 else 12
    y = up - 28 if len(wrapped) == 1 else up - 29
    put(figure, across / 2, y, "\n".join(wrapped), size=size, weight="bold", ha="center", va="center")


def printable(text: str) -> str:
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

    rest, wrapped = printable(text[:4000]), []  # no two lines hold more; a megabyte would take its time
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
