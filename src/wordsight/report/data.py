"""An audit -> the JSON that the page's scripts read."""

import dataclasses
import json
import math
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from wordsight.audits.compare import RightWrong
from wordsight.audits.findings import ClassWord, Finding
from wordsight.audits.result import Audit, AuditedImage
from wordsight.audits.statistics import Estimate
from wordsight.mitigation.result import Accuracies, Mitigation
from wordsight.report.pieces import Heat, heat_of_images, thumbnails

#: The maximum number of heat maps in a report: about 100 bytes each.
HEAT_MAPS = 10_000
#: The maximum number of rows in all tables of words together: about 110 bytes each.
ROWS = 20_000
#: The maximum number of rows in all tables of right against wrong images together: about 60 bytes each.
SIDE_ROWS = 5_000
#: The columns of the table of words that are estimates.
ESTIMATES = ("rate", "encoded", "used", "missed", "mistaken", "severity")


def shown_classes(audit: Audit) -> list[str]:
    """The classes that have images or words, in the classifier's order: the data may have ten of 1,000 classes."""
    met = {image.label for image in audit.images} | {word.label for word in audit.words}
    return [name for name in audit.classes if name in met]


def shown_words(audit: Audit, *, limit: int = ROWS) -> list[ClassWord]:
    """The rows of the tables of words: all, or, if there are more than ``limit``, the strongest of each class and the harmful."""
    if len(audit.words) <= limit:
        return audit.words
    per_class = max(1, limit // len(shown_classes(audit)))
    seen: dict[str, int] = {}
    chosen = []
    for word in audit.words:  # the strongest of a class come first
        seen[word.label] = seen.get(word.label, 0) + 1
        if seen[word.label] <= per_class or word.verdict in ("harmful", "untested"):
            chosen.append(word)
    return chosen


def chosen_images(audit: Audit, *, limit: int) -> list[AuditedImage]:
    """At most ``limit`` images to show, in the audit's order: the findings' examples, then images of every class in turn."""
    taken: dict[int, AuditedImage] = {}
    for finding in audit.leading:
        for images in audit.example_images(finding).values():
            taken |= {id(image): image for image in images}
    by_class: dict[str, list[AuditedImage]] = {}
    for image in audit.images:
        by_class.setdefault(image.label, []).append(image)
    rounds = max((len(images) for images in by_class.values()), default=0)
    for image in (images[i] for i in range(rounds) for images in by_class.values() if i < len(images)):
        if len(taken) >= limit:
            break
        taken[id(image)] = image
    chosen = set(list(taken)[:limit])
    return [image for image in audit.images if id(image) in chosen]


def page_data(
    audit: Audit,
    rows: Sequence[ClassWord],
    images: Sequence[AuditedImage],
    sides: Sequence[RightWrong],
    mitigations: Sequence[Mitigation],
    heat_maps: Mapping[tuple[str, str], np.ndarray],
) -> dict[str, object]:
    """The data of the page's scripts. Classes and words are lists of names; other entries refer to them by number."""
    classes = shown_classes(audit)
    class_number = {label: i for i, label in enumerate(classes)}
    number = {word: i for i, word in enumerate(dict.fromkeys(row.word for row in audit.words))}
    names = {image.image for image in images}
    heat = heat_of_images({key: value for key, value in heat_maps.items() if key[0] in names}, limit=HEAT_MAPS)
    for maps in heat.values():  # a word may have a heat map and be too rare for the table
        for word in maps:
            number.setdefault(word, len(number))
    position = {id(image): i for i, image in enumerate(images)}
    return {
        "classes": classes,
        "words": list(number),
        "rows": [_row(row, class_number, number) for row in rows],
        "images": [
            _image(image, thumbnail, heat.get(image.image, {}), number)
            for image, thumbnail in zip(images, thumbnails(image.path for image in images), strict=True)
        ],
        "findings": [_finding(audit, finding, position, number) for finding in audit.leading],
        "sides": [_side(side, limit=max(20, SIDE_ROWS // len(sides))) for side in sides],
        "mitigations": [_before_after(mitigation) for mitigation in mitigations],
    }


def _image(
    image: AuditedImage, thumbnail: str | None, heat: Mapping[str, Heat], number: Mapping[str, int]
) -> dict[str, object]:
    """``words``: the number and the rate of each word in turn."""
    return {
        "name": image.image,
        "label": image.label,
        "predicted": image.predicted,
        "probability": image.probability,
        "sentence": image.sentence,
        "group": image.group,
        "split": image.split,
        "thumbnail": thumbnail,
        "words": [x for w, rate in image.words.items() if w in number and rate >= 0.005 for x in (number[w], rate)],
        "heat": {number[word]: dataclasses.astuple(cells) for word, cells in heat.items()},
    }


def _side(side: RightWrong, *, limit: int) -> dict[str, object]:
    """The first ``limit`` words, which differ most clearly."""
    rows = [[w.word, w.here, w.elsewhere, *_ends(w.difference), *_ends(w.separation), w.q] for w in side.words[:limit]]
    return {"label": side.label, "right": side.right, "wrong": side.wrong, "compared": len(side.words), "rows": rows}


def _row(row: ClassWord, class_number: Mapping[str, int], number: Mapping[str, int]) -> list[object]:
    """Class, word, verdict, images with it, lift, strength, changes, unseen, then three numbers for each of ``ESTIMATES``."""
    ends = [end for name in ESTIMATES for end in _ends(getattr(row, name))]
    about = [row.verdict, row.images_with, row.lift, row.strength, row.changes, row.unseen]
    return [class_number[row.label], number[row.word], *about, *ends]


def _finding(audit: Audit, finding: Finding, position: Mapping[int, int], number: Mapping[str, int]) -> dict[str, object]:
    images = audit.example_images(finding)
    return {
        "label": finding.about.label,
        "word": number[finding.about.word],
        "severity": _ends(finding.severity),
        "examples": {kind: [position[id(i)] for i in shown if id(i) in position] for kind, shown in images.items()},
    }


def _before_after(mitigation: Mitigation) -> dict[str, object]:
    def shares(head: Accuracies) -> dict[str, object]:
        return {"average": head.average, "reweighted": head.reweighted, "worst": head.worst}

    return {"before": shares(mitigation.before), "after": shares(mitigation.after)}


def _ends(estimate: Estimate | None) -> list[float | None]:
    return [None] * 3 if estimate is None else [estimate.value, estimate.low, estimate.high]


def script_json(value: object) -> str:
    """JSON for a script element: nothing in it can end the element or begin a comment.

    Numbers are rounded to four decimals; NaN and infinity, which JSON does not have, become null.
    """
    text = json.dumps(_plain(value), ensure_ascii=True, allow_nan=False, separators=(",", ":"))
    # JSON's own escapes: every parser reads the same text. ensure_ascii escapes U+2028 and lone surrogates.
    for character in "<>&":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text


def _plain(value: object) -> object:
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, str | bool | int) or value is None:
        return value
    if isinstance(value, float | np.floating):
        return round(float(value), 4) if math.isfinite(value) else None
    if isinstance(value, np.integer):
        return int(value)
    if isinstance(value, Iterable):
        return [_plain(item) for item in value]
    return str(value)
