"""Results -> figures: findings, comparisons, mitigations, heat maps. Writing is separate (``plots.save``)."""

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from wordsight.audits.result import Audit
from wordsight.audits.sets import Comparison
from wordsight.audits.statistics import Estimate
from wordsight.features.extraction import open_rgb
from wordsight.features.maps import HeatMap
from wordsight.mitigation.result import Mitigation
from wordsight.report.drawing import FAINT, INK, TEXT, axes_at, new_figure, put_title, wrap
from wordsight.report.plots import heat_maps

_BEFORE, _AFTER, _GAP = "#949494", "#08519c", "#b84a00"


def findings_figure(audit: Audit, *, top: int = 20) -> Figure:
    """The severity of the first ``top`` findings in points with 95% intervals; the strongest evidence is on top."""
    findings = audit.findings[:top]
    # The word first: a long name of a class is cut at its end.
    rows = [(f"{finding.about.word} ({finding.about.label})", finding.severity) for finding in findings]
    title = f"{len(audit.findings)} finding{'' if len(audit.findings) == 1 else 's'} in {len(audit.images)} images"
    return _intervals_figure(rows, title=title, label="severity: gap between shares of errors (points)", empty="no findings")


def comparison_figure(comparison: Comparison, *, top: int = 20) -> Figure:
    """The differences of mean rates in points with 95% intervals, of the ``top`` words that differ, smallest q on top."""
    rows = [(word.word, word.difference) for word in comparison.differing()[:top]]
    title = f"{comparison.here} against {comparison.elsewhere}"
    return _intervals_figure(rows, title=title, label="difference of mean rates (points)", empty="no word differs")


def mitigation_figure(mitigation: Mitigation) -> Figure:
    """The accuracy of every group and the averages in percent, before and after."""
    table = mitigation.to_dataframe()
    figure, axes = _chart(len(table), title=f"{mitigation.word} ({mitigation.label}), {mitigation.method}")
    rows = np.arange(len(table))
    for name, offset, colour in (("before", -0.18, _BEFORE), ("after", 0.18, _AFTER)):
        axes.barh(rows + offset, 100 * table[name], height=0.34, color=colour, label=name)
    _finish(axes, list(table["group"]), label="accuracy (%)")
    axes.set_xlim(0, 100)
    axes.axhline(len(mitigation.before.groups) - 0.5, color="#aaaaaa", linewidth=1)  # below: over all groups
    # Below the names, where nothing else is.
    corner = {"loc": "lower left", "bbox_to_anchor": (0.01, 0.01), "bbox_transform": figure.transFigure}
    axes.legend(**corner, ncols=2, fontsize=10, frameon=False, labelcolor=INK)
    return figure


def heat_map_figure(found: HeatMap) -> Figure:
    """A heat map over its image."""
    assert found.image is not None
    return heat_maps(open_rgb(found.image), [(found.about, found.values)], title="Heat map")


def _intervals_figure(rows: list[tuple[str, Estimate]], *, title: str, label: str, empty: str) -> Figure:
    figure, axes = _chart(len(rows), title=title)
    if not rows:
        axes.set_axis_off()
        axes.text(0.5, 0.5, empty, transform=figure.transFigure, ha="center", va="center", fontsize=14, color=FAINT, **TEXT)
        return figure
    values = np.array([100 * estimate.value for _, estimate in rows])
    low, high = (np.array([100 * getattr(estimate, end) for _, estimate in rows]) for end in ("low", "high"))
    reach = np.maximum(0, np.stack([values - low, high - values]))
    axes.errorbar(values, range(len(rows)), xerr=reach, fmt="o", color=_GAP, ecolor=INK, elinewidth=1.2, capsize=3)
    axes.axvline(0, color="#aaaaaa", linewidth=1)
    _finish(axes, [name for name, _ in rows], label=label)
    return figure


def _chart(rows: int, *, title: str) -> tuple[Figure, Axes]:
    height = 130 + 34 * max(rows, 4)
    figure = new_figure(width=860, height=height)
    put_title(figure, title, lines=2)
    return figure, axes_at(figure, 300, 60, 520, height - 60 - 62)


def _finish(axes: Axes, names: list[str], *, label: str) -> None:
    shown: list[Any] = [wrap(name, width=275, size=11, lines=1)[0] for name in names]
    axes.set_yticks(range(len(names)), labels=shown, fontsize=11, color=INK, **TEXT)
    axes.set_ylim(max(len(names), 4) - 0.4, -0.6)
    axes.set_xlabel(label, fontsize=11, color=INK, **TEXT)
    axes.tick_params(axis="x", labelsize=10, colors=FAINT)
    axes.tick_params(axis="y", length=0)
    axes.grid(axis="x", color="#dddddd", linewidth=0.8)
    axes.set_axisbelow(True)
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    axes.spines["bottom"].set_color("#aaaaaa")
