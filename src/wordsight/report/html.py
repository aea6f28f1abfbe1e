"""An audit -> one HTML file that needs nothing else: no network, no folder beside it. Writing it is separate.

The scripts draw the charts with Observable Plot on D3, which are embedded: half a megabyte together, SVG that follows the
page's own colours (light and dark) and can be described to a screen reader, and published as one minified file each, so that
no build step stands between what npm has and what the report holds. ECharts and Vega are twice that, Plotly six times;
Chart.js and uPlot are smaller but draw on a canvas.
"""

import base64
import hashlib
from collections.abc import Mapping, Sequence
from functools import cache
from importlib import resources

import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined, Template
from markupsafe import Markup

from wordsight.audits.compare import right_against_wrong
from wordsight.audits.findings import ClassWord
from wordsight.audits.result import Audit
from wordsight.mitigation.result import Mitigation
from wordsight.report import page, provenance
from wordsight.report.classes import FEW_IMAGES, class_lines
from wordsight.report.cloud import Cloud, cloud
from wordsight.report.data import chosen_images, page_data, script_json, shown_classes, shown_words

#: Images that a report shows at most, so that it stays near 5 MB; its numbers are those of all images.
MAX_IMAGES = 1000
#: Clouds that a report has at most: 8 kB and a tenth of a second each.
CLOUDS = 100
#: The scripts, in the order in which they build on each other.
LIBRARIES = ("vendor/d3.min.js", "vendor/plot.umd.min.js")
SCRIPTS = ("dom.js", "pictures.js", "viewer.js", "tables.js", "charts.js", "main.js")


def render_report(
    audit: Audit,
    *,
    heat_maps: Mapping[tuple[str, str], np.ndarray] = {},
    mitigations: Sequence[Mitigation] = (),
    title: str | None = None,
    max_images: int = MAX_IMAGES,
) -> str:
    """The report as HTML; it is self-contained and opens by double click.

    ``heat_maps`` has, by image (as in ``AuditedImage.image``) and word, where in the image's middle square the word is seen:
    (rows, columns) in [0, 1], coarse. ``mitigations`` are mitigations of the audit's findings. At most ``max_images`` images are
    shown, the findings' examples first; one that cannot be read any more is shown by its name. What comes from outside
    (labels, words, file names, sentences) is escaped, and the page's content security policy lets no script run but its own
    and nothing be fetched.
    """
    images = chosen_images(audit, limit=max_images)
    sides = right_against_wrong(audit)
    classes = shown_classes(audit)
    words_of: dict[str, list[ClassWord]] = {label: [] for label in classes}
    for word in audit.words:
        words_of[word.label].append(word)
    rows = shown_words(audit)
    libraries = [_text(name) for name in LIBRARIES]
    script = "\n".join(_text(name) for name in SCRIPTS)
    text = _template().render(
        title=title or f"Audit of {audit.settings.get('classifier', 'a classifier')}",
        audit=audit,
        summary=page.summary(audit),
        cards=page.cards(audit),
        classes=classes,
        with_words=[bool(words_of[label]) for label in classes],
        class_lines=class_lines(audit),
        clouds=_clouds(audit, words_of),
        tested=len({word.label for word in audit.words}),
        shown=len(images),
        cut=len(rows) < len(audit.words),
        sides=sides,
        mitigations=page.mitigation_cards(mitigations),
        figures=provenance.figures(audit),
        settings=provenance.settings(audit),
        few_images=FEW_IMAGES,
        percent=page.percent,
        style=Markup(_text("report.css")),
        libraries=[Markup(text) for text in libraries],
        script=Markup(script),
        licences=_text("vendor/LICENSES.txt"),
        hashes=[_hash(text) for text in (*libraries, script)],
        data=Markup(script_json(page_data(audit, rows, images, sides, mitigations, heat_maps))),
    )
    # A file name need not be valid Unicode; its odd bytes come as lone surrogates, which UTF-8 cannot write.
    return text.encode("utf-8", "replace").decode("utf-8")


def _clouds(audit: Audit, words_of: Mapping[str, Sequence[ClassWord]]) -> list[Cloud | None]:
    """A cloud for each class, of very many only for the first, those with findings before the others."""
    order = dict.fromkeys([*(finding.about.label for finding in audit.findings), *words_of])
    drawn = set(list(order)[:CLOUDS])
    return [
        cloud([(word.word, word.rate.value, word.lift) for word in words]) if label in drawn else None
        for label, words in words_of.items()
    ]


@cache
def _template() -> Template:
    environment = Environment(
        loader=PackageLoader("wordsight.report", "templates"),
        autoescape=True,  # by name it would be off: the file does not end in .html
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("report.html.j2")


@cache
def _text(name: str) -> str:
    return (resources.files("wordsight.report") / "templates" / name).read_text(encoding="utf-8")


def _hash(script: str) -> str:
    """How a content security policy names a script that may run."""
    return "sha256-" + base64.b64encode(hashlib.sha256(script.encode("utf-8")).digest()).decode("ascii")
