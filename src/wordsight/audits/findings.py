"""Words of labelled images and a classifier's decisions -> the words that each class's decisions depend on.

For class c and word w, in this order:

1. *encoded*: images predicted as c have a higher rate of w than the rest (Mann-Whitney), or the margin of c rises with the rate
   of w among images of one true class (false-discovery rate held over both);
2. *used*: the class relies on w (``reliances.Use``): its logit rises with the rate of w while all other words stay fixed, against all
   other classes or against its nearest rival, with an interval clear of zero and more than random heads show;
3. *harmful*: among images of one true class, the margin of c rises with the rate of w more than the classes' own words explain
   (``statistics.Associations``), and predictions change: images of c are missed without w, or others are mistaken for c with it,
   by a gap whose 95% interval is clear of 0.

The false-discovery rate of findings is held by one Benjamini-Hochberg over every word and class that could be tested in step 3,
whatever steps 1 and 2 say; these only take findings away. (Testing in step 3 only what step 1 had selected, on the same images,
gave false findings in a third of audits: benchmarks/false_discoveries.py.)

A class may rely on a word clearly, and too few images go without it (or, of other classes, with it) for step 3 to see a gap of
errors: then the verdict is *untested*. It is no finding; ``power`` says from which gap on harm would have been seen.

The margin is the class's logit less the largest of the other logits. The test of the third step ranks margins and rates,
because errors are few; the severity is counted in errors. The classes' own words are held fixed in the test: a clear image of a
dog has a larger margin and higher rates of "brown" and "running" than an unclear one, and that is no shortcut.
"""

from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import dataclass, field
from functools import partial

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy.stats import false_discovery_control, norm

from wordsight.audits import FALSE_DISCOVERY, MIN_CHANGES, MIN_RELIED, MIN_SEVERITY, MIN_USED, UNSEEN
from wordsight.audits.evidence import Evidence, saturated
from wordsight.audits.kinds import is_own
from wordsight.audits.measures import Measures, judged_classes, measure
from wordsight.audits.power import unseen_gap
from wordsight.audits.reliances import Use
from wordsight.audits.severity import gaps, shrunk, worse_gap
from wordsight.audits.statistics import Estimate, mean_estimate
from wordsight.runtime import OnProgress, no_progress
from wordsight.sentences.estimates import WordCounts
from wordsight.words.scores import lift

UsedOf = Callable[[int, Sequence[int]], Sequence[Use | None]]
"""Class and words (by number) -> how much each is used; None where that cannot be measured."""


@dataclass(frozen=True)
class Limits:
    """The limits that a word has to reach to be a finding.

    - ``false_discovery``: the Benjamini-Hochberg rate of each step, in (0, 1].
    - ``images``: the minimum number of images with the word, and of images without it; 1 or more.
    - ``used``: the minimum reliance on the word, in standard deviations of the class's logit, 0 or more.
    - ``severity``: the minimum gap between shares of errors, in [0, 1], also after it is shrunk for having been found.
    - ``relied``, ``changes``, ``unseen``: for the verdict *untested* the minimum reliance, the minimum share of images of other
      classes that the word turns into the class, and the gap of errors that would have gone unseen; shares in [0, 1].
    """

    false_discovery: float = FALSE_DISCOVERY
    images: int = 5
    used: float = MIN_USED
    severity: float = MIN_SEVERITY
    relied: float = MIN_RELIED
    changes: float = MIN_CHANGES
    unseen: float = UNSEEN


@dataclass(frozen=True)
class ClassWord:
    """One word of one class.

    - ``images_with``: images of the class that have the word.
    - ``rate``: mean rate over the class's images, in [0, 1].
    - ``lift``: log-odds of the rate against the other images; 0 is no difference.
    - ``encoded``: chance that an image predicted as this class has a higher rate than another image, in [0, 1]; 0.5 is none.
    - ``used``: the class's reliance on the word, against all other classes, in standard deviations of the logit; None if it is
      not measured. ``against_rival``: the same against ``rival``, its nearest class; None with two classes. ``changes``: the share
      of images predicted as other classes that become this class when the word is added at its usual strength, in [0, 1].
    - ``missed``: share of the class's images predicted wrong without the word less that share with it, in [-1, 1].
    - ``mistaken``: share of other images predicted as this class with the word less that share without it, within true
      classes, in [-1, 1]. Both are None for words that are not encoded or have too few images.
    - ``severity``: the larger of the two. Of a harmful word it is shrunk for having been found (``severity.shrunk``).
    - ``unseen``: gaps of errors below this would most likely have gone unseen, in [0, 1]; None for words that are not encoded.
    - ``strength``: how the margin rises with the rate within true classes, beyond what the classes' own words explain, in
      standard errors (or fewer: see ``Associations``).
    - ``verdict``: the last step passed, one of ``VERDICTS``.
    """

    label: str
    word: str
    images_with: int
    rate: Estimate
    lift: float
    encoded: Estimate
    used: Estimate | None
    missed: Estimate | None
    mistaken: Estimate | None
    severity: Estimate | None
    strength: float
    verdict: str
    against_rival: Estimate | None = None
    rival: str | None = None
    changes: float | None = None
    unseen: float | None = None


#: The minimum mean rate of a listed word that separates no class.
MIN_RATE = 0.02
#: The one-sided 5% limit of a standard normal number.
Z95_ONE_SIDED = 1.645
#: From nothing to a finding. "class" is the class itself under another name; "untested": relied on, harm not measurable here.
VERDICTS = ("class", "none", "encoded", "used", "untested", "harmful")
#: The test of harm takes the smallest of so many p-values.
SIDES = 3


@dataclass(frozen=True)
class Group:
    """Images of one label with a word (``present``), without it, or of a true group (``present`` is None).

    ``images``: how many. ``accuracy``: the share predicted right, in [0, 1].
    """

    label: str
    present: bool | None
    images: int
    accuracy: float


@dataclass(frozen=True)
class Finding:
    """A word that a class's decisions depend on and that goes along with errors.

    ``severity``: the larger gap between shares of errors, in [-1, 1], with its 95% interval, shrunk for having been found.
    ``groups``: the class's images with and without the word, then the other images (right means here: not predicted as this
    class). ``along_with``: the word of the class that this one goes along with; None if it has evidence of its own
    (``groups.with_leaders``).
    """

    about: ClassWord
    severity: Estimate
    groups: list[Group] = field(default_factory=list)
    along_with: str | None = None

    def _repr_html_(self) -> str:
        from wordsight.report.notebook import finding_html

        return finding_html(self)


def class_words(
    evidence: Evidence,
    used_of: UsedOf,
    own_words: Sequence[Set[str]],
    limits: Limits,
    *,
    apart: Set[str] = frozenset(),
    on_progress: OnProgress = no_progress,
) -> list[ClassWord]:
    """Every word of every class that has enough images: classes in order, the strongest words of each first.

    ``own_words``: for each class, the words that name it or its kinds. They are no finding, and the words in ``apart`` are no
    finding for any class; where they separate a class's images from others, they count as its own words in the third step. The
    false-discovery rate of the first and of the third step is each held over all classes and words. Empty if no class or no word has
    enough images.
    """
    with_word, images = np.diff(evidence.present.indptr), len(evidence.label)
    words = np.flatnonzero(np.minimum(with_word, images - with_word) >= limits.images)
    classes = judged_classes(evidence, limits.images)
    if not classes or not len(words):
        return []
    naming = naming_of(evidence, own_words, apart)
    measures = measure(evidence, words, classes, naming, on_classes=partial(on_progress, "tests"))
    of_class = naming[classes][:, words]
    encoded = _discovered(np.stack([of.p_encoded for of in measures]), ~of_class, limits.false_discovery)
    rising = _discovered(np.stack([of.p_harmful for of in measures]), ~of_class, limits.false_discovery)
    # The largest p that was found, or that would have been: what the test of one word had to reach.
    level = limits.false_discovery * max(1, int(rising.sum())) / max(1, int((~of_class).sum())) / SIDES
    found: list[ClassWord] = []
    for row, of in enumerate(measures):
        on_progress("findings", row, len(measures))
        columns = (encoded[row] | of_class[row]).nonzero()[0].tolist()
        used = dict(zip(columns, used_of(of.c, [int(words[i]) for i in columns]), strict=True))
        predicted = evidence.predicted == of.c
        power = partial(unseen_gap, level=level, min_images=limits.images, unclear=of.unclear)
        changes: dict[int, tuple[Estimate | None, Estimate | None]] = {}
        unseen: dict[int, float] = {}
        for i in columns:
            present = evidence.has(int(words[i]))
            changes[i] = gaps(present, predicted, evidence.label, of.c, min_images=limits.images)
            unseen[i] = max(limits.severity, power(present, predicted, evidence.label, of.c))
        steps = _Steps(of, of_class[row], encoded[row], rising[row], used, changes, unseen, level)
        found += _table(evidence, words, steps, limits)
    on_progress("findings", len(measures), len(measures))
    return found


@dataclass(frozen=True)
class _Steps:
    """A class's words at each step: arrays over all words; ``used``, ``changes`` (missed, mistaken) and ``unseen`` by column.

    ``level``: the one-sided p-value that one side had to reach to be found.
    """

    measures: Measures
    of_class: Bool[np.ndarray, " words"]
    encoded: Bool[np.ndarray, " words"]
    rising: Bool[np.ndarray, " words"]
    used: Mapping[int, Use | None]
    changes: Mapping[int, tuple[Estimate | None, Estimate | None]]
    unseen: Mapping[int, float]
    level: float

    def verdict(self, i: int, limits: Limits) -> str:
        """The last step that a word has passed."""
        if self.of_class[i]:
            return "class"
        if not self.encoded[i]:
            return "none"
        use = self.used.get(i)
        if use is None or not use.clear(limits.used):
            return "encoded"
        severity = self.severity(i, limits)
        if severity is not None and severity.value >= limits.severity:
            return "harmful"
        relied = use.clear(limits.relied) and (use.changes is None or use.changes >= limits.changes)
        return "untested" if relied and self.unseen[i] > limits.unseen else "used"

    def severity(self, i: int, limits: Limits) -> Estimate | None:
        """The larger gap, shrunk for having been found; None for a word that the test does not find.

        The predictions have to change on a side on which the margin rises, too, by a gap whose interval is clear of 0: one error
        among six images shows no harm, however surely the margin rises.
        """
        missed_and_mistaken = self.changes.get(i, (None, None))
        changed = [
            gap
            for gap, z in zip(missed_and_mistaken, self.measures.sides, strict=True)
            if gap is not None and gap.value >= limits.severity and gap.low > 0 and z[i] >= Z95_ONE_SIDED
        ]
        if not (self.rising[i] and changed):
            return None
        strongest = max(float(self.measures.strength[i]), *(float(z[i]) for z in self.measures.sides))
        return shrunk([gap for gap in missed_and_mistaken if gap is not None], strongest, float(norm.isf(self.level)))


def _table(
    evidence: Evidence,
    words: Int[np.ndarray, " usual"],
    steps: _Steps,
    limits: Limits,
) -> list[ClassWord]:
    """The words of one class, the strongest first; words that separate nothing and are rare are left out."""
    of, here = steps.measures, evidence.label == steps.measures.c
    names = [evidence.vocabulary[w] for w in words.tolist()]
    images, others = int(here.sum()), int((~here).sum())
    own, elsewhere, with_word = (
        (rows.astype(np.float64) @ of_images)[words]
        for rows, of_images in ((here, evidence.rates), (~here, evidence.rates), (here, evidence.present))
    )
    lifts = lift(_counts(names, own, images), _counts(names, elsewhere, others))
    table = []
    for i, name in enumerate(names):
        if i not in steps.changes and own[i] / images < MIN_RATE:
            continue
        missed, mistaken = steps.changes.get(i, (None, None))
        use, verdict = steps.used.get(i), steps.verdict(i, limits)
        table.append(
            ClassWord(
                label=evidence.classes[of.c],
                word=name,
                images_with=int(with_word[i]),
                rate=mean_estimate(evidence.column(int(words[i]))[here], low=0, high=1),
                lift=lifts[name].log_odds,
                encoded=Estimate(float(of.area[i]), float(of.low[i]), float(of.high[i])),
                used=use and use.reliance,
                missed=missed,
                mistaken=mistaken,
                severity=steps.severity(i, limits) if verdict == "harmful" else worse_gap((missed, mistaken)),
                strength=float(of.strength[i]),
                verdict=verdict,
                against_rival=use and use.against_rival,
                rival=use and use.rival,
                changes=use and use.changes,
                unseen=steps.unseen.get(i),
            )
        )
    return sorted(table, key=lambda word: (-VERDICTS.index(word.verdict), -rank(word), word.word))


def findings(evidence: Evidence, words: Sequence[ClassWord]) -> list[Finding]:
    """The words with the verdict "harmful" and the accuracy of their pseudo-groups, the strongest evidence first."""
    found = []
    for about in words:
        if about.verdict != "harmful" or about.severity is None:
            continue
        c, w = evidence.classes.index(about.label), evidence.vocabulary.index(about.word)
        own, predicted, present = evidence.label == c, evidence.predicted == c, evidence.has(w)
        groups = [
            Group(about.label if mine else f"not {about.label}", has, int(rows.sum()), float((predicted == mine)[rows].mean()))
            for mine, has in ((True, True), (True, False), (False, True), (False, False))
            if (rows := (own == mine) & (present == has)).any()
        ]
        found.append(Finding(about, about.severity, groups))
    return sorted(found, key=lambda finding: -rank(finding.about))


def unclear_classes(evidence: Evidence, naming: Bool[np.ndarray, "classes words"]) -> list[str]:
    """Classes whose images have no part in the test of harm, because a name of theirs is in nearly every sentence."""
    found = saturated(evidence, naming)
    return [label for label, holds in zip(evidence.classes, found.tolist(), strict=True) if holds]


def naming_of(evidence: Evidence, own_words: Sequence[Set[str]], apart: Set[str]) -> Bool[np.ndarray, "classes words"]:
    """Which words may name which class."""
    own = np.array([[is_own(word, own_of_class) for word in evidence.vocabulary] for own_of_class in own_words], dtype=bool)
    return own.reshape(len(own_words), -1) | np.array([is_own(word, apart) for word in evidence.vocabulary], dtype=bool)


def rank(word: ClassWord) -> float:
    """Findings are ordered by evidence times use: many words go along with the word that the class uses."""
    return word.strength * (word.used.value if word.used else 0.0)


def _discovered(
    p: Float[np.ndarray, "classes words"], among: Bool[np.ndarray, "classes words"], rate: float
) -> Bool[np.ndarray, "classes words"]:
    """Benjamini & Hochberg (1995) over all that is tested."""
    found = np.zeros(p.shape, dtype=bool)
    if among.any():
        found[among] = false_discovery_control(p[among]) <= rate
    return found


def _counts(names: Sequence[str], rates: Float[np.ndarray, " words"], images: int) -> WordCounts:
    """Images as the units: an image with a word in half of its sentences is half an image. ``rates``: summed over the images."""
    return WordCounts(dict(zip(names, np.clip(rates, 1e-9, images).tolist(), strict=True)), images)
