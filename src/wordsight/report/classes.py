"""The classes of an audit as plain data: how much each part rests on, and whether words explain its decisions."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from wordsight.audits import MIN_USED
from wordsight.audits.explained import Explained
from wordsight.audits.findings import ClassWord
from wordsight.audits.focus import Focus
from wordsight.audits.result import Audit, AuditedImage
from wordsight.report.data import shown_classes

Labelled = TypeVar("Labelled", AuditedImage, ClassWord)


#: Below this many images a class's intervals are wide, and a shortcut in it is easily missed.
FEW_IMAGES = 30


@dataclass(frozen=True)
class ClassLine:
    """A class in the table of how far to trust the audit."""

    label: str
    images: int
    accuracy: float | None
    words: int
    harmful: int
    most_used: str
    use: float | None
    explained: float | None
    remark: str
    unexplained: str
    focus: "FocusNote | None"


@dataclass(frozen=True)
class FocusNote:
    """That a class is decided at one position. ``cells``: column, row and opacity in the mean heat map of ``side`` x ``side``."""

    text: str
    side: int
    cells: list[tuple[int, int, float]]


def class_lines(audit: Audit) -> list[ClassLine]:
    """How much each class's part of the audit rests on, and whether words explain its decisions at all."""
    seen = {focus.label: focus for focus in audit.focus}
    explained = {share.label: share for share in audit.explained}
    limits = audit.settings.get("limits")
    min_used = limits.get("used", MIN_USED) if isinstance(limits, Mapping) else MIN_USED
    images_of, words_of = _by_label(audit.images), _by_label(audit.words)
    lines = []
    for label in shown_classes(audit):
        own, words = images_of.get(label, []), words_of.get(label, [])
        used = max((w for w in words if w.used is not None), key=lambda w: w.used.value if w.used else -1, default=None)
        use = used.used.value if used and used.used else None
        remarks = []
        if len(own) < FEW_IMAGES:
            remarks.append("few images")
        if not words:
            remarks.append("too few for any word")
        elif use is None or use < min_used:
            remarks.append("low word use")
        focus = seen.get(label)
        if focus is not None and focus.remarkable:
            remarks.append("looks at one position")
        share = explained.get(label)
        if share is not None and share.remarkable:
            remarks.append("words explain little")
        lines.append(
            ClassLine(
                label=label,
                images=len(own),
                accuracy=sum(i.right for i in own) / len(own) if own else None,
                words=sum(w.verdict not in ("none", "class") for w in words),
                harmful=sum(w.verdict == "harmful" for w in words),
                most_used="" if used is None else used.word,
                use=use,
                explained=None if share is None else share.share.value,
                remark=", ".join(remarks),
                unexplained=_unexplained(share, audit.explained) if share is not None and share.remarkable else "",
                focus=_focus_note(focus, audit.focus) if focus is not None and focus.remarkable else None,
            )
        )
    return lines


def _unexplained(explained: Explained, everywhere: Sequence[Explained]) -> str:
    others = [other.share.value for other in everywhere if other.label != explained.label]
    numbers = (explained.share.value, explained.share.low, explained.share.high, min(others), max(others))
    share, low, high, minimum, maximum = (f"{number:.0%}".replace("-", "\N{MINUS SIGN}") for number in numbers)
    return (
        f"The words of the images explain {share} of the differences in {explained.label}'s score (95% interval {low} to {high}), in "
        f"other classes {minimum} to {maximum}. So what decides may have no word in captions, such as a stamp or a texture, or the "
        "class is close to another explained that is described in the same words: compare its images with those that it is confused "
        "with."
    )


def _focus_note(focus: Focus, everywhere: Sequence[Focus]) -> FocusNote:
    others = [other.agreement.value for other in everywhere if other.label != focus.label]
    numbers = (focus.agreement.value, focus.agreement.low, focus.agreement.high, min(others), max(others))
    agreement, low, high, minimum, maximum = (f"{number:.2f}".replace("-", "\N{MINUS SIGN}") for number in numbers)
    rows = focus.heat / focus.heat.max()
    return FocusNote(
        text=f"The heat maps of {focus.images} images predicted as {focus.label} agree with each other: mean correlation "
        f"{agreement} (95% interval {low} to {high}), in other classes {minimum} to {maximum}. So the classifier looks at one "
        "position of the image more than it does elsewhere. A stamp or a line of text would look like this, and captions "
        "have no word for it; so would objects that are always photographed in the middle: look at the images there.",
        side=len(rows),
        cells=[(x, y, round(float(value), 2)) for y, row in enumerate(rows) for x, value in enumerate(row) if value >= 0.01],
    )


def _by_label(labelled: Iterable[Labelled]) -> dict[str, list[Labelled]]:
    found: dict[str, list[Labelled]] = {}
    for item in labelled:
        found.setdefault(item.label, []).append(item)
    return found
