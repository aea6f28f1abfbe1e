"""Words of labelled images and a classifier's decisions -> what each class's decisions depend on.

For class c and word w, in this order:

1. *encoded*: images predicted as c have a higher rate of w than the rest (Mann-Whitney), or the score of c rises with the rate
   of w among images of one true class (false-discovery rate held over both);
2. *used*: the gradient of w's rate points the way the class's logit grows, with an interval clear of zero;
3. *harmful*: among images of one true class, the score of c rises with the rate of w more than the classes' own words explain
   (``statistics.Associations``, false-discovery rate held), and calls change: images of c are missed without w, or others are
   mistaken for c with it.

The test of the third step ranks scores and rates, because errors are few; its size is counted in errors. The classes' own words
are held fixed in it: a clear image of a dog has a higher logit and higher rates of "brown" and "running" than a poor one, and
that is no shortcut.
"""

from collections.abc import Callable, Sequence, Set
from dataclasses import dataclass, field
from functools import partial

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy.stats import false_discovery_control, mannwhitneyu, norm

from wordsight.audits import FALSE_DISCOVERY, MIN_SEVERITY, MIN_USED
from wordsight.audits.evidence import Evidence, clarity, held_fixed, log_sum_of_others
from wordsight.audits.kinds import is_own
from wordsight.audits.statistics import Z95, Associations, Estimate, difference, mean_estimate, separation
from wordsight.sentences.estimates import WordCounts
from wordsight.words.scores import lift

UsedOf = Callable[[int, Sequence[int]], Sequence[Estimate | None]]
"""Class and words (by number) -> how much each is used, in [-1, 1]; None where no sentence has the word."""


@dataclass(frozen=True)
class Limits:
    """What it takes to be a finding.

    ``false_discovery`` is the Benjamini-Hochberg rate; ``images`` the fewest images with the word and without it; ``used``
    the least mean cosine and ``severity`` the least gap between shares of errors.
    """

    false_discovery: float = FALSE_DISCOVERY
    images: int = 5
    used: float = MIN_USED
    severity: float = MIN_SEVERITY


@dataclass(frozen=True)
class ClassWord:
    """One word of one class.

    ``rate``: mean over the class's images. ``lift``: log-odds against the other images. ``encoded``: chance that an image
    predicted as this class has a higher rate than another. ``used``: mean cosine. ``missed``: share of the class's images got
    wrong without the word less that with it. ``mistaken``: share of other images predicted this with the word less that
    without it, within true classes. Both are None for words that are not encoded. ``strength``: how the score rises
    with the rate within true classes beyond what the classes' own words explain, in standard errors (or less: see
    ``Associations``). ``verdict`` is the last step passed.
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
    strength: float
    verdict: str

    @property
    def severity(self) -> Estimate | None:
        """The larger of the two gaps."""
        return worse_gap((self.missed, self.mistaken))


#: Words that separate no class are listed from this mean rate on.
MIN_RATE = 0.02
#: Standard errors that one chance in twenty exceeds.
Z95_ONE_SIDED = 1.645
#: From nothing to a finding. "class" is the class itself under another name.
VERDICTS = ("class", "none", "encoded", "used", "harmful")


@dataclass(frozen=True)
class Group:
    """Images of one label that have a word, have it not, or (None) of a true group: how many, and the share predicted right."""

    label: str
    present: bool | None
    images: int
    accuracy: float


@dataclass(frozen=True)
class Finding:
    """A word that a class's decisions depend on, to their harm.

    ``groups``: the class's images with and without the word, then the other images (right: not predicted this class).
    """

    about: ClassWord
    severity: Estimate
    groups: list[Group] = field(default_factory=list)

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
) -> list[ClassWord]:
    """Every word of every class that has enough images, classes in order, the strongest words first.

    ``own_words`` has, for each class, the words that name it or its kinds. These are set apart, and so are those in ``apart``,
    for every class; where they separate a class's images from others, they count as its own words in the third step. Each step's
    false-discovery rate is held over all classes and words that are tested in it.
    """
    present, predicted = evidence.present(), evidence.predicted
    words = ((present.sum(0) >= limits.images) & ((~present).sum(0) >= limits.images)).nonzero()[0]
    classes = _classes_to_judge(evidence, limits.images)
    if not classes or not len(words):
        return []
    own = np.array([[is_own(word, own_of_class) for word in evidence.vocabulary] for own_of_class in own_words])
    naming = own | np.array([is_own(word, apart) for word in evidence.vocabulary])
    measured = _measured(evidence, words, classes, naming)
    of_class = naming[np.ix_(classes, words)]

    encoded = _discovered(np.stack([m.p_encoded for m in measured]), ~of_class, limits.false_discovery)
    asked = [row.nonzero()[0].tolist() for row in encoded | of_class]
    used = [
        dict(zip(columns, used_of(m.c, [int(words[i]) for i in columns]), strict=True))
        for m, columns in zip(measured, asked, strict=True)
    ]
    changes = [
        {i: gaps(present[:, words[i]], predicted == m.c, evidence.label, m.c, min_images=limits.images) for i in columns}
        for m, columns in zip(measured, asked, strict=True)
    ]
    risen = _discovered(np.stack([norm.sf(m.strength) for m in measured]), encoded, limits.false_discovery)

    found: list[ClassWord] = []
    rates, names = evidence.rates[:, words], [evidence.vocabulary[w] for w in words.tolist()]
    for row, m in enumerate(measured):
        here = evidence.label == m.c
        lifts = lift(_counts(names, rates[here]), _counts(names, rates[~here]))
        table = []
        for i, name in enumerate(names):
            use, (missed, mistaken) = used[row].get(i), changes[row].get(i, (None, None))
            if i not in changes[row] and rates[here, i].mean() < MIN_RATE:
                continue
            uses = encoded[row, i] and use is not None and use.low > 0 and use.value >= limits.used
            # The calls have to change on a side on which the score rises, too.
            change = any(
                gap is not None and gap.value >= limits.severity and z[i] >= Z95_ONE_SIDED
                for gap, z in zip((missed, mistaken), m.sides, strict=True)
            )
            steps = int(encoded[row, i]) + uses + (uses and risen[row, i] and change)
            table.append(
                ClassWord(
                    label=evidence.classes[m.c],
                    word=name,
                    images_with=int(present[here, words[i]].sum()),
                    rate=mean_estimate(rates[here, i], low=0, high=1),
                    lift=lifts[name].log_odds,
                    encoded=Estimate.around(m.area[i], Z95 * m.error[i], low=0.0, high=1.0),
                    used=use,
                    missed=missed,
                    mistaken=mistaken,
                    strength=float(m.strength[i]),
                    verdict="class" if of_class[row, i] else VERDICTS[1 + steps],
                )
            )
        found += sorted(table, key=lambda word: (-VERDICTS.index(word.verdict), -_rank(word), word.word))
    return found


@dataclass(frozen=True)
class _Measured:
    """What rates and logits show of all words of class ``c``. ``sides``: how the score rises with each word beyond the
    classes' own words, among the class's images and among the others, in standard errors; ``strength``: both together.
    """

    c: int
    area: Float[np.ndarray, " words"]
    error: Float[np.ndarray, " words"]
    p_encoded: Float[np.ndarray, " words"]
    sides: tuple[np.ndarray, np.ndarray]
    strength: Float[np.ndarray, " words"]


def _classes_to_judge(evidence: Evidence, min_images: int) -> list[int]:
    """Classes that enough images are predicted and enough are not, and that have images of their own among others."""
    count = len(evidence.label)
    predicted, own = (np.bincount(classes, minlength=len(evidence.classes)) for classes in (evidence.predicted, evidence.label))
    judged = (np.minimum(predicted, count - predicted) >= min_images) & (own > 0) & (own < count)
    return judged.nonzero()[0].tolist()


def _measured(
    evidence: Evidence,
    words: Int[np.ndarray, " usual"],
    classes: Sequence[int],
    naming: Bool[np.ndarray, "classes words"],
) -> list[_Measured]:
    rates, predicted = evidence.rates[:, words], evidence.predicted
    margins = evidence.logits - log_sum_of_others(evidence.logits)
    clear = clarity(evidence, naming)
    associations = Associations(rates, evidence.label)
    everyone = set(np.unique(evidence.label).tolist())
    found = []
    for c in classes:
        score, strata = margins[:, c], ({c}, everyone - {c})
        area, error = separation(rates, predicted == c)
        within = _together([associations(score, members) for members in strata])
        beyond = [associations(score, members, given=partial(held_fixed, clear, c)) for members in strata]
        p_encoded = _encoded(rates, predicted == c, within)
        found.append(_Measured(c, area, error, p_encoded, (beyond[0][0], beyond[1][0]), _together(beyond)))
    return found


def _encoded(
    rates: Float[np.ndarray, "images words"], here: Bool[np.ndarray, " images"], within: Float[np.ndarray, " words"]
) -> Float[np.ndarray, " words"]:
    """The smaller p of two tests, doubled: enriched in the images ``here``, or rising with the score within true classes.

    Where another class has the word by nature, only the second can show that this one uses it.
    """
    enriched = mannwhitneyu(rates[here], rates[~here], axis=0, alternative="greater", method="asymptotic").pvalue
    return np.minimum(1, 2 * np.minimum(enriched, norm.sf(within)))


def _together(sides: Sequence[tuple[np.ndarray, np.ndarray]]) -> Float[np.ndarray, " words"]:
    """The class's own images and the others, weighing the same however many classes there are (Stouffer et al. 1949)."""
    known = sum((freedom > 0).astype(float) for _, freedom in sides)
    return sum(z for z, _ in sides) / np.sqrt(np.maximum(known, 1))


def findings(evidence: Evidence, words: Sequence[ClassWord]) -> list[Finding]:
    """The harmful words with the accuracy of their pseudo-groups, the worst first."""
    present = evidence.present()
    found = []
    for about in words:
        if about.verdict != "harmful" or about.severity is None:
            continue
        c, w = evidence.classes.index(about.label), evidence.vocabulary.index(about.word)
        own, predicted = evidence.label == c, evidence.predicted == c
        groups = [
            Group(about.label if mine else f"not {about.label}", has, int(rows.sum()), float((predicted == mine)[rows].mean()))
            for mine, has in ((True, True), (True, False), (False, True), (False, False))
            if (rows := (own == mine) & (present[:, w] == has)).any()
        ]
        found.append(Finding(about, about.severity, groups))
    return sorted(found, key=lambda finding: -_rank(finding.about))


def _rank(word: ClassWord) -> float:
    """Findings are listed by evidence and use together: many words go along with the one that does the harm."""
    return word.strength * (word.used.value if word.used else 0.0)


def _discovered(
    p: Float[np.ndarray, "classes words"], among: Bool[np.ndarray, "classes words"], rate: float
) -> Bool[np.ndarray, "classes words"]:
    """Benjamini & Hochberg (1995) over all that is tested."""
    found = np.zeros(p.shape, dtype=bool)
    if among.any():
        found[among] = false_discovery_control(p[among]) <= rate
    return found


def gaps(
    present: Bool[np.ndarray, " images"],
    predicted: Bool[np.ndarray, " images"],
    label: Int[np.ndarray, " images"],
    c: int,
    *,
    min_images: int = 1,
) -> tuple[Estimate | None, Estimate | None]:
    """What a word changes for class ``c``: its images *missed* (without the word less with it), others *mistaken* for it (with
    the word less without it, within true classes). ``predicted``: which images are predicted as c. None where a side has
    fewer than ``min_images`` images.
    """

    def shares(wrong: Bool[np.ndarray, " images"], rows: Sequence[Bool[np.ndarray, " images"]]) -> list[tuple[int, int]]:
        return [(int(wrong[r].sum()), int(r.sum())) for r in rows]

    own = label == c
    others = [label == other for other in np.unique(label) if other != c]
    missed = difference(shares(~predicted, [own & ~present]), shares(~predicted, [own & present]), min_images=min_images)
    with_, without = (shares(predicted, [o & has for o in others]) for has in (present, ~present))
    mistaken = difference(with_, without, min_images=min_images)
    return missed, mistaken


def worse_gap(found: tuple[Estimate | None, Estimate | None]) -> Estimate | None:
    """The severity: the larger of the two gaps."""
    return max((gap for gap in found if gap), key=lambda gap: gap.value, default=None)


def _counts(names: Sequence[str], rates: Float[np.ndarray, "images words"]) -> WordCounts:
    """Images as the units: an image with a word in half of its sentences is half an image."""
    return WordCounts(dict(zip(names, np.clip(rates.sum(0), 1e-9, len(rates)).tolist(), strict=True)), len(rates))
