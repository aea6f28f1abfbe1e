"""Results as HTML for notebooks. Text from outside is escaped; there is no script, and nothing is fetched."""

import base64
import io
from collections.abc import Iterable, Sequence
from pathlib import Path

from markupsafe import Markup
from PIL import Image, ImageOps

from wordsight.audits.findings import Finding
from wordsight.audits.result import Audit
from wordsight.audits.sets import Comparison
from wordsight.audits.statistics import Estimate
from wordsight.errors import ImageError
from wordsight.explain import Explanation, Explanations
from wordsight.features.extraction import open_rgb
from wordsight.images.sources import ImageLike
from wordsight.mitigation.result import Mitigation
from wordsight.report.numbers import group_name

_SIDE = 220
#: Rows that a table shows; ``to_dataframe()`` has all.
_ROWS = 12


def explanation_html(explanation: Explanation) -> str:
    """The image, its words with rates and intervals, and its sentences."""
    best = explanation.prediction[0]
    bars = Markup("").join(
        Markup(
            '<tr><td style="text-align:left">{}</td><td style="text-align:left"><div style="background:#4a8fc7;height:.8em;'
            'width:{}px"></div></td><td>{}</td><td>{} to {}</td><td>{}</td></tr>'
        ).format(
            word.word,
            round(120 * word.rate),
            f"{word.rate:.1%}",
            f"{word.low:.1%}",
            f"{word.high:.1%}",
            "" if word.lift is None else f"{word.lift:+.1f}",
        )
        for word in explanation.table[:_ROWS]
    )
    sentences = Markup("").join(Markup("<li><em>{}</em></li>").format(sentence) for sentence in explanation.examples)
    return str(
        Markup(
            '<div style="display:flex;gap:1.5em;flex-wrap:wrap"><figure style="margin:0">{}<figcaption>{}<br>{} {}</figcaption>'
            "</figure><div><table><thead><tr><th>word</th><th></th><th>rate</th><th>95% interval</th><th>lift</th></tr></thead>"
            "<tbody>{}</tbody></table><p>{} sentences; typical ones:</p><ul>{}</ul></div></div>"
        ).format(
            _thumbnail(explanation.source),
            explanation.image,
            best.label,
            f"{best.probability:.0%}",
            bars,
            explanation.sentences,
            sentences,
        )
    )


def explanations_html(explanations: Explanations) -> str:
    """Each explanation, then the images that failed."""
    failures = Markup("").join(
        Markup("<li>{}: {}</li>").format(failure.image, failure.reason) for failure in explanations.failures
    )
    failed = Markup("<p>Not explained:</p><ul>{}</ul>").format(failures) if failures else Markup("")
    return str(Markup("<hr>").join(Markup(explanation_html(explanation)) for explanation in explanations) + failed)


def finding_html(finding: Finding) -> str:
    """The class and word, the severity, and the accuracy of each group."""
    rows = [(group_name(group, finding.about.word), group.images, f"{group.accuracy:.0%}") for group in finding.groups]
    title = Markup("<p><strong>{}: {}</strong>, severity {}</p>").format(
        finding.about.label, finding.about.word, _points(finding.severity)
    )
    return str(title + _table(("group", "images", "accuracy"), rows))


def audit_html(audit: Audit) -> str:
    """How many images and findings, and the findings as a table: those that go along with another stand in its row."""
    count = f"{len(audit.findings)} finding{'' if len(audit.findings) == 1 else 's'}"
    title = Markup("<p><strong>{}</strong> in {} images; accuracy {}</p>").format(
        count, len(audit.images), f"{audit.accuracy:.1%}"
    )
    rows = [
        (
            finding.about.label,
            finding.about.word,
            ", ".join(other.about.word for other in audit.along(finding)),
            _points(finding.severity),
            f"{finding.about.rate.value:.0%}",
        )
        for finding in audit.leading
    ]
    return str(title + (_table(("class", "word", "goes along", "severity (points)", "rate"), rows) if rows else Markup("")))


def comparison_html(comparison: Comparison) -> str:
    """The words that differ, with rates and the difference."""
    words = comparison.differing()
    title = Markup("<p>{} ({} images) against {} ({} images): <strong>{} of {} words differ</strong></p>").format(
        comparison.here,
        comparison.images_here,
        comparison.elsewhere,
        comparison.images_elsewhere,
        len(words),
        len(comparison.words),
    )
    rows = [
        (word.word, f"{word.here:.1%}", f"{word.elsewhere:.1%}", _points(word.difference), f"{word.q:.2g}")
        for word in words[:_ROWS]
    ]
    return str(title + (_table(("word", "here", "elsewhere", "difference (points)", "q"), rows) if rows else Markup("")))


def mitigation_html(mitigation: Mitigation) -> str:
    """Accuracy of every group and on average, before and after."""
    change = mitigation.worst_change
    said = {"better": "the worst group is better", "worse": "the worst group is worse"}
    verdict = said.get(mitigation.verdict, "no evidence that the worst group changed")
    verdict += f" ({100 * change.low:+.0f} to {100 * change.high:+.0f} points)"
    title = Markup("<p><strong>{}: {}</strong>, {}: {}</p>").format(
        mitigation.label, mitigation.word, mitigation.method, verdict
    )
    rows = [
        (row["group"], row["images"], f"{row['before']:.1%}", f"{row['after']:.1%}", f"{100 * row['change']:+.1f}")
        for row in mitigation.to_dataframe().to_dict("records")
    ]
    return str(title + _table(("group", "images", "before", "after", "change (points)"), rows))


def _table(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> Markup:
    def line(cells: Iterable[object], tag: str) -> Markup:
        start = Markup(f"<{tag}>")
        end = Markup(f"</{tag}>")
        return Markup("<tr>{}</tr>").format(Markup("").join(start + str(cell) + end for cell in cells))

    body = Markup("").join(line(row, "td") for row in rows)
    return Markup("<table><thead>{}</thead><tbody>{}</tbody></table>").format(line(columns, "th"), body)


def _points(estimate: Estimate) -> str:
    return f"{100 * estimate.value:.0f} ({100 * estimate.low:.0f} to {100 * estimate.high:.0f})"


def _thumbnail(source: ImageLike) -> Markup:
    try:
        image = open_rgb(source)
    except (ImageError, OSError) as error:  # the file is gone
        return Markup("<em>{}</em>").format(f"{Path(str(source)).name} cannot be shown: {error}")
    stream = io.BytesIO()
    ImageOps.contain(image, (_SIDE, _SIDE), Image.Resampling.LANCZOS).save(stream, "JPEG", quality=85)
    data = base64.b64encode(stream.getvalue()).decode("ascii")
    return Markup('<img alt="" src="data:image/jpeg;base64,{}">').format(data)
