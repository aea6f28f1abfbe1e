"""Words of labelled images and a classifier's decisions -> what each class's decisions hang on.

For class c and word w, in this order (each step looks only at what the one before left):

1. *encoded*: images called c have a higher rate of w than the rest (Mann-Whitney, false-discovery rate held);
2. *used*: the gradient of w's rate points the way the class's logit grows, with an interval clear of zero;
3. *harmful*: among images of one true class, the score of c rises with the rate of w (``statistics.association``,
   false-discovery rate held), and calls change: images of c are missed without w, or others are mistaken for c with it.

The test of the third step ranks scores and rates, because errors are few; its size is counted in errors.
"""

from collections.abc import Callable, Sequence, Set
from dataclasses import dataclass, field
from math import sqrt

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy.special import stdtrit
from scipy.stats import false_discovery_control, mannwhitneyu, norm

from wordsight.audit.statistics import Z95, Estimate, association, difference, separation
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


def presence_level(rates: Float[np.ndarray, "images words"]) -> Float[np.ndarray, " words"]:
    """The rate from which a word is present in an image: a third of what it reaches in one image of twenty, at least 0.1.

    People call a lawn "grass" more readily than a shirt "striped", so one level for all words would not do.
    """
    return np.maximum(0.1, np.quantile(rates, 0.95, axis=0) / 3)


@dataclass(frozen=True)
class Limits:
    """What it takes to be a finding.

    ``false_discovery`` is the Benjamini-Hochberg rate; ``images`` the fewest images with the word and without it; ``used``
    the least mean cosine and ``severity`` the least gap between shares of errors.
    """

    false_discovery: float = 0.05
    images: int = 5
    used: float = 0.05
    severity: float = 0.1


@dataclass(frozen=True)
class ClassWord:
    """One word of one class.

    ``rate``: mean over the class's images. ``lift``: log-odds against the other images. ``encoded``: chance that an image
    called this has a higher rate than one called otherwise. ``used``: mean cosine. ``missed``: share of the class's images
    got wrong without the word less that with it. ``mistaken``: share of other images called this with the word less that
    without it, within true classes. Both are None for words that are not encoded. ``strength``: ``statistics.association``,
    in standard errors. ``verdict`` is the last step passed.
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

    ``own_words`` has, for each class, the words that name it or its kinds; these are set apart.
    """
    present = evidence.present()
    usual = (present.sum(0) >= limits.images) & ((~present).sum(0) >= limits.images)
    found: list[ClassWord] = []
    for c in range(len(evidence.classes)):
        called, own = evidence.called == c, evidence.label == c
        if min(called.sum(), (~called).sum()) >= limits.images and own.any() and (~own).any():
            found += _words_of(evidence, c, present, usual.nonzero()[0], used_of, own_words[c], limits)
    return found


def _words_of(
    evidence: Evidence,
    c: int,
    present: Bool[np.ndarray, "images words"],
    words: Int[np.ndarray, " words"],
    used_of: UsedOf,
    own_words: Set[str],
    limits: Limits,
) -> list[ClassWord]:
    called, own = evidence.called == c, evidence.label == c
    rates = evidence.rates[:, words]
    names = [evidence.vocabulary[w] for w in words.tolist()]
    area, error = separation(rates, called)
    p_encoded = mannwhitneyu(rates[called], rates[~called], axis=0, alternative="greater", method="asymptotic").pvalue
    apart = np.array([name in own_words for name in names], dtype=bool)
    encoded = _discovered(p_encoded, ~apart, limits.false_discovery)

    used: list[Estimate | None] = [None] * len(words)
    asked = (encoded | apart).nonzero()[0]
    for i, estimate in zip(asked, used_of(c, [int(words[i]) for i in asked]), strict=True):
        used[i] = estimate
    uses = np.array([u is not None and u.low > 0 and u.value >= limits.used for u in used], dtype=bool)

    margin = evidence.logits[:, c] - _log_sum_of_others(evidence.logits, c)
    strength = association(rates, margin, evidence.label)
    ask = set(asked.tolist())
    changes = [gaps(present[:, w], called, evidence.label, c) if i in ask else (None, None) for i, w in enumerate(words)]
    sizes = np.array([gap.value if (gap := worse_gap(both)) else 0.0 for both in changes])
    harmful = _discovered(norm.sf(strength), encoded & uses, limits.false_discovery) & (sizes >= limits.severity)

    lifts = lift(_counts(names, rates[own]), _counts(names, rates[~own]))

    def verdict(i: int) -> str:
        if apart[i]:
            return "class"
        return VERDICTS[1 + int(encoded[i]) * (1 + int(uses[i]) * (1 + int(harmful[i])))]

    table = [
        ClassWord(
            label=evidence.classes[c],
            word=names[i],
            images_with=int(present[own, words[i]].sum()),
            rate=mean_estimate(rates[own, i], low=0, high=1),
            lift=lifts[names[i]].log_odds if names[i] in lifts else 0.0,
            encoded=Estimate(float(area[i]), max(0.0, area[i] - Z95 * error[i]), min(1.0, area[i] + Z95 * error[i])),
            used=used[i],
            missed=changes[i][0],
            mistaken=changes[i][1],
            strength=float(strength[i]),
            verdict=verdict(i),
        )
        for i in range(len(words))
        if i in ask or rates[own, i].mean() >= LEAST_RATE
    ]
    return sorted(table, key=lambda word: (-VERDICTS.index(word.verdict), -_rank(word), word.word))


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


def _discovered(p: Float[np.ndarray, " words"], among: Bool[np.ndarray, " words"], rate: float) -> Bool[np.ndarray, " words"]:
    found = np.zeros(len(p), dtype=bool)
    if among.any():
        found[among] = false_discovery_control(p[among]) <= rate
    return found


def gaps(
    present: Bool[np.ndarray, " images"], called: Bool[np.ndarray, " images"], label: Int[np.ndarray, " images"], c: int
) -> tuple[Estimate | None, Estimate | None]:
    """What a word changes for class ``c``: its images *missed* (without the word less with it), others *mistaken* for it (with
    the word less without it, within true classes). ``called`` says which images are called c. None where a side has no image.
    """

    def shares(wrong: Bool[np.ndarray, " images"], rows: Sequence[Bool[np.ndarray, " images"]]) -> list[tuple[int, int]]:
        return [(int(wrong[r].sum()), int(r.sum())) for r in rows]

    own = label == c
    others = [label == one for one in np.unique(label) if one != c]
    missed = difference(shares(~called, [own & ~present]), shares(~called, [own & present]))
    mistaken = difference(shares(called, [o & present for o in others]), shares(called, [o & ~present for o in others]))
    return missed, mistaken


def worse_gap(found: tuple[Estimate | None, Estimate | None]) -> Estimate | None:
    """The severity: the larger of the two gaps."""
    return max((gap for gap in found if gap), key=lambda gap: gap.value, default=None)


def _log_sum_of_others(logits: Float[np.ndarray, "images classes"], c: int) -> Float[np.ndarray, " images"]:
    return np.logaddexp.reduce(np.delete(logits, c, axis=1), axis=1)


def _counts(names: Sequence[str], rates: Float[np.ndarray, "images words"]) -> WordCounts:
    """Images as the units: an image that says a word in half of its sentences is half an image."""
    return WordCounts(dict(zip(names, np.clip(rates.sum(0), 0, len(rates)).tolist(), strict=True)), len(rates))


def mean_estimate(values: Float[np.ndarray, " n"], *, low: float, high: float) -> Estimate:
    """The mean with Student's 95% interval, cut to [low, high]; one value alone has all of it."""
    mean = float(values.mean())
    if len(values) < 2:
        return Estimate(mean, low, high)
    reach = float(stdtrit(len(values) - 1, 0.975) * values.std(ddof=1) / sqrt(len(values)))
    return Estimate(mean, max(low, mean - reach), min(high, mean + reach))
