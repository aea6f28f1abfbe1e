"""An audit -> the text of the page, as plain data: sentences, and rows of text. The template only lays them out."""

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from wordsight.audits.explained import little_explained
from wordsight.audits.findings import ClassWord, Finding
from wordsight.audits.result import Audit
from wordsight.audits.statistics import Estimate
from wordsight.mitigation.result import Accuracies, Mitigation


@dataclass(frozen=True)
class GroupLine:
    """One pseudo-group of a finding; ``share`` is the accuracy in percent, for a bar; ``worst``: none is lower."""

    name: str
    images: int
    accuracy: str
    share: float
    worst: bool


@dataclass(frozen=True)
class Card:
    """A finding in words. ``low``..``high`` and ``value`` in percent, for a bar."""

    number: int
    label: str
    word: str
    headline: str
    also: str
    severity: str
    interval: str
    value: float
    low: float
    high: float
    groups: list[GroupLine]
    encoded: str
    used: str
    strength: str
    command: str


@dataclass(frozen=True)
class MitigationLine:
    """One number of a mitigation, before and after, as text, and the change."""

    name: str
    before: str
    after: str
    change: str


@dataclass(frozen=True)
class MitigationCard:
    """A mitigation: what it was for, and its numbers."""

    label: str
    word: str
    method: str
    verdict: str
    about: str
    lines: list[MitigationLine]
    groups: list[MitigationLine]


def percent(share: float) -> str:
    """A share of 0 to 1 as a whole percentage; with a digit where that would hide that it is not all, or not none."""
    whole = f"{share:.0%}"
    return f"{share:.1%}" if whole in ("0%", "100%") and share not in (0, 1) else whole


def points(share: float, *, signed: bool = False) -> str:
    """A difference of shares in whole percentage points, with a real minus."""
    number = f"{100 * share:+.0f}" if signed else f"{100 * share:.0f}"
    return ("0" if float(number) == 0 else number).replace("-", "\N{MINUS SIGN}")


def _interval(estimate: Estimate) -> str:
    text = f"95% interval {points(estimate.low)} to {points(estimate.high)}"
    # Only a gap that is there at all can be in doubt; one of nothing includes zero anyway.
    return f"{text}, which includes no difference" if estimate.low <= 0 < round(100 * estimate.value) else text


def summary(audit: Audit) -> list[str]:
    """What came out, in a few sentences: the findings, or plainly that there are none, and what that means."""
    tried = {word.label for word in audit.words}
    stuck = [focus.label for focus in audit.focus if focus.remarkable]
    nameless = [explained.label for explained in audit.explained if explained.remarkable]
    little = little_explained(audit.explained)
    unnamed = [*([_stuck(stuck)] if stuck else []), *([_nameless(nameless)] if nameless else []), *([little] if little else [])]
    if audit.findings:
        hit = {finding.about.label for finding in audit.findings}
        many = len(audit.findings) > 1
        return [
            f"{f'{len(audit.findings)} words go' if many else 'One word goes'} with wrong decisions, in {len(hit)} of "
            f"{len(tried)} {'classes' if len(tried) != 1 else 'class'}.",
            "For each, three things hold: errors are markedly more frequent without the word, or on other classes with it; the "
            "class's score follows the word among images of one true class, beyond what the classes' own words explain; and "
            "the classifier's own gradient points that way. The findings are ranked by the strength of that evidence.",
            "Words that occur together are found together: read several words of one class as one shortcut first, and look at "
            "the examples before you act.",
            *unnamed,
        ]
    return [
        "No word was found that the classifier's decisions depend on to their harm.",
        "That means: among the words that the descriptions of these images use often enough, none at once goes along with a "
        "class, is used by its score and clearly tied to errors. It does not mean that there is no shortcut: one that has "
        "no name in everyday captions, that every image of a class shares, or that shows in few of these images would not be "
        "found.",
        *unnamed,
    ]


def cards(audit: Audit) -> list[Card]:
    """The findings, in the audit's order."""
    return [_card(i, finding, audit.settings) for i, finding in enumerate(audit.findings, start=1)]


def _card(number: int, finding: Finding, settings: Mapping[str, object]) -> Card:
    about, gap = finding.about, finding.severity
    missed = about.missed is not None and about.severity == about.missed
    other = about.mistaken if missed else about.missed
    return Card(
        number=number,
        label=about.label,
        word=about.word,
        headline=_missed(about.label, about.word, gap) if missed else _mistaken(about.label, about.word, gap),
        also="" if other is None else (_mistaken if missed else _missed)(about.label, about.word, other),
        severity=points(gap.value),
        interval=f"{points(gap.low)} to {points(gap.high)}",
        value=_cut(gap.value),
        low=_cut(gap.low),
        high=_cut(gap.high),
        groups=[
            GroupLine(
                f"{g.label}, {'with' if g.present else 'without'} “{about.word}”",
                g.images,
                percent(g.accuracy),
                100 * g.accuracy,
                g.accuracy == min(other.accuracy for other in finding.groups),
            )
            for g in finding.groups
        ],
        encoded=f"In {about.encoded.value:.0%} of pairs, an image predicted as {about.label} has a higher rate of "
        f"“{about.word}” than one that is not (95% interval {about.encoded.low:.0%} to {about.encoded.high:.0%}; chance: 50%)."
        + ("" if about.encoded.low > 0.5 else " It counts since the score rises with it among images of one true class."),
        used="Not measured."
        if about.used is None
        else f"The gradient of “{about.word}” and the direction that raises {about.label}'s score have a cosine of "
        f"{about.used.value:.2f} (95% interval {about.used.low:.2f} to {about.used.high:.2f}; 0 is no use).".replace(
            "-", "\N{MINUS SIGN}"
        ),
        strength=f"Among images of one true class, {about.label}'s score rises with “{about.word}” beyond what the classes' "
        f"own words explain: {about.strength:.1f} standard errors.",
        command=_command(about, settings),
    )


def _missed(label: str, word: str, gap: Estimate) -> str:
    return f"Images of {label} without “{word}” are missed {_more(gap)} than those with it ({_interval(gap)})."


def _mistaken(label: str, word: str, gap: Estimate) -> str:
    return (
        f"Images of other classes with “{word}” are mistaken for {label} {_more(gap)} than those without it, compared within "
        f"each true class ({_interval(gap)})."
    )


def _more(gap: Estimate) -> str:
    size = points(abs(gap.value))
    if size == "0":
        return "no more often"
    return f"{size} point{'' if size == '1' else 's'} {'more' if gap.value > 0 else 'less'} often"


def _cut(share: float) -> float:
    return round(100 * min(1.0, max(0.0, share)), 2)


def _command(about: ClassWord, settings: Mapping[str, object]) -> str:
    """The command that mitigates a finding, with the models and data as the user named them."""
    data, spec = (settings.get(key) for key in ("data", "spec"))
    named = [
        ("classifier", spec or "CLASSIFIER"),
        ("translator", settings.get("translator_file")),
        ("lm", settings.get("lm_name")),
    ]
    models = "".join(f" --{option} {shlex.quote(str(value))}" for option, value in named if value)
    return (
        f"wordsight mitigate {shlex.quote(str(data or 'DATA'))}{models} --finding {shlex.quote(about.word)} "
        f"--label {shlex.quote(about.label)} --out better.safetensors"
    )


def _stuck(labels: Sequence[str]) -> str:
    return (
        f"The heat maps of {', '.join(labels)} lie at one position of the images more than those of "
        "other classes do, as if there were a stamp. See the section of the class."
    )


def _nameless(labels: Sequence[str]) -> str:
    return (
        f"The words explain less of the score of {', '.join(labels)} than of other classes: what decides there may have no "
        "word. See the section of the class."
    )


def mitigation_cards(mitigations: Sequence[Mitigation]) -> list[MitigationCard]:
    """Before and after of each mitigation."""
    return [
        MitigationCard(
            label=mitigation.label,
            word=mitigation.word,
            method=mitigation.method,
            verdict="The worst group improved." if mitigation.better else "The worst group did not improve.",
            about="Groups are the data's own."
            if mitigation.true_groups
            else "Groups are made by label and presence of the word.",
            lines=[
                _line("Average accuracy", mitigation.before.average, mitigation.after.average),
                _line(
                    "Accuracy reweighted to the training set's groups",
                    mitigation.before.reweighted,
                    mitigation.after.reweighted,
                ),
                _line("Accuracy of the worst group", mitigation.before.worst, mitigation.after.worst),
                _severities(mitigation.before, mitigation.after),
            ],
            groups=[
                _line(
                    f"{a.label}, {'with' if a.present else 'without'} “{mitigation.word}” ({a.images} images)",
                    a.accuracy,
                    b.accuracy,
                )
                for a, b in zip(mitigation.before.groups, mitigation.after.groups, strict=False)
            ],
        )
        for mitigation in mitigations
    ]


def _line(name: str, before: float, after: float) -> MitigationLine:
    return MitigationLine(name, f"{before:.1%}", f"{after:.1%}", points(after - before, signed=True))


def _severities(before: Accuracies, after: Accuracies) -> MitigationLine:
    def shown(gap: Estimate | None) -> str:
        return "not measured" if gap is None else f"{points(gap.value)} ({points(gap.low)} to {points(gap.high)})"

    change = ""
    if before.severity and after.severity:
        change = points(after.severity.value - before.severity.value, signed=True)
    return MitigationLine("Severity of the finding, points", shown(before.severity), shown(after.severity), change)
