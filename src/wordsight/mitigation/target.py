"""The target of a mitigation: a class and a word."""

import json
from dataclasses import dataclass
from pathlib import Path

from wordsight.audits.findings import Finding
from wordsight.errors import WordsightError


@dataclass(frozen=True)
class Target:
    """A class, and the word that its decisions should not use.

    ``found_on``: the images that the finding was found on, as a head's ``trained_on`` names them: no accuracy is measured on these.
    """

    label: str
    word: str
    found_on: frozenset[str] = frozenset()


def as_target(finding: object) -> Target:
    """A finding of an audit, or (class, word), as a target. Raises WordsightError for anything else."""
    if isinstance(finding, Target):
        return finding
    if isinstance(finding, Finding):
        return Target(finding.about.label, finding.about.word)
    if isinstance(finding, tuple) and len(finding) == 2 and all(isinstance(part, str) for part in finding):
        return Target(*finding)
    raise WordsightError(
        f"{finding!r} is no finding. Give one of audit.findings, or a class and a word: ('waterbird', 'water')."
    )


def read_target(finding: str, label: str | None = None) -> Target:
    """The first finding of a ``findings.json`` (of class ``label``, if given), or a word with its class.

    Raises WordsightError if the file cannot be read or holds no such finding.
    """
    path = Path(finding)
    if not path.suffix:
        if label is None:
            raise WordsightError(f"The word '{finding}' came without a class; name the class that it is used for with --label.")
        return Target(label, finding)
    try:
        audit = json.loads(path.read_text(encoding="utf-8"))
        found_on = frozenset(audit.get("audited", ()))
        targets = [Target(entry["label"], entry["word"], found_on) for entry in audit["findings"]]
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise WordsightError(
            f"{finding} cannot be read as findings ({type(error).__name__}: {error}). Give the findings.json that 'wordsight "
            "audit' wrote, or a word with --label CLASS."
        ) from error
    targets = [target for target in targets if label in (None, target.label)]
    if not targets:
        of = f" of class '{label}'" if label else ""
        raise WordsightError(f"{finding} has no finding{of}: there is nothing to mitigate. Give a word with --label CLASS.")
    return targets[0]
