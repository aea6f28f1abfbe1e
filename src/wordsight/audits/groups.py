"""Findings of one thing: which words of a class have evidence of their own beside the others, and which go along with one.

"Player", "ball" and "team" are found together, because a test of one word at a time cannot tell them apart. Here the words of a class
stand together: the strongest leads; another word leads, too, if its rates are not much like those of a word that leads, and if
the margin still rises with it once the rates of the words that lead are held fixed. A word that led early and that later ones together
explain does not stay. The others go along with the leading word that they are most like. Words much alike stay together even if each
adds something: estimated rates are inexact, and two names of one thing tell more of it than one.
This only orders findings: none is taken away, and the false-discovery rate is that of all of them.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy.stats import norm

from wordsight.audits.evidence import Evidence, clarity, held_fixed, largest_of_others
from wordsight.audits.findings import Finding
from wordsight.audits.measures import together
from wordsight.audits.statistics import Associations, centred_ranks

#: The chance that a class has a leading word too many, if only one moves its margin.
OWN_EVIDENCE = 0.05
#: From this rank correlation on, among images of the same true class, two words are names of one thing.
ALIKE = 0.5
#: The quantiles at which a leading word's rate is cut into steps.
_STEPS = (0.2, 0.4, 0.6, 0.8)


def with_leaders(evidence: Evidence, found: Sequence[Finding], naming: Bool[np.ndarray, "classes words"]) -> list[Finding]:
    """The same findings in the same order; those that go along with another word of their class name it (``along_with``).

    ``naming``: (classes, words), which words may name which class; how clearly an image shows them is held fixed, as in the test of
    harm.
    """
    clear = clarity(evidence, naming)
    leader_of: dict[tuple[str, str], str | None] = {}
    for label in dict.fromkeys(finding.about.label for finding in found):
        words = [finding.about.word for finding in found if finding.about.label == label]
        columns = [evidence.vocabulary.index(word) for word in words]
        alike = alikeness(evidence.rates[:, columns].toarray(), evidence.label)
        leaders = _leaders(evidence, evidence.classes.index(label), columns, clear, alike)
        for i, word in enumerate(words):
            own = i in leaders
            leader_of[label, word] = None if own else words[max(leaders, key=lambda other: alike[i, other])]
    return [replace(finding, along_with=leader_of[finding.about.label, finding.about.word]) for finding in found]


def _leaders(
    evidence: Evidence,
    c: int,
    columns: Sequence[int],
    clear: Float[np.ndarray, "images classes"],
    alike: Float[np.ndarray, "words words"],
) -> list[int]:
    """Which of these words (by position; the strongest comes first) have evidence of their own: forward, then backward selection."""
    beyond = _Beyond(evidence, c, columns, clear)
    leaders = [0]
    limit = norm.isf(OWN_EVIDENCE / max(1, len(columns) - 1))
    while len(leaders) < len(columns):
        strength = beyond(leaders)
        strength[alike[:, leaders].max(1) >= ALIKE] = -np.inf  # the leaders themselves, too
        if strength.max() < limit:
            break
        leaders.append(int(strength.argmax()))
    while len(leaders) > 2:  # of two, the second was tested beside the first
        own = {leader: beyond([other for other in leaders if other != leader])[leader] for leader in leaders}
        weakest = min(leaders, key=lambda leader: own[leader])
        if own[weakest] >= norm.isf(OWN_EVIDENCE):
            break
        leaders.remove(weakest)
    return leaders


class _Beyond:
    """How the margin of class ``c`` rises with each of these words while others of them are held fixed, in standard errors.

    Held fixed are their rates, also cut into steps (margins need not rise evenly with rates), and how clearly an image shows which
    class. Without evidence of its own a word's number is standard normal, or varies less (``Associations``).
    """

    def __init__(self, evidence: Evidence, c: int, columns: Sequence[int], clear: Float[np.ndarray, "images classes"]) -> None:
        rates = evidence.rates[:, columns].toarray()
        steps = [rates >= np.quantile(rates, q, axis=0) for q in _STEPS]
        self._parts = np.stack([rates, *(step.astype(float) for step in steps)], 2)
        self._margin = (evidence.logits - largest_of_others(evidence.logits))[:, c]
        self._associations, self._clear, self._c = Associations(evidence.rates[:, columns], evidence.label), clear, c
        self._sides = ({c}, set(np.unique(evidence.label).tolist()) - {c})

    def __call__(self, fixed: Sequence[int]) -> Float[np.ndarray, " words"]:
        held = self._parts[:, fixed].reshape(len(self._parts), -1)

        def given(k: int) -> Float[np.ndarray, "images others"]:
            return np.concatenate([held_fixed(self._clear, self._c, k), held], 1)

        return together([self._associations(self._margin, side, given=given) for side in self._sides])


def alikeness(rates: Float[np.ndarray, "images words"], label: Int[np.ndarray, " images"]) -> Float[np.ndarray, "words words"]:
    """The rank correlation of each two words' rates among images of the same label, in [-1, 1]; 0 where a word does not vary."""
    ranks = np.zeros(rates.shape)
    for number in np.unique(label):
        own = centred_ranks(rates[label == number])
        ranks[label == number] = own / len(own)
    length = np.sqrt((ranks**2).sum(0))
    ranks = np.divide(ranks, length, out=np.zeros_like(ranks), where=length > 0)
    alike = ranks.T @ ranks
    np.fill_diagonal(alike, 1.0)
    return alike
