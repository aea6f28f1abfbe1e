"""Mitigations -> their numbers before and after in words, as plain data."""

from collections.abc import Sequence
from dataclasses import dataclass

from wordsight.audits.statistics import Estimate
from wordsight.mitigation.result import Accuracies, Mitigation
from wordsight.report.numbers import group_name, points


@dataclass(frozen=True)
class MitigationLine:
    """One number of a mitigation, before and after, as text, and the change in points."""

    name: str
    before: str
    after: str
    change: str


@dataclass(frozen=True)
class MitigationCard:
    """A mitigation in words, and its numbers."""

    label: str
    word: str
    method: str
    verdict: str
    about: str
    lines: list[MitigationLine]
    groups: list[MitigationLine]


def mitigation_cards(mitigations: Sequence[Mitigation]) -> list[MitigationCard]:
    """The numbers of each mitigation before and after, in order."""
    return [_card(mitigation) for mitigation in mitigations]


def _card(mitigation: Mitigation) -> MitigationCard:
    before, after = mitigation.before, mitigation.after
    own = mitigation.true_groups
    return MitigationCard(
        label=mitigation.label,
        word=mitigation.word,
        method=mitigation.method,
        verdict=_verdict(mitigation),
        about="Groups are the data's own." if own else "Groups are made by label and presence of the word.",
        lines=[
            _line("Average accuracy", before.average, after.average),
            _line("Accuracy reweighted to the training set's groups", before.reweighted, after.reweighted),
            _line("Accuracy of the worst group", before.worst, after.worst),
            _severities(before, after),
        ],
        groups=[
            _line(f"{group_name(old, mitigation.word)} ({old.images} images)", old.accuracy, new.accuracy)
            for old, new in zip(before.groups, after.groups, strict=True)
        ],
    )


def _verdict(mitigation: Mitigation) -> str:
    change = mitigation.worst_change
    said = {"better": "The worst group is better", "worse": "The worst group is worse"}.get(
        mitigation.verdict, "There is no evidence that the worst group changed"
    )
    return f"{said}: by {points(change.value, signed=True)} points ({points(change.low)} to {points(change.high)})."


def _line(name: str, before: float, after: float) -> MitigationLine:
    return MitigationLine(name, f"{before:.1%}", f"{after:.1%}", points(after - before, signed=True))


def _severities(before: Accuracies, after: Accuracies) -> MitigationLine:
    change = ""
    if before.severity and after.severity:
        change = points(after.severity.value - before.severity.value, signed=True)
    return MitigationLine("Severity of the finding, points", _severity(before.severity), _severity(after.severity), change)


def _severity(gap: Estimate | None) -> str:
    return "not measured" if gap is None else f"{points(gap.value)} ({points(gap.low)} to {points(gap.high)})"
