"""Results as figures: the right values, intervals, order and labels; hostile text; notes where there is nothing to draw."""

import dataclasses
import io

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.container import BarContainer, ErrorbarContainer
from matplotlib.figure import Figure
from matplotlib.text import Text
from PIL import Image

from reporting import HOSTILE, a_mitigation, about, an_audit, class_word
from wordsight.audits.findings import Finding
from wordsight.audits.sets import compare
from wordsight.features.maps import HeatMap
from wordsight.report.charts import comparison_figure, findings_figure, heat_map_figure, mitigation_figure


@pytest.fixture
def audit(tmp_path):
    return an_audit(tmp_path)


def texts(figure: Figure) -> list[str]:
    return [text.get_text() for text in figure.findobj(Text)]


def intervals(axes: Axes) -> list[tuple[float, float, float]]:
    """Value, low and high of each row, from the top."""
    (bars,) = (c for c in axes.containers if isinstance(c, ErrorbarContainer))
    ends = bars.lines[2][0].get_segments()
    return [(float(x), end[0][0], end[1][0]) for x, end in zip(bars.lines[0].get_xdata(), ends, strict=True)]


def labels(axes: Axes) -> list[str]:
    return [label.get_text() for label in axes.get_yticklabels()]


def test_findings_are_drawn_in_their_order(audit):
    second = Finding(class_word("hen", "straw", "harmful", 0.5, used=0.2, missed=0.1), about(0.1, 0.2))
    figure = findings_figure(dataclasses.replace(audit, findings=[*audit.findings, second]))
    (axes,) = figure.axes
    assert labels(axes) == ["water (duck)", "straw (hen)"]
    assert intervals(axes) == [pytest.approx((31, 12, 50)), pytest.approx((10, -10, 30))]
    assert axes.get_ylim()[0] > axes.get_ylim()[1]  # the first is on top
    assert "2 findings in 24 images" in texts(figure)
    assert "1 finding in 24 images" in texts(audit.plot())


def test_at_most_twenty_findings_are_drawn(audit):
    figure = findings_figure(dataclasses.replace(audit, findings=audit.findings * 30))
    assert len(labels(figure.axes[0])) == 20
    assert "30 findings in 24 images" in texts(figure)


def test_the_word_of_a_class_with_a_long_name_can_be_read(audit):
    long = Finding(class_word("class " * 40, "water", "harmful", 0.5, used=0.2), about(0.3))
    (label,) = labels(findings_figure(dataclasses.replace(audit, findings=[long])).axes[0])
    assert label.startswith("water (class class")
    assert label.endswith("…")


def test_an_interval_that_does_not_hold_its_value_is_drawn(audit):
    # Rounding can put an end of the interval on the wrong side of the value; matplotlib refuses negative lengths.
    odd = Finding(audit.words[0], dataclasses.replace(about(0.3), low=0.3 + 1e-16, high=0.3 - 1e-16))
    assert intervals(findings_figure(dataclasses.replace(audit, findings=[odd])).axes[0]) == [pytest.approx((30, 30, 30))]


def test_without_findings_or_differences_a_note_is_drawn(audit):
    assert "no findings" in texts(findings_figure(dataclasses.replace(audit, findings=[])))
    comparison = compare(audit, "class=duck")
    none = dataclasses.replace(comparison, words=[dataclasses.replace(word, q=1.0) for word in comparison.words])
    assert "no word differs" in texts(comparison_figure(none))


def test_a_comparison_has_its_words_with_differences_in_points(audit):
    comparison = compare(audit, "class=duck")
    figure = comparison.plot()
    (axes,) = figure.axes
    words = comparison.differing()
    assert labels(axes) == [word.word for word in words] == ["water", "grass"]
    assert intervals(axes) == [
        pytest.approx((100 * gap.value, 100 * gap.low, 100 * gap.high)) for gap in (word.difference for word in words)
    ]
    assert "class=duck against all others" in texts(figure)


def test_a_mitigation_has_a_pair_of_bars_for_every_group_and_average(audit):
    figure = a_mitigation(audit).plot()
    (axes,) = figure.axes
    before, after = (c for c in axes.containers if isinstance(c, BarContainer))
    assert [bar.get_width() for bar in before] == pytest.approx([100, 40, 100, 75, 70, 40])
    assert [bar.get_width() for bar in after] == pytest.approx([80] * 6)
    assert labels(axes) == [
        "duck, with 'water'", "duck, without 'water'", "not duck, without 'water'", "average", "reweighted", "worst",
    ]  # fmt: skip
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["before", "after"]


def test_nothing_overlaps_in_the_figure_of_a_mitigation(audit):
    figure = mitigation_figure(dataclasses.replace(a_mitigation(audit), label="a long name " * 20))
    figure.canvas.draw()
    renderer = figure.canvas.get_renderer()
    (axes,) = figure.axes
    legend, panel = axes.get_legend().get_window_extent(renderer), axes.get_window_extent(renderer)
    (title,) = (text.get_window_extent(renderer) for text in figure.texts)
    axis = [label.get_window_extent(renderer) for label in (axes.xaxis.label, *axes.get_xticklabels(), *axes.get_yticklabels())]
    for box in (title, panel, *axis):
        assert not legend.overlaps(box)
    assert not title.overlaps(panel)
    assert 0 <= title.x0 < title.x1 <= 860
    assert legend.y0 >= 0


def test_a_heat_map_is_drawn_over_its_image():
    figure = heat_map_figure(HeatMap("water", np.eye(28), Image.new("RGB", (60, 40), "red")))
    grey, heat = figure.axes[0].get_images()
    assert grey.get_array().shape == (40, 60)
    np.testing.assert_array_equal(heat.get_array(), np.eye(28))
    assert "water" in texts(figure)


def test_hostile_text_is_drawn_as_it_is(tmp_path):
    audit = an_audit(tmp_path, duck="$x^2$ " + HOSTILE, water=r"$\frac{1}$" + HOSTILE)
    comparison = compare(audit, "right")
    for figure in (
        findings_figure(audit),
        mitigation_figure(a_mitigation(audit)),
        comparison_figure(dataclasses.replace(comparison, here=HOSTILE)),
        heat_map_figure(HeatMap(r"$\frac{1}$" + HOSTILE, np.eye(4), Image.new("RGB", (9, 9)))),
    ):
        figure.canvas.draw()  # drawing is where mathtext would fail, and a missing glyph warn
    assert any(text.startswith(r"$\frac{1}$</script>") for text in texts(findings_figure(audit)))


def test_a_notebook_shows_a_figure_as_a_picture(audit):
    figure = findings_figure(audit)
    with Image.open(io.BytesIO(figure._repr_png_())) as image:
        assert image.size == tuple(figure.get_size_inches() * figure.dpi)
