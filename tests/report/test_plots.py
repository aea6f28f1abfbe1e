"""Images: the right bars, whiskers and labels; hostile text; no words; writing is all or nothing."""

from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.container import BarContainer
from matplotlib.figure import Figure
from matplotlib.text import Text
from PIL import Image

from wordsight.report.plots import LIFT_LABEL, RATE_LABEL, bar_chart, explanation_figure, save, word_cloud
from wordsight.words.scores import WordScore

HOSTILE = r"<script>$\frac{1}$ $x^2$ \$5 猫"
SHOWN = r"<script>$\frac{1}$ $x^2$ \$5 " + "\N{REPLACEMENT CHARACTER}"  # DejaVu Sans has no glyph for the last one


def row(word: str, rate: float, *, lift: float | None = 0.5) -> WordScore:
    return WordScore(word, round(100 * rate), rate, max(0.0, rate - 0.1), min(1.0, rate + 0.05), lift, lift)


WORDS = [row("dog", 0.2, lift=-1.5), row("cat", 0.8, lift=3.0), row("bed", 0.5, lift=0.0)]
IMAGE = Image.fromarray(np.arange(60 * 90 * 3, dtype=np.uint32).reshape(60, 90, 3).astype(np.uint8))


def pixels(figure: Figure) -> np.ndarray:
    figure.canvas.draw()
    return np.asarray(figure.canvas.buffer_rgba()).copy()


def texts(figure: Figure) -> list[str]:
    return [text.get_text() for text in figure.findobj(Text)]


def bars(axes: Axes) -> BarContainer:
    (found,) = (c for c in axes.containers if isinstance(c, BarContainer))
    return found


def test_bars_labels_and_whiskers() -> None:
    figure = bar_chart(WORDS, title="a title")
    axes = figure.axes[0]
    assert [bar.get_width() for bar in bars(axes)] == pytest.approx([80, 50, 20])
    assert [label.get_text() for label in axes.get_yticklabels()] == ["cat", "bed", "dog"]
    heights = [axes.transData.transform((0, bar.get_y()))[1] for bar in bars(axes)]
    assert heights == sorted(heights, reverse=True)  # the most frequent on top
    whiskers = bars(axes).errorbar.lines[2][0].get_segments()
    assert [(s[0][0], s[1][0]) for s in whiskers] == [pytest.approx(ends) for ends in ((70, 85), (40, 55), (10, 25))]
    assert axes.get_xlabel() == RATE_LABEL
    assert "a title" in texts(figure)


def test_colour_is_the_lift_and_has_a_legend() -> None:
    figure = bar_chart(WORDS, title="")
    (cat, bed, dog) = (bar.get_facecolor() for bar in bars(figure.axes[0]))
    assert cat[0] > cat[2]  # above the reference: orange
    assert dog[2] > dog[0]  # below: blue
    assert max(bed[:3]) - min(bed[:3]) < 0.05  # no difference: grey
    assert figure.axes[1].get_ylabel() == LIFT_LABEL


def test_bars_without_lift_are_grey_and_need_no_legend() -> None:
    figure = bar_chart([row("cat", 0.8, lift=None), row("dog", 0.2, lift=None)], title="")
    assert len(figure.axes) == 1
    for bar in bars(figure.axes[0]):
        assert len(set(bar.get_facecolor()[:3])) == 1
    assert LIFT_LABEL not in texts(figure)


def test_only_the_top_words_are_drawn() -> None:
    many = [row(f"word{i:02}", i / 40) for i in range(1, 31)]
    assert len(bars(bar_chart(many, title="").axes[0])) == 20
    assert [bar.get_width() for bar in bars(bar_chart(many, title="", top=2).axes[0])] == pytest.approx([75, 72.5])


def test_the_ends_of_the_scale_can_be_drawn() -> None:
    # Rounding can leave an end of the interval a hair on the wrong side of the rate; matplotlib refuses negative whiskers.
    odd = WordScore("all", 10, 1.0, 1.0 + 1e-16, 1.0 - 1e-16, 1.0, 1.0)
    assert pixels(bar_chart([odd, row("rare", 0.0)], title="")).any()


def test_a_cloud_is_the_same_for_the_same_words() -> None:
    first, again = (pixels(word_cloud(WORDS, title="")) for _ in range(2))
    assert np.array_equal(first, again)


def test_the_words_of_a_cloud_are_text_that_does_not_overlap() -> None:
    words = [row(f"word{i}" + "x" * (i % 7), 0.9 - i / 80) for i in range(50)] + [row("w" * 300, 0.95), row("none", 0.0)]
    figure = word_cloud(words, title="")
    figure.canvas.draw()
    renderer = figure.canvas.get_renderer()
    panel = figure.axes[0]
    boxes = {text.get_text(): text.get_window_extent(renderer) for text in panel.texts}
    assert len(boxes) > 45
    assert "w" * 23 + "…" in boxes
    assert "none" not in boxes
    assert boxes["word0"].height >= boxes["word40" + "x" * 5].height
    for i, box in enumerate(list(boxes.values())):
        assert panel.bbox.x0 <= box.x0 < box.x1 <= panel.bbox.x1
        for other in list(boxes.values())[:i]:
            wide, high = min(box.x1, other.x1) - max(box.x0, other.x0), min(box.y1, other.y1) - max(box.y0, other.y0)
            assert wide <= 1 or high <= 0.3 * min(box.height, other.height)  # boxes of text have room for descenders


def test_a_cloud_has_a_legend_only_with_lifts() -> None:
    assert LIFT_LABEL in texts(word_cloud(WORDS, title=""))
    assert LIFT_LABEL not in texts(word_cloud([row("cat", 0.8, lift=None)], title=""))


def test_without_words_the_figures_have_a_note() -> None:
    for figure in (bar_chart([], title="t"), word_cloud([], title="t"), word_cloud([row("cat", 0.0)], title="t")):
        assert "no words" in texts(figure)
        assert pixels(figure).any()
    assert texts(explanation_figure(IMAGE, [], title="t", sentences=[])).count("no words") == 2


def test_hostile_titles_and_words_are_shown_as_they_are() -> None:
    words = [row(HOSTILE, 0.9), row("$x$", 0.4)]
    for figure in (
        bar_chart(words, title=HOSTILE),
        word_cloud(words, title=HOSTILE),
        explanation_figure(IMAGE, words, title=HOSTILE, sentences=[HOSTILE, "a\x00b\x1b\n\nc", "\ud800"]),
    ):
        assert pixels(figure).any()  # drawing is where mathtext would fail, and a missing glyph warn
        assert SHOWN in texts(figure)
    assert "$x$" in texts(bar_chart(words, title=""))


def test_no_text_turns_into_mathematics() -> None:
    # "$x^2$" as mathtext is drawn narrower than its five characters in one row.
    figure = bar_chart([row("cat", 0.5)], title="$x^2$")
    (title,) = (text for text in figure.texts if text.get_text() == "$x^2$")
    plain = title.get_window_extent(figure.canvas.get_renderer()).width
    title.set_parse_math(True)
    assert plain > 1.3 * title.get_window_extent(figure.canvas.get_renderer()).width


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "L", "P", "1", "CMYK"])
def test_an_image_of_any_mode(mode: str) -> None:
    figure = explanation_figure(IMAGE.convert(mode), WORDS, title="t", sentences=[])
    assert pixels(figure).shape == (620, 1500, 4)


def test_the_explanation_shows_three_sentences_twelve_bars_and_nothing_overlaps() -> None:
    words = [row(f"word{i:02}" + "x" * i, i / 40, lift=i - 15.0) for i in range(1, 31)]
    sentences = ["short", "a long sentence " * 60, "w" * 1000, "a fourth one"]
    figure = explanation_figure(IMAGE, words, title="a long title " * 60, sentences=sentences)
    assert pixels(figure).shape == (620, 1500, 4)
    _image, chart, _scale, cloud = figure.axes
    assert len(bars(chart)) == 12
    assert "“short”" in texts(figure)
    assert not any("fourth" in text for text in texts(figure))
    renderer = figure.canvas.get_renderer()
    boxes = [axes.get_tightbbox(renderer) for axes in figure.axes] + [t.get_window_extent(renderer) for t in figure.texts]
    for i, box in enumerate(boxes):
        assert 0 <= box.x0 < box.x1 <= 1500
        assert 0 <= box.y0 < box.y1 <= 620
        assert not any(box.overlaps(other) for other in boxes[i + 1 :])
    assert cloud.get_position().height > 0.5  # six lines of sentences leave the panels most of the room


def test_a_word_has_one_colour_in_bars_and_cloud() -> None:
    # The strongest lift is on a word that only the cloud has room for: it sets the scale of both.
    words = [row(f"word{i:02}", 0.9 - i / 50, lift=1.0) for i in range(12)] + [row("rare", 0.01, lift=8.0)]
    figure = explanation_figure(IMAGE, words, title="", sentences=[])
    assert figure.axes[2].get_ylim() == pytest.approx((-8, 8))


def test_the_image_given_is_left_as_it_was() -> None:
    large = Image.new("RGB", (3000, 2000), "red")
    explanation_figure(large, WORDS, title="", sentences=[])
    assert large.size == (3000, 2000)


def test_save_writes_a_png_and_makes_the_folders(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b" / "image.png"
    save(bar_chart(WORDS, title="t"), path)
    save(word_cloud(WORDS, title="t"), str(path.with_name("cloud.png")))
    with Image.open(path) as image:
        assert image.format == "PNG"
        assert image.size[0] == 800
    assert path.stat().st_size > 5000
    assert sorted(p.name for p in path.parent.iterdir()) == ["cloud.png", "image.png"]


def test_a_failing_save_keeps_the_old_file_and_leaves_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "image.png"
    path.write_bytes(b"old")

    def half_written(_figure: Figure, target: Path, **_: object) -> None:
        Path(target).write_bytes(b"\x89PNG half")
        raise OSError("No space left on device")

    monkeypatch.setattr(Figure, "savefig", half_written)
    with pytest.raises(OSError, match="No space left on device"):
        save(bar_chart(WORDS, title="t"), path)
    assert path.read_bytes() == b"old"
    assert [p.name for p in tmp_path.iterdir()] == ["image.png"]


def test_pyplot_and_its_global_state_stay_out_of_it() -> None:
    before = plt.get_fignums()
    explanation_figure(IMAGE, WORDS, title="t", sentences=[])
    assert plt.get_fignums() == before
