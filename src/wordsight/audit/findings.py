"""Words of labelled images and a classifier's decisions -> what each class's decisions hang on.

For class c and word w, in this order (each step looks only at what the one before left):

1. *encoded*: images called c have a higher rate of w than the rest (Mann-Whitney), or the score of c rises with the rate of w
   among images of one true class (false-discovery rate held over both);
2. *used*: the gradient of w's rate points the way the class's logit grows, with an interval clear of zero;
3. *harmful*: among images of one true class, the score of c rises with the rate of w more than the classes' own words explain
   (``statistics.Associations``, false-discovery rate held), and calls change: images of c are missed without w, or others are
   mistaken for c with it.

The test of the third step ranks scores and rates, because errors are few; its size is counted in errors. The classes' own words
are held fixed in it: a clear picture of a dog has a higher score and says "brown" and "running" more often than a poor one, and
that is no shortcut.
"""

from collections.abc import Callable, Sequence, Set
from dataclasses import dataclass, field
from math import sqrt

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy.special import stdtrit
from scipy.stats import false_discovery_control, mannwhitneyu, norm

from wordsight.audit.kinds import is_own
from wordsight.audit.statistics import Z95, Associations, Estimate, difference, separation
from wordsight.words.scores import WordCounts, lift

UsedOf = Callable[[int, Sequence[int]], Sequence[Estimate | None]]
"""Class and words (by number) -> how much each is used, in [-1, 1]; None where no sentence says the word."""


@dataclass(frozen=True)
class Evidence:
    """What an audit looks at: each image's word rates in [0, 1], true class and logits. Rows are images."""

    vocabulary: tuple[str, ...]
    rates: Float[np.ndarray, "images words"]
    label: Int[np.ndarray, " images"]
    logits: Float[np.ndarray, "images classes"]
    classes: tuple[str, ...]

    @property
    def called(self) -> Int[np.ndarray, " images"]:
        """The class that the classifier gives each image."""
        return self.logits.argmax(1)

    def present(self) -> Bool[np.ndarray, "images words"]:
        """Whether a word counts as present in an image: see ``presence_level``."""
        return self.rates >= presence_level(self.rates)


#: A word that is said less often than this is not present in an image.
LEAST_LEVEL = 0.1


def presence_level(rates: Float[np.ndarray, "images words"]) -> Float[np.ndarray, " words"]:
    """The rate from which a word is present in an image: a third of what it reaches in one image of twenty, at least 0.1.

    People call a lawn "grass" more readily than a shirt "striped", so one level for all words would not do.
    """
    return np.maximum(LEAST_LEVEL, np.quantile(rates, 0.95, axis=0) / 3)


@dataclass(frozen=True)
class Limits:
    """What it takes to be a finding.

    ``false_discovery`` is the Benjamini-Hochberg rate; ``images`` the fewest images with the word and without it; ``used``
    the least mean cosine and ``severity`` the least gap between shares of errors.
    """

    false_discovery: float = 0.05
    images: int = 5
    used: float = 0.05
    severity: float = 0.12


@dataclass(frozen=True)
class ClassWord:
    """One word of one class.

    ``rate``: mean over the class's images. ``lift``: log-odds against the other images. ``encoded``: chance that an image
    called this has a higher rate than one called otherwise. ``used``: mean cosine. ``missed``: share of the class's images
    got wrong without the word less that with it. ``mistaken``: share of other images called this with the word less that
    without it, within true classes. Both are None for words that are not encoded. ``strength``: how the score rises
    with the rate within true classes, in standard errors. ``verdict`` is the last step passed.
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


#: Words that tell nothing apart are listed from this mean rate on.
LEAST_RATE = 0.02
#: Standard errors that one chance in twenty exceeds.
Z95_ONE_SIDED = 1.645
#: From nothing to a finding. "class" is the class itself under another name.
VERDICTS = ("class", "none", "encoded", "used", "harmful")


@dataclass(frozen=True)
class Group:
    """Images of one label that have a word, have it not, or (None) of a true group: how many, and the share called right."""

    label: str
    present: bool | None
    images: int
    accuracy: float


@dataclass(frozen=True)
class Finding:
    """A word that a class's decisions hang on, to their harm.

    ``groups``: the class's images with and without the word, then the other images (right: not called this class).
    """

    about: ClassWord
    severity: Estimate
    groups: list[Group] = field(default_factory=list)


def class_words(evidence: Evidence, used_of: UsedOf, own_words: Sequence[Set[str]], limits: Limits) -> list[ClassWord]:
    """Every word of every class that has enough images, classes in order, the strongest words first.

    ``own_words`` has, for each class, the words that name it or its kinds; these are set apart. Each step's false-discovery
    rate is held over all classes and words that are tested in it.
    """
    present, called = evidence.present(), evidence.called
    usual = (present.sum(0) >= limits.images) & ((~present).sum(0) >= limits.images)
    words = usual.nonzero()[0]
    names = [evidence.vocabulary[w] for w in words.tolist()]
    rates, present = evidence.rates[:, words], present[:, words]
    sizes = np.bincount(called, minlength=len(evidence.classes))
    classes = [
        c
        for c, own in enumerate(np.bincount(evidence.label, minlength=len(evidence.classes)).tolist())
        if min(sizes[c], len(called) - sizes[c]) >= limits.images and 0 < own < len(called)
    ]
    if not classes or not len(words):
        return []
    own = np.array([[is_own(word, some) for word in evidence.vocabulary] for some in own_words])
    apart = own[np.ix_(classes, words)]

    margins = evidence.logits - _log_sum_of_others(evidence.logits)
    clear = evidence.rates @ own.T  # how much each image says each class's own words
    associations = Associations(rates, evidence.label)
    everyone = set(np.unique(evidence.label).tolist())

    def both_sides(c: int, *, given: np.ndarray | None = None) -> list[tuple[np.ndarray, np.ndarray]]:
        return [associations(margins[:, c], some, given=given) for some in ({c}, everyone - {c})]

    areas = [separation(rates, called == c) for c in classes]
    p_encoded = np.stack([_encoded(rates, called == c, _together(both_sides(c))) for c in classes])
    encoded = _discovered(p_encoded, ~apart, limits.false_discovery)

    asked = encoded | apart
    used: list[dict[int, Estimate | None]] = []
    for row, c in enumerate(classes):
        some = asked[row].nonzero()[0].tolist()
        used.append(dict(zip(some, used_of(c, [int(words[i]) for i in some]), strict=True)))
    uses = np.array(
        [
            [(u := used[row].get(i)) is not None and u.low > 0 and u.value >= limits.used for i in range(len(words))]
            for row in range(len(classes))
        ]
    )

    sides = [both_sides(c, given=np.stack([clear[:, c], clear.sum(1) - clear[:, c]], 1)) for c in classes]
    strength = np.stack([_together(both) for both in sides])
    changes = [
        {i: gaps(present[:, i], called == c, evidence.label, c, least=limits.images) for i in asked[row].nonzero()[0].tolist()}
        for row, c in enumerate(classes)
    ]
    # The calls have to change on a side on which the score rises, too.
    change = np.array(
        [
            [
                any(
                    gap is not None and gap.value >= limits.severity and z[i] >= Z95_ONE_SIDED
                    for gap, (z, _) in zip(changes[row].get(i, (None, None)), sides[row], strict=True)
                )
                for i in range(len(words))
            ]
            for row in range(len(classes))
        ]
    )
    harmful = _discovered(norm.sf(strength), encoded, limits.false_discovery) & uses & change

    steps = encoded.astype(int) + (encoded & uses) + harmful
    found: list[ClassWord] = []
    for row, c in enumerate(classes):
        here = evidence.label == c
        lifts = lift(_counts(names, rates[here]), _counts(names, rates[~here]))
        area, error = areas[row]
        table = [
            ClassWord(
                label=evidence.classes[c],
                word=names[i],
                images_with=int(present[here, i].sum()),
                rate=mean_estimate(rates[here, i], low=0, high=1),
                lift=lifts[names[i]].log_odds,
                encoded=Estimate.around(area[i], Z95 * error[i], low=0.0, high=1.0),
                used=used[row].get(i),
                missed=changes[row].get(i, (None, None))[0],
                mistaken=changes[row].get(i, (None, None))[1],
                strength=float(strength[row, i]),
                verdict="class" if apart[row, i] else VERDICTS[1 + steps[row, i]],
            )
            for i in range(len(words))
            if asked[row, i] or rates[here, i].mean() >= LEAST_RATE
        ]
        found += sorted(table, key=lambda word: (-VERDICTS.index(word.verdict), -_rank(word), word.word))
    return found


def _encoded(
    rates: Float[np.ndarray, "images words"], here: Bool[np.ndarray, " images"], within: Float[np.ndarray, " words"]
) -> Float[np.ndarray, " words"]:
    """The smaller p of two tests, doubled: enriched in the images ``here``, or rising with the score within true classes.

    Where another class has the word by nature, only the second can tell that this one goes by it.
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
        own, called = evidence.label == c, evidence.called == c
        groups = [
            Group(about.label if mine else f"not {about.label}", has, int(rows.sum()), float((called == mine)[rows].mean()))
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
    called: Bool[np.ndarray, " images"],
    label: Int[np.ndarray, " images"],
    c: int,
    *,
    least: int = 1,
) -> tuple[Estimate | None, Estimate | None]:
    """What a word changes for class ``c``: its images *missed* (without the word less with it), others *mistaken* for it (with
    the word less without it, within true classes). ``called`` says which images are called c. None where a side has
    fewer than ``least`` images.
    """

    def shares(wrong: Bool[np.ndarray, " images"], rows: Sequence[Bool[np.ndarray, " images"]]) -> list[tuple[int, int]]:
        return [(int(wrong[r].sum()), int(r.sum())) for r in rows]

    own = label == c
    others = [label == one for one in np.unique(label) if one != c]
    missed = difference(shares(~called, [own & ~present]), shares(~called, [own & present]), least=least)
    with_, without = (shares(called, [o & has for o in others]) for has in (present, ~present))
    mistaken = difference(with_, without, least=least)
    return missed, mistaken


def worse_gap(found: tuple[Estimate | None, Estimate | None]) -> Estimate | None:
    """The severity: the larger of the two gaps."""
    return max((gap for gap in found if gap), key=lambda gap: gap.value, default=None)


def _log_sum_of_others(logits: Float[np.ndarray, "images classes"]) -> Float[np.ndarray, "images classes"]:
    """Log sum exp of the other classes' logits, for every class."""
    left = np.logaddexp.accumulate(logits, axis=1)
    right = np.logaddexp.accumulate(logits[:, ::-1], axis=1)[:, ::-1]
    nothing = np.full((len(logits), 1), -np.inf)
    return np.logaddexp(np.hstack([nothing, left[:, :-1]]), np.hstack([right[:, 1:], nothing]))


def _counts(names: Sequence[str], rates: Float[np.ndarray, "images words"]) -> WordCounts:
    """Images as the units: an image that says a word in half of its sentences is half an image."""
    return WordCounts(dict(zip(names, np.clip(rates.sum(0), 1e-9, len(rates)).tolist(), strict=True)), len(rates))


def mean_estimate(values: Float[np.ndarray, " n"], *, low: float, high: float) -> Estimate:
    """The mean with Student's 95% interval, cut to [low, high]; one value alone has all of it."""
    mean = float(values.mean())
    if len(values) < 2:
        return Estimate(mean, low, high)
    reach = float(stdtrit(len(values) - 1, 0.975) * values.std(ddof=1) / sqrt(len(values)))
    return Estimate.around(mean, reach, low=low, high=high)
