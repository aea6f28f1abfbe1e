"""An audit -> its first lines, for a reader without statistics: what was looked at, found, how sure, not seen, what to do next."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from wordsight.audits import FALSE_DISCOVERY
from wordsight.audits.explained import little_explained
from wordsight.audits.lines import power_line, unclear_line
from wordsight.audits.result import Audit
from wordsight.report.command_lines import audit_command, classifier_name, mitigate_command
from wordsight.report.numbers import percent, points

#: More classes than these are not named one by one.
_CLASSES = 8
#: The maximum number of folded lines.
_DETAILS = 100


@dataclass(frozen=True)
class Line:
    """One line of the summary: what it is about, what it says, a command to run, and more that a page may fold."""

    about: str
    text: str
    command: str = ""
    details: list[str] = field(default_factory=list)


def summary(audit: Audit) -> list[Line]:
    """The lines in the order in which a reader asks; the first is about "Looked at", the second about "Found"."""
    lines = [Line("Looked at", _looked_at(audit)), Line("Found", _found(audit)), Line("How sure", _how_sure(audit))]
    lines += [Line("Untested", text) for text in _untested(audit)]
    lines += _not_seen(audit)
    lines += [Line("Not seen", text) for text in _without_words(audit)]
    return [*lines, _next(audit)]


def _looked_at(audit: Audit) -> str:
    images = (
        f"{_count(len(audit.images), 'image')} of {_count(len({image.label for image in audit.images}), 'class', 'classes')}"
    )
    name = classifier_name(audit.settings)
    text = (
        f"{images}. The classifier, {name}, predicts {percent(audit.accuracy)} of them right." if audit.images else "No image."
    )
    if audit.copies:
        text += (
            f" {_count(audit.copies, 'image')} more {'is a copy' if audit.copies == 1 else 'are copies'} of these and left out."
        )
    source = {"head": "the word head", "both": "sentences and word head", "sentences": "sentences"}
    return f"{text} Words come from {source.get(str(audit.settings.get('words')), 'sentences')}."


def _found(audit: Audit) -> str:
    if not audit.findings:
        text = "No word was found that the classifier's decisions use and that goes along with errors."
        relied = _count(len(audit.untested), "word")
        return f"{text} {relied} that it relies on could not be tested." if audit.untested else text
    leading, classes = audit.leading, {finding.about.label for finding in audit.findings}
    tested = len({word.label for word in audit.words})
    text = (
        f"{_count(len(leading), 'thing')} that decisions use and that {'goes' if len(leading) == 1 else 'go'} along with errors, in "
        f"{len(classes)} of {_count(tested, 'class', 'classes')}."
    )
    return text if len(leading) == len(audit.findings) else f"{text} {len(audit.findings)} words name them."


def _how_sure(audit: Audit) -> str:
    limits = audit.settings.get("limits")
    rate = float(limits.get("false_discovery", FALSE_DISCOVERY)) if isinstance(limits, Mapping) else FALSE_DISCOVERY
    if audit.findings:
        return (
            f"Of such findings at most {100 * rate:.0f} in 100 are false on average. Three things hold for each. More images are "
            "predicted wrong without the word, or in other classes with it. The more of the word an image has, the more clearly it is "
            "predicted as the class, beyond what the classes' own names explain. The classifier's weights for the class rise with the "
            "word while all other words stay fixed."
        )
    return (
        f"A classifier without shortcuts is found to have one in at most {100 * rate:.0f} of 100 audits. No finding does not mean "
        "that there is no shortcut: one is not found if captions have no word for it, if all images of a class have it, or if few "
        "of these images have it."
    )


def _untested(audit: Audit) -> list[str]:
    if not audit.untested:
        return []
    count = len(audit.untested)
    return [
        f"{_count(count, 'word')} {'is' if count == 1 else 'are'} relied on, and these images cannot tell whether errors go with "
        f"{'it' if count == 1 else 'them'}: see “Relies on, untested here”."
    ]


def _not_seen(audit: Audit) -> list[Line]:
    """What could not have been found, by class."""
    lines = []
    if audit.power:
        by_gap = sorted(audit.power, key=lambda power: power.smallest)
        gaps = ", ".join(f"{power.label} {points(power.smallest)}" for power in audit.power)
        if len(by_gap) > _CLASSES:
            first, last = by_gap[0], by_gap[-1]
            gaps = f"{points(first.smallest)} ({first.label}) to {points(last.smallest)} ({last.label}), by class"
        text = (
            "A word with which fewer more of 100 images are wrong than this would most likely have gone unseen: "
            f"{gaps}. Words that few images have, or nearly all, need more."
        )
        lines.append(Line("Not seen", text, details=_details(audit)))
    return lines + [Line("Not seen", unclear_line(label)) for label in audit.unclear]


def _details(audit: Audit) -> list[str]:
    """Each class's gaps; without findings they stand in a section of their own."""
    return [power_line(power) for power in audit.power[:_DETAILS]] if audit.findings else []


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


def _next(audit: Audit) -> Line:
    if audit.findings:
        about = audit.findings[0].about
        text = (
            f"Look at the examples of “{about.word}” in {about.label}. If you do not want {about.label} to depend on it, this command "
            "trains a head that uses the word less, and measures it on images that this audit has not seen."
        )
        return Line("Next", text, mitigate_command(about, audit.settings))
    wanted = next((one for one in audit.untested if one.wanted is not None), None)
    if wanted is not None:
        more, side = max(1, (wanted.wanted or 0) - wanted.images), "with" if wanted.has else "without"
        text = f"Add {_count(more, 'image')} of {wanted.about.label} {side} “{wanted.about.word}” and audit again."
        return Line("Next", text, audit_command(audit.settings))
    text = "To see smaller gaps, add images, above all images of a class without what it usually comes with, and audit again."
    return Line("Next", text, audit_command(audit.settings))


def _count(number: int, one: str, many: str = "") -> str:
    return f"{number:,} {one if number == 1 else many or one + 's'}"
