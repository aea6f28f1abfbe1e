"""An audit -> its findings in words, as plain data. The template only lays them out; the first lines are in ``summary``."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from wordsight.audits.findings import ClassWord, Finding
from wordsight.audits.result import Audit
from wordsight.audits.statistics import Estimate
from wordsight.report.command_lines import mitigate_command
from wordsight.report.numbers import group_name, interval, percent, points, with_minus


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
    """A finding in words. ``low``..``high`` and ``value`` in percent, for a bar.

    ``headline``: the larger gap, in plain shares. ``gaps``: both gaps with intervals. ``along``: the words that go along with it, and
    their severity in points. ``unsure``: said where the severity may be 0, else "".
    """

    number: int
    label: str
    word: str
    headline: str
    unsure: str
    along: list[tuple[str, str]]
    gaps: list[str]
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


def cards(audit: Audit) -> list[Card]:
    """The leading findings in words, in the audit's order, each with those that go along with it."""
    return [
        _card(number, finding, audit.along(finding), audit.settings) for number, finding in enumerate(audit.leading, start=1)
    ]


def _card(number: int, finding: Finding, along: Sequence[Finding], settings: Mapping[str, object]) -> Card:
    about, gap = finding.about, finding.severity
    told = [(estimate, say) for estimate, say in ((about.missed, _missed), (about.mistaken, _mistaken)) if estimate is not None]
    told.sort(key=lambda pair: -pair[0].value)
    missed = told[0][1] is _missed  # a finding has a gap
    gaps = [say(about.label, about.word, estimate) for estimate, say in told]
    return Card(
        number=number,
        label=about.label,
        word=about.word,
        headline=_plainly(finding, missed=missed) or gaps[0],
        unsure=_unsure(finding, missed=missed),
        along=[(other.about.word, points(other.severity.value)) for other in along],
        gaps=gaps,
        severity=points(gap.value),
        interval=f"{points(gap.low)} to {points(gap.high)}",
        value=_cut(gap.value),
        low=_cut(gap.low),
        high=_cut(gap.high),
        groups=_groups(finding),
        encoded=_encoded(about),
        used=_used(about),
        strength=f"Among images of one true class, the margin of {about.label} rises with “{about.word}” beyond what the "
        f"classes' own words explain: {about.strength:.1f} standard errors.",
        command=mitigate_command(about, settings),
    )


def _plainly(finding: Finding, *, missed: bool) -> str:
    """The larger gap as two shares of images; "" where these do not show it, since other classes differ in both."""
    about = finding.about
    wrong = {group.present: 1 - group.accuracy for group in finding.groups if (group.label == about.label) == missed}
    worse, better = wrong.get(not missed), wrong.get(missed)
    if worse is None or better is None or worse <= better:
        return ""
    if missed:
        return (
            f"{percent(worse)} of the images of {about.label} without “{about.word}” are missed, and {percent(better)} of those "
            "with it."
        )
    return (
        f"{percent(worse)} of the images of other classes with “{about.word}” are mistaken for {about.label}, and "
        f"{percent(better)} of those without it."
    )


def _unsure(finding: Finding, *, missed: bool) -> str:
    """Said where the interval of the severity holds 0, with the scarcer images of its side."""
    if finding.severity.low > 0:
        return ""
    side = [group for group in finding.groups if (group.label == finding.about.label) == missed]
    text = "What is found looks larger than it is; allowing for that, the severity may be 0."
    if not side:
        return text
    scarce = min(side, key=lambda group: group.images)
    name = group_name(scarce, finding.about.word)
    return f"{text} More images would tell, above all of this group, which has {scarce.images}: {name}."


def _groups(finding: Finding) -> list[GroupLine]:
    worst = min((group.accuracy for group in finding.groups), default=0.0)
    return [
        GroupLine(
            group_name(group, finding.about.word),
            group.images,
            percent(group.accuracy),
            100 * group.accuracy,
            group.accuracy == worst,
        )
        for group in finding.groups
    ]


def _encoded(about: ClassWord) -> str:
    area = about.encoded
    return (
        f"In {area.value:.0%} of pairs, an image predicted as {about.label} has a higher rate of “{about.word}” than an image "
        f"that is not (95% interval {area.low:.0%} to {area.high:.0%}; chance: 50%)."
    ) + ("" if area.low > 0.5 else " It is encoded because the margin rises with it among images of one true class.")


def _used(about: ClassWord) -> str:
    if about.used is None:
        return "Not measured."
    text = (
        f"The logit of {about.label} rises by {about.used.value:.2f} of its standard deviations from images without “{about.word}” to "
        f"images with it, all other words alike (95% interval {about.used.low:.2f} to {about.used.high:.2f}; 0 is no use)."
    )
    if about.against_rival is not None:
        rival = about.against_rival
        text += f" Against {about.rival} alone: {rival.value:.2f} ({rival.low:.2f} to {rival.high:.2f})."
    if about.changes is not None:
        text += f" Adding it turns {percent(about.changes)} of the images predicted as other classes into {about.label}."
    return with_minus(text)


def _missed(label: str, word: str, gap: Estimate) -> str:
    return f"Images of {label} without “{word}” are missed {_more(gap)} than those with it ({interval(gap)})."


def _mistaken(label: str, word: str, gap: Estimate) -> str:
    return (
        f"Images of other classes with “{word}” are mistaken for {label} {_more(gap)} than those without it, compared within "
        f"each true class ({interval(gap)})."
    )


def _more(gap: Estimate) -> str:
    size = points(abs(gap.value))
    if size == "0":
        return "no more often"
    return f"{size} point{'' if size == '1' else 's'} {'more' if gap.value > 0 else 'less'} often"


def _cut(share: float) -> float:
    return round(100 * min(1.0, max(0.0, share)), 2)


def sentences_an_image(settings: Mapping[str, object]) -> object:
    """The number of sampled sentences of each image; None if the settings do not have it."""
    sampling = settings.get("sampling")
    return sampling.get("sentences") if isinstance(sampling, Mapping) else None
