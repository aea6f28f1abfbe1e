"""What an audit leaves open: words that are relied on and could not be tested, and gaps that would have gone unseen."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

import numpy as np

from wordsight.audits.evidence import Evidence
from wordsight.audits.findings import SIDES, ClassWord, Limits, rank
from wordsight.audits.power import images_wanted


@dataclass(frozen=True)
class Untested:
    """A word that a class relies on, and too few images to measure its harm.

    ``has``: whether images of the class with the word are the scarcer ones, or those without it. ``images``: how many there are of the
    scarcer. ``wanted``: how many of them would settle it; None for more than 1,000.
    """

    about: ClassWord
    images: int
    wanted: int | None
    has: bool = False


@dataclass(frozen=True)
class Power:
    """What could have been found of a class: gaps of errors below ``smallest`` go unseen for every word, below ``median`` for half.

    ``images``: of the class. Gaps are in [0, 1].
    """

    label: str
    images: int
    smallest: float
    median: float


def untested(evidence: Evidence, words: Sequence[ClassWord], limits: Limits) -> list[Untested]:
    """The words with the verdict "untested" and the images that would settle each, the most calls that change first."""
    tests = sum(word.unseen is not None for word in words)  # the others are not encoded
    found = []
    for about in words:
        if about.verdict == "untested":
            c, w = evidence.classes.index(about.label), evidence.vocabulary.index(about.word)
            has, wrong = evidence.has(w)[evidence.label == c], evidence.predicted[evidence.label == c] != c
            with_, without = int(has.sum()), int((~has).sum())
            errors = float(wrong[has].mean()) if with_ else 0.0
            level = limits.false_discovery / max(1, tests) / SIDES
            few, many = sorted((with_, without))
            wanted = images_wanted(few, many, errors, level, limits.unseen, better=with_ < without)
            found.append(Untested(about, few, wanted, has=with_ < without))
    return sorted(found, key=lambda one: (-(one.about.changes or 0.0), -rank(one.about)))


def power(evidence: Evidence, words: Sequence[ClassWord]) -> list[Power]:
    """What could have been found, for each class with words that were tested, in the words' order."""
    gaps: dict[str, list[float]] = {}
    for word in words:
        if word.verdict != "class" and word.unseen is not None:
            gaps.setdefault(word.label, []).append(word.unseen)
    images = np.bincount(evidence.label, minlength=len(evidence.classes))
    number = {label: c for c, label in enumerate(evidence.classes)}
    return [Power(label, int(images[number[label]]), min(gap), median(gap)) for label, gap in gaps.items()]
