"""An audit -> one HTML file that needs no network and no other file. Writing it is separate (``Audit.save``).

The scripts draw the charts with Observable Plot on D3, which are embedded: half a megabyte together. Their SVG follows the page's
colours (light and dark) and can be described to a screen reader, and each is published as one minified file, so there is no build
step. ECharts and Vega are twice as large, Plotly six times; Chart.js and uPlot are smaller, but draw on a canvas.
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
from wordsight.audits.lines import power_line, untested_line
from wordsight.audits.result import Audit
from wordsight.mitigation.result import Mitigation
from wordsight.report import numbers, page, provenance
from wordsight.report.classes import FEW_IMAGES, class_lines
from wordsight.report.cloud import Cloud, cloud
from wordsight.report.command_lines import classifier_name
from wordsight.report.data import chosen_images, page_data, script_json, shown_classes, shown_words
from wordsight.report.mitigations import mitigation_cards
from wordsight.report.summary import summary

#: The maximum number of images in a report, so that it is about 5 MB at most; its numbers are of all images.
MAX_IMAGES = 1000
#: The maximum number of clouds in a report: 8 kB and a tenth of a second each.
CLOUDS = 100
#: The scripts, in the order in which they build on each other.
LIBRARIES = ("vendor/d3.min.js", "vendor/plot.umd.min.js")
SCRIPTS = ("dom.js", "images.js", "viewer.js", "tables.js", "charts.js", "main.js")


def render_report(
    audit: Audit,
    *,
    heat_maps: Mapping[tuple[str, str], np.ndarray] = {},
    mitigations: Sequence[Mitigation] = (),
    title: str | None = None,
    max_images: int = MAX_IMAGES,
) -> str:
    """The report as HTML: one self-contained page.

    - ``heat_maps``: by image (``AuditedImage.image``) and word, where in the image's central square the word comes from:
      (rows, columns) in [0, 1].
    - ``mitigations``: of the audit's findings; shown before and after.
    - ``title``: default "Audit of" and the classifier's name.
    - ``max_images``: the maximum number of images shown, the findings' examples first. An image that cannot be read any more is
      shown by its name.

    Text from outside (labels, words, file names, sentences) is escaped. The page's content security policy allows only the
    page's own scripts, and no requests.
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
        title=title or f"Audit of {classifier_name(audit.settings)}",
        audit=audit,
        summary=summary(audit),
        cards=page.cards(audit),
        untested=[untested_line(one) for one in audit.untested],
        classes=classes,
        with_words=[bool(words_of[label]) for label in classes],
        class_lines=class_lines(audit),
        powers=[power_line(power) for power in audit.power],
        clouds=_clouds(audit, words_of),
        tested=len({word.label for word in audit.words}),
        shown=len(images),
        cut=len(rows) < len(audit.words),
        sides=sides,
        sentences=page.sentences_an_image(audit.settings),
        words_from_head=audit.settings.get("words") == "head",
        mitigations=mitigation_cards(mitigations),
        figures=provenance.figures(audit),
        settings=provenance.settings(audit),
        few_images=FEW_IMAGES,
        percent=numbers.percent,
        style=Markup(_text("report.css")),
        libraries=[Markup(text) for text in libraries],
        script=Markup(script),
        licences=_text("vendor/LICENSES.txt"),
        hashes=[_hash(text) for text in (*libraries, script)],
        data=Markup(script_json(page_data(audit, rows, images, sides, mitigations, heat_maps))),
    )
    # A file name may be no valid Unicode: its bytes are lone surrogates, which UTF-8 cannot encode.
    return text.encode("utf-8", "replace").decode("utf-8")


def _clouds(audit: Audit, words_of: Mapping[str, Sequence[ClassWord]]) -> list[Cloud | None]:
    """A cloud for each class; None for those beyond ``CLOUDS``, which are taken from classes with findings first."""
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
        autoescape=True,  # jinja2 would decide by the file's ending, which is not .html
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("report.html.j2")


@cache
def _text(name: str) -> str:
    return (resources.files("wordsight.report") / "templates" / name).read_text(encoding="utf-8")


def _hash(script: str) -> str:
    """The name of a script in a content security policy."""
    return "sha256-" + base64.b64encode(hashlib.sha256(script.encode("utf-8")).digest()).decode("ascii")
