"""The target of a mitigation: a class and a word."""

import json
import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from wordsight.audits.findings import Finding
from wordsight.audits.result import Audit, read_images
from wordsight.classifiers.head import image_key
from wordsight.errors import WordsightError
from wordsight.features.store import content_digests

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Target:
    """A class, and the word that its decisions should not use.

    ``found_on``: the images that the finding was found on, as a head's ``trained_on`` names them: no accuracy is measured on these.
    """

    label: str
    word: str
    found_on: frozenset[str] = frozenset()


def as_target(finding: object, audit: Audit | None = None) -> Target:
    """A finding of an audit, or (class, word), as a target. Raises WordsightError for anything else.

    ``audit``: where it was found. A finding needs it, so that nothing is measured on the images that it was found on.
    """
    found_on = found_images([image.path for image in audit.images]) if audit is not None else frozenset()
    if isinstance(finding, Target):
        return Target(finding.label, finding.word, finding.found_on | found_on)
    if isinstance(finding, Finding):
        if audit is None:
            raise WordsightError(
                f"The finding '{finding.about.word}' of '{finding.about.label}' came without its audit, wanted to know which "
                "images it was found on. Give the audit, too: mitigate(..., audit.findings[0], audit=audit)."
            )
        return Target(finding.about.label, finding.about.word, found_on)
    if isinstance(finding, tuple) and len(finding) == 2 and all(isinstance(part, str) for part in finding):
        return Target(*finding, found_on)
    raise WordsightError(
        f"{finding!r} is no finding. Give one of audit.findings, or a class and a word: ('waterbird', 'water')."
    )


def found_images(paths: Sequence[Path]) -> frozenset[str]:
    """The images of an audit as a head's ``trained_on`` names them. Files that are gone are named in a warning."""
    digests = content_digests(paths)
    if gone := sum(digest is None for digest in digests):
        logger.warning(
            "%d of the audit's %d images cannot be read any more: copies of them may be measured on", gone, len(paths)
        )
    return frozenset(image_key(digest) for digest in digests if digest is not None)


def read_target(finding: str, label: str | None = None) -> Target:
    """The first finding of a ``findings.json`` (of class ``label``, if given), or a word with its class.

    The images that a finding was found on are read from ``images.jsonl`` beside it. Raises WordsightError if the file cannot be
    read or holds no such finding, and LabelError if ``images.jsonl`` cannot be read.
    """
    path = Path(finding)
    if not path.suffix:
        if label is None:
            raise WordsightError(f"The word '{finding}' came without a class; name the class that it is used for with --label.")
        return Target(label, finding)
    try:
        audit = json.loads(path.read_text(encoding="utf-8"))
        targets = [Target(entry["label"], entry["word"]) for entry in audit["findings"]]
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise WordsightError(
            f"{finding} cannot be read as findings ({type(error).__name__}: {error}). Give the findings.json that 'wordsight "
            "audit' wrote, or a word with --label CLASS."
        ) from error
    targets = [target for target in targets if label in (None, target.label)]
    if not targets:
        of = f" of class '{label}'" if label else ""
        raise WordsightError(f"{finding} has no finding{of}: there is nothing to mitigate. Give a word with --label CLASS.")
    return replace(targets[0], found_on=found_images([image.path for image in read_images(path.parent)]))
