"""What an audit looks at: word rates, true classes and logits of images; when a word is present; how clear a class is."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy.sparse import csc_array

from wordsight.audits.ranks import shape_of
from wordsight.audits.statistics import separation

ScoresOf = Callable[[Int[np.ndarray, " words"]], Float[np.ndarray, "images words"]]
"""Words (by number) -> their scores in each image."""


@dataclass(frozen=True)
class Evidence:
    """The data of an audit. Rows are images, in one order.

    ``rates``: each image's rate of each word of ``vocabulary`` (images x words), in [0, 1]; sparse, since most images lack most
    words, and never made dense: a million images by 10,000 words would not fit. ``label``: the true class by number. ``logits``: of
    each class of ``classes``; minus infinity is allowed. ``scores``: of words, any increasing function of a rate that
    does not saturate where nearly every sentence has a word; NaN for words without one, None if no word has one.
    """

    vocabulary: tuple[str, ...]
    rates: csc_array
    label: Int[np.ndarray, " images"]
    logits: Float[np.ndarray, "images classes"]
    classes: tuple[str, ...]
    scores: ScoresOf | None = None

    @cached_property
    def predicted(self) -> Int[np.ndarray, " images"]:
        """The class with the largest logit in each image, by number."""
        return self.logits.argmax(1)

    @cached_property
    def present(self) -> csc_array:
        """Which words count as present in which images (images x words), as ones: see ``presence_level``."""
        present = self.rates.copy()
        present.data = (present.data >= np.repeat(presence_level(present), np.diff(present.indptr))).astype(np.float64)
        present.eliminate_zeros()
        return present

    def column(self, w: int) -> Float[np.ndarray, " images"]:
        """Each image's rate of a word."""
        return _column(self.rates, w)

    def has(self, w: int) -> Bool[np.ndarray, " images"]:
        """Which images have a word."""
        return _column(self.present, w) > 0


def _column(matrix: csc_array, w: int) -> Float[np.ndarray, " images"]:
    # Several times as fast as slicing, which makes a matrix.
    held = slice(matrix.indptr[w], matrix.indptr[w + 1])
    column = np.zeros(shape_of(matrix)[0], dtype=matrix.dtype)
    column[matrix.indices[held]] = matrix.data[held]
    return column


#: The minimum rate of a word that is present in an image.
MIN_LEVEL = 0.1


def presence_level(rates: csc_array) -> Float[np.ndarray, " words"]:
    """The minimum rate at which a word is present in an image: a third of the rate's 95% quantile, at least ``MIN_LEVEL``.

    Captions name a lawn "grass" more often than a shirt "striped", so one level for all words does not fit.
    """
    return np.maximum(MIN_LEVEL, _quantiles(rates, 0.95) / 3)


def _quantiles(rates: csc_array, q: float) -> Float[np.ndarray, " words"]:
    """What ``np.quantile`` says of each column of a matrix without numbers below 0."""
    images, words = shape_of(rates)
    place = q * (images - 1)
    below, part = int(place), place - int(place)
    found = np.zeros(words, dtype=rates.dtype)
    for w in range(words):
        held = np.sort(rates.data[rates.indptr[w] : rates.indptr[w + 1]])
        low, high = (
            held[i] if i >= 0 else rates.dtype.type(0) for i in np.minimum([below, below + 1], images - 1) - images + len(held)
        )
        found[w] = high - (high - low) * (1 - part) if part >= 0.5 else low + (high - low) * part
    return found


#: The minimum area under the ROC curve of a word that counts towards how clearly an image shows a class.
TYPICAL = 0.6


#: A class's own words are in nearly every sentence if the median of its images has one of them at this rate or more.
SATURATED = 0.9


def clarity(evidence: Evidence, naming: Bool[np.ndarray, "classes words"]) -> Float[np.ndarray, "images classes"]:
    """How clearly each image shows each class: the sum over the words that may name it and separate its images.

    Summed are the scores of those that have one, or else rates. WordNet has "white" as a kind of person, and a user may set
    words apart for other reasons. Such words count only if the images of the class have higher rates of them than other images
    have (area under the ROC curve ``TYPICAL`` or more).
    """
    clear = np.zeros((len(evidence.label), len(naming)))
    for c in range(len(naming)):
        names = _typical(evidence, naming[c], c)
        scored = _scored(evidence, names)
        clear[:, c] = evidence.rates[:, names].toarray().sum(1) if scored is None else scored.sum(1)
    return clear


def saturated(evidence: Evidence, naming: Bool[np.ndarray, "classes words"]) -> Bool[np.ndarray, " classes"]:
    """Classes of which it is not known how clearly an image shows them: a name of theirs is in nearly every sentence.

    None whose names have scores, which do not saturate.
    """
    found = np.zeros(len(naming), dtype=bool)
    for c in range(len(naming)):
        names = _typical(evidence, naming[c], c)
        if len(names) and _scored(evidence, names) is None:
            found[c] = np.median(evidence.rates[:, names].toarray()[evidence.label == c].max(1)) >= SATURATED
    return found


def _scored(evidence: Evidence, words: Int[np.ndarray, " typical"]) -> Float[np.ndarray, "images scored"] | None:
    """The scores of those of the words that have one; None if no word has."""
    scores = None if evidence.scores is None else evidence.scores(words)
    known = None if scores is None else scores[:, ~np.isnan(scores).any(0)]
    return known if known is not None and known.shape[1] else None


def _typical(evidence: Evidence, words: Bool[np.ndarray, " words"], c: int) -> Int[np.ndarray, " typical"]:
    here, own = evidence.label == c, words.nonzero()[0]
    if not len(own) or not here.any() or here.all():
        return own[:0]
    return own[separation(evidence.rates[:, own], here) >= TYPICAL]


def held_fixed(clear: Float[np.ndarray, "images classes"], c: int, k: int) -> Float[np.ndarray, "images 2"]:
    """What is held fixed among images of class ``k`` in the test of the margin of ``c``: how clearly they show c and k.

    Among the images of c itself, the second column is the other class that each image shows most clearly.
    """
    return np.stack([clear[:, c], clear[:, k] if k != c else clearest_other(clear, c)], 1)


def clearest_other(clear: Float[np.ndarray, "images classes"], c: int) -> Float[np.ndarray, " images"]:
    """How clearly each image shows that class other than ``c`` that it shows most clearly."""
    return np.delete(clear, c, axis=1).max(1)


def largest_of_others(logits: Float[np.ndarray, "images classes"]) -> Float[np.ndarray, "images classes"]:
    """The largest logit of the other classes, for every class; minus infinity if there is no other."""
    if logits.shape[1] < 2:
        return np.full_like(logits, -np.inf)
    second, first = np.partition(logits, -2, axis=1)[:, -2:].T
    largest = np.repeat(first[:, None], logits.shape[1], axis=1)
    largest[np.arange(len(logits)), logits.argmax(1)] = second
    return largest
