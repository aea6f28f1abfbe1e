"""An audit -> the summary and the findings in words, as plain data. The template only lays them out."""

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from wordsight.audits import FALSE_DISCOVERY
from wordsight.audits.explained import little_explained
from wordsight.audits.findings import ClassWord, Finding
from wordsight.audits.lines import unclear_line
from wordsight.audits.result import Audit
from wordsight.audits.statistics import Estimate
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

    ``along``: the words that go along with it, and their severity in points. ``few``: said where errors are few, else "".
    """

    number: int
    label: str
    word: str
    headline: str
    few: str
    along: list[tuple[str, str]]
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
class Line:
    """One line of the summary: what it is about, and what it says."""

    about: str
    text: str


def summary(audit: Audit) -> list[Line]:
    """The result in the order in which a reader asks: what was found, looked at, how sure, not seen, what to do next."""
    told = [("Found", _found(audit)), ("Looked at", _looked_at(audit)), ("How sure", _how_sure(audit))]
    told += [("Untested", text) for text in _untested(audit)]
    told += [("Not seen", text) for text in (*_not_seen(audit), *_without_words(audit))]
    return [Line(*line) for line in (*told, ("Next", _next(audit)))]


def _found(audit: Audit) -> str:
    if not audit.findings:
        return "No word was found that the classifier's decisions use and that goes along with errors."
    leading, classes = audit.leading, {finding.about.label for finding in audit.findings}
    tested = len({word.label for word in audit.words})
    text = (
        f"{_count(len(leading), 'thing')} that decisions use and that {'goes' if len(leading) == 1 else 'go'} along with errors, in "
        f"{len(classes)} of {_count(tested, 'class', 'classes')}."
    )
    return text if len(leading) == len(audit.findings) else f"{text} {len(audit.findings)} words name them."


def _looked_at(audit: Audit) -> str:
    images = (
        f"{_count(len(audit.images), 'image')} of {_count(len({image.label for image in audit.images}), 'class', 'classes')}"
    )
    text = f"{images}, {percent(audit.accuracy)} of them predicted right." if audit.images else "No image."
    if audit.copies:
        text += (
            f" {_count(audit.copies, 'image')} more {'is a copy' if audit.copies == 1 else 'are copies'} of these and left out."
        )
    source = {"head": "the word head", "both": "sentences and word head", "sentences": "sentences"}
    return f"{text} Words come from {source.get(str(audit.settings.get('words')), 'sentences')}."


def _how_sure(audit: Audit) -> str:
    limits = audit.settings.get("limits")
    rate = limits.get("false_discovery", FALSE_DISCOVERY) if isinstance(limits, Mapping) else FALSE_DISCOVERY
    if audit.findings:
        return (
            f"Of such findings at most {float(rate):.0%} are false on average, and three things hold for each. Errors are more "
            "frequent without the word, or in images of other classes with it. Among images of one true class, the classifier "
            "decides for the class more clearly the more of the word an image has, beyond what the classes' own words explain. "
            "The class relies on the word: its logit rises with it while all other words stay fixed."
        )
    return (
        "That does not mean that there is no shortcut. One is not found if captions have no word for it, if all images of a class "
        "have it, or if few of these images have it."
    )


def _untested(audit: Audit) -> list[str]:
    if not audit.untested:
        return []
    count = len(audit.untested)
    return [
        f"{_count(count, 'word')} {'is' if count == 1 else 'are'} relied on, and these images cannot tell whether errors go with "
        f"{'it' if count == 1 else 'them'}: see “Relies on, untested here”."
    ]


def _not_seen(audit: Audit) -> list[str]:
    """What could not have been found."""
    paragraphs = []
    if audit.power:
        least, most = (choose(power.smallest for power in audit.power) for choose in (min, max))
        gap = f"{points(least)} points" if least == most else f"{points(least)} to {points(most)} points, by class,"
        paragraphs.append(
            f"Gaps of errors below {gap} would most likely have gone unseen with so many images, and larger ones for words "
            "that few images have or lack. Each class says its own."
        )
    return paragraphs + [unclear_line(label) for label in audit.unclear]


def _next(audit: Audit) -> str:
    if audit.findings:
        word, label = audit.findings[0].about.word, audit.findings[0].about.label
        return (
            f"Look at the examples of “{word}” in {label}. If you do not want {label} to depend on it, run the command below them: it "
            "trains a head that uses the word less, and measures it on images that this audit has not seen."
        )
    wanted = next((one for one in audit.untested if one.wanted is not None), None)
    if wanted is not None:
        more = max(1, (wanted.wanted or 0) - wanted.images)
        side = "with" if wanted.has else "without"
        return f"Add {_count(more, 'image')} of {wanted.about.label} {side} “{wanted.about.word}” and audit again."
    return "To see smaller gaps, audit more images, above all images of a class without what it usually comes with."


def _count(number: int, one: str, many: str = "") -> str:
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def _without_words(audit: Audit) -> list[str]:
    """What the audit shows of shortcuts that have no word in captions."""
    paragraphs = []
    if labels := [focus.label for focus in audit.focus if focus.remarkable]:
        paragraphs.append(
            f"The heat maps of {', '.join(labels)} lie at one position of the images, more than those of other classes. A stamp "
            "has this effect. See the section of the class."
        )
    if labels := [explained.label for explained in audit.explained if explained.remarkable]:
        paragraphs.append(
            f"The words explain less of the logit of {', '.join(labels)} than of other classes. What decides there may have no "
            "word in captions. See the section of the class."
        )
    if little := little_explained(audit.explained):
        paragraphs.append(little)
    return paragraphs


def cards(audit: Audit) -> list[Card]:
    """The leading findings in words, in the audit's order, each with those that go along with it."""
    return [
        _card(number, finding, audit.along(finding), audit.settings) for number, finding in enumerate(audit.leading, start=1)
    ]


def _card(number: int, finding: Finding, along: Sequence[Finding], settings: Mapping[str, object]) -> Card:
    about, gap = finding.about, finding.severity
    missed = about.missed is not None and (about.mistaken is None or about.missed.value >= about.mistaken.value)
    larger = about.missed if missed else about.mistaken
    assert larger is not None  # a finding has a gap
    other = about.mistaken if missed else about.missed
    return Card(
        number=number,
        label=about.label,
        word=about.word,
        headline=(_missed if missed else _mistaken)(about.label, about.word, larger),
        few=_few_errors(finding),
        along=[(other.about.word, points(other.severity.value)) for other in along],
        also="" if other is None else (_mistaken if missed else _missed)(about.label, about.word, other),
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
        command=_command(about, settings),
    )


def _few_errors(finding: Finding) -> str:
    """Said where the interval of the gap holds 0: the test ranks margins and sees more than errors do."""
    if finding.severity.low > 0:
        return ""
    wrong = sum(round(group.images * (1 - group.accuracy)) for group in finding.groups)
    return (
        f"The gap rests on few errors ({wrong} of {sum(group.images for group in finding.groups)} images) and may be 0. That the "
        "classifier decides more clearly with the word is sure to the rate above; how many errors come of it is not."
    )


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


def sentences_an_image(settings: Mapping[str, object]) -> object:
    """The number of sampled sentences of each image; None if the settings do not have it."""
    sampling = settings.get("sampling")
    return sampling.get("sentences") if isinstance(sampling, Mapping) else None
