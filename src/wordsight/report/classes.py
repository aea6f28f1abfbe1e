"""An audit -> its classes in words, as plain data: their numbers of images and words, and remarks."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from wordsight.audits import MIN_USED
from wordsight.audits.explained import Explained
from wordsight.audits.findings import ClassWord
from wordsight.audits.focus import Focus
from wordsight.audits.lines import power_line
from wordsight.audits.result import Audit, AuditedImage
from wordsight.report.data import shown_classes
from wordsight.report.numbers import with_minus

Labelled = TypeVar("Labelled", AuditedImage, ClassWord)

#: Below this number of images, the intervals of a class are wide and a shortcut is easily missed.
FEW_IMAGES = 30


@dataclass(frozen=True)
class ClassLine:
    """A class in the table of what each class's part of the audit is based on.

    ``accuracy`` and ``explained``: shares, at most 1; ``use``: the largest reliance, on the word ``most_used``. ``words``: how
    many are encoded; ``harmful``, ``untested``: how many of these have that verdict. ``unexplained``, ``power`` and ``focus``: a
    note, or nothing.
    """

    label: str
    images: int
    accuracy: float | None
    words: int
    harmful: int
    untested: int
    most_used: str
    use: float | None
    explained: float | None
    remark: str
    unexplained: str
    power: str
    focus: "FocusNote | None"


@dataclass(frozen=True)
class FocusNote:
    """A note that a class is decided at one position. ``cells``: column, row, opacity of the mean heat map, ``side`` x ``side``."""

    text: str
    side: int
    cells: list[tuple[int, int, float]]


def class_lines(audit: Audit) -> list[ClassLine]:
    """A line for each class that has images or words, in the classifier's order."""
    focus_of = {focus.label: focus for focus in audit.focus}
    power_of = {power.label: power_line(power) for power in audit.power}
    explained_of = {explained.label: explained for explained in audit.explained}
    images_of, words_of = _by_label(audit.images), _by_label(audit.words)
    limits = audit.settings.get("limits")
    min_used = limits.get("used", MIN_USED) if isinstance(limits, Mapping) else MIN_USED
    lines = []
    for label in shown_classes(audit):
        images, words = images_of.get(label, []), words_of.get(label, [])
        focus, explained = focus_of.get(label), explained_of.get(label)
        used = max(((word.used.value, word.word) for word in words if word.used), key=lambda pair: pair[0], default=None)
        lines.append(
            ClassLine(
                label=label,
                images=len(images),
                accuracy=sum(image.right for image in images) / len(images) if images else None,
                words=sum(word.verdict not in ("none", "class") for word in words),
                harmful=sum(word.verdict == "harmful" for word in words),
                untested=sum(word.verdict == "untested" for word in words),
                most_used=used[1] if used else "",
                use=used[0] if used else None,
                explained=explained.share.value if explained else None,
                remark=", ".join(_remarks(len(images), len(words), used and used[0], min_used, focus, explained)),
                unexplained=_unexplained(explained, audit.explained) if explained and explained.remarkable else "",
                power=power_of.get(label, ""),
                focus=_focus_note(focus, audit.focus) if focus and focus.remarkable else None,
            )
        )
    return lines


def _remarks(
    images: int, words: int, use: float | None, min_used: float, focus: Focus | None, explained: Explained | None
) -> list[str]:
    """What limits the class's part of the audit, and what no word explains."""
    remarks = {
        "few images": images < FEW_IMAGES,
        "too few for any word": words == 0,
        "low word use": words > 0 and (use is None or use < min_used),
        "looks at one position": focus is not None and focus.remarkable,
        "words explain little": explained is not None and explained.remarkable,
    }
    return [remark for remark, holds in remarks.items() if holds]


def _unexplained(explained: Explained, everywhere: Sequence[Explained]) -> str:
    others = [other.share.value for other in everywhere if other.label != explained.label]
    numbers = (explained.share.value, explained.share.low, explained.share.high, min(others), max(others))
    share, low, high, minimum, maximum = (with_minus(f"{number:.0%}") for number in numbers)
    return (
        f"The words of the images explain {share} of the differences in the logit of {explained.label} (95% interval {low} to "
        f"{high}), in other classes {minimum} to {maximum}. There are two possible reasons. What decides may have no word in "
        "captions, such as a stamp or a texture. Or the class is close to another class that has the same words: compare its "
        "images with those of the class that it is confused with."
    )


def _focus_note(focus: Focus, everywhere: Sequence[Focus]) -> FocusNote:
    others = [other.agreement.value for other in everywhere if other.label != focus.label]
    numbers = (focus.agreement.value, focus.agreement.low, focus.agreement.high, min(others), max(others))
    agreement, low, high, minimum, maximum = (with_minus(f"{number:.2f}") for number in numbers)
    rows = focus.heat / focus.heat.max()
    return FocusNote(
        text=f"The heat maps of {focus.images} images predicted as {focus.label} agree with each other: mean correlation "
        f"{agreement} (95% interval {low} to {high}), in other classes {minimum} to {maximum}. So the classifier looks at one "
        "position of the images. There are two possible reasons: a stamp or a line of text, which captions have no word for, or "
        "objects that are at one position in all images. Look at the images there.",
        side=len(rows),
        cells=[(x, y, round(float(value), 2)) for y, row in enumerate(rows) for x, value in enumerate(row) if value >= 0.01],
    )


def _by_label(labelled: Iterable[Labelled]) -> dict[str, list[Labelled]]:
    found: dict[str, list[Labelled]] = {}
    for item in labelled:
        found.setdefault(item.label, []).append(item)
    return found
