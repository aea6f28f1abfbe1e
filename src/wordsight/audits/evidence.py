"""What an audit looks at: word rates, true classes and logits of images; when a word is present; how clear a class is."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int

from wordsight.audits.statistics import separation


@dataclass(frozen=True)
class Evidence:
    """The data of an audit. Rows are images, in one order.

    ``rates``: each image's rate of each word of ``vocabulary``, in [0, 1]. ``label``: the true class by number. ``logits``: of
    each class of ``classes``; minus infinity is allowed. ``scores``: of the same words, any increasing function of a rate that
    does not saturate where nearly every sentence has a word; NaN for words without one, None if no word has one.
    """

    vocabulary: tuple[str, ...]
    rates: Float[np.ndarray, "images words"]
    label: Int[np.ndarray, " images"]
    logits: Float[np.ndarray, "images classes"]
    classes: tuple[str, ...]
    scores: Float[np.ndarray, "images words"] | None = None

    @property
    def predicted(self) -> Int[np.ndarray, " images"]:
        """The class with the largest logit in each image, by number."""
        return self.logits.argmax(1)

    def present(self) -> Bool[np.ndarray, "images words"]:
        """Whether a word counts as present in an image: see ``presence_level``."""
        return self.rates >= presence_level(self.rates)


#: The minimum rate of a word that is present in an image.
MIN_LEVEL = 0.1


def presence_level(rates: Float[np.ndarray, "images words"]) -> Float[np.ndarray, " words"]:
    """The minimum rate at which a word is present in an image: a third of the rate's 95% quantile, at least ``MIN_LEVEL``.

    Captions name a lawn "grass" more often than a shirt "striped", so one level for all words does not fit.
    """
    return np.maximum(MIN_LEVEL, np.quantile(rates, 0.95, axis=0) / 3)


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
    clear = np.zeros((len(evidence.rates), len(naming)))
    for c in range(len(naming)):
        names = _typical(evidence, naming[c], c)
        scored = _scored(evidence, names)
        clear[:, c] = evidence.rates[:, names].sum(1) if scored is None else scored.sum(1)
    return clear


def saturated(evidence: Evidence, naming: Bool[np.ndarray, "classes words"]) -> Bool[np.ndarray, " classes"]:
    """Classes of which it is not known how clearly an image shows them: a name of theirs is in nearly every sentence.

    None whose names have scores, which do not saturate.
    """
    found = np.zeros(len(naming), dtype=bool)
    for c in range(len(naming)):
        names = _typical(evidence, naming[c], c)
        if len(names) and _scored(evidence, names) is None:
            found[c] = np.median(evidence.rates[evidence.label == c][:, names].max(1)) >= SATURATED
    return found


def _scored(evidence: Evidence, words: Int[np.ndarray, " typical"]) -> Float[np.ndarray, "images scored"] | None:
    """The scores of those of the words that have one; None if no word has."""
    scores = None if evidence.scores is None else evidence.scores[:, words]
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
    other = clear[:, k] if k != c else np.delete(clear, c, axis=1).max(1)
    return np.stack([clear[:, c], other], 1)


def largest_of_others(logits: Float[np.ndarray, "images classes"]) -> Float[np.ndarray, "images classes"]:
    """The largest logit of the other classes, for every class; minus infinity if there is no other."""
    if logits.shape[1] < 2:
        return np.full_like(logits, -np.inf)
    second, first = np.partition(logits, -2, axis=1)[:, -2:].T
    largest = np.repeat(first[:, None], logits.shape[1], axis=1)
    largest[np.arange(len(logits)), logits.argmax(1)] = second
    return largest
