"""Two sets of images, word by word: which words have higher rates in one than in the other?"""

from array import array
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float
from scipy.sparse import csc_array
from scipy.special import stdtrit
from scipy.stats import false_discovery_control

from wordsight.audits.evidence import MIN_LEVEL
from wordsight.audits.ranks import Ranks
from wordsight.audits.result import Audit
from wordsight.audits.statistics import Estimate, area_interval


@dataclass(frozen=True)
class WordComparison:
    """One word in two sets of images.

    - ``here`` and ``elsewhere``: mean rates, in [0, 1].
    - ``difference``: here less elsewhere, in [-1, 1], with Welch's 95% interval.
    - ``separation``: chance that an image here has a higher rate than an image elsewhere, in [0, 1]; 0.5 is no separation.
    - ``q``: the smallest Benjamini-Hochberg rate, over the words compared together, at which the two sets differ (Mann-Whitney,
      two-sided), in [0, 1].
    """

    word: str
    here: float
    elsewhere: float
    difference: Estimate
    separation: Estimate
    q: float


@dataclass(frozen=True)
class RightWrong:
    """The words of images predicted right (``here``) against images predicted wrong; ``label`` is None for all classes."""

    label: str | None
    right: int
    wrong: int
    words: list[WordComparison]


def compare_words(vocabulary: Sequence[str], rates: csc_array, here: Bool[np.ndarray, " images"]) -> list[WordComparison]:
    """Compare the images ``here`` with the others; the words with the smallest q come first.

    ``rates``: images x words, in [0, 1]. Raises ValueError if either side has fewer than two images: one image has no variance.
    """
    m, n = int(here.sum()), int((~here).sum())
    if min(m, n) < 2:
        raise ValueError(f"{m} images here and {n} elsewhere came, wanted at least two of each.")
    if not len(vocabulary):
        return []
    rates = csc_array(rates, dtype=np.float64)
    first, second = _moments(rates, here), _moments(rates, ~here)
    gap, reach = first[0] - second[0], _welch_reach(first, m, second, n)
    ranks = Ranks.of(rates)
    area = ranks.separation(here)
    low, high = area_interval(area, m, n)
    q = false_discovery_control(np.minimum(1, 2 * ranks.p_higher(here, np.maximum(area, 1 - area))))
    table = [
        WordComparison(
            word=word,
            here=float(first[0][i]),
            elsewhere=float(second[0][i]),
            difference=Estimate.around(gap[i], reach[i], low=-1.0, high=1.0),
            separation=Estimate(float(area[i]), float(low[i]), float(high[i])),
            q=float(q[i]),
        )
        for i, word in enumerate(vocabulary)
    ]
    return sorted(table, key=lambda row: (row.q, -abs(row.difference.value), row.word))


def right_against_wrong(audit: Audit, *, min_images: int = 5) -> list[RightWrong]:
    """Images predicted right against images predicted wrong: all classes together, then each class.

    Compared are the words of ``audit.words``. Classes with fewer than ``min_images`` images (2 or more) on either side are left
    out. Over all classes together a difference also shows which classes are hard: wrong images have their words.
    """
    vocabulary = sorted({word.word for word in audit.words})
    labels: list[str | None] = [None, *(c for c in audit.classes if any(image.label == c for image in audit.images))]
    found = []
    for label in labels:
        images = [image for image in audit.images if label in (None, image.label)]
        right = np.array([image.right for image in images], dtype=bool)
        if min(right.sum(), (~right).sum()) >= max(2, min_images):
            words = compare_words(vocabulary, rates_of([image.words for image in images], vocabulary), right)
            found.append(RightWrong(label, int(right.sum()), int((~right).sum()), words))
    return found


def usual_words(images: Iterable[Mapping[str, float]], *, min_images: int) -> tuple[str, ...]:
    """Words with a rate of 0.1 or more in at least ``min_images`` images, in alphabetical order. ``images``: each one's rates."""
    frequent = Counter(word for words in images for word, rate in words.items() if rate >= MIN_LEVEL)
    return tuple(sorted(word for word, number in frequent.items() if number >= min_images))


def rates_of(images: Sequence[Mapping[str, float]], vocabulary: Sequence[str]) -> csc_array:
    """Each image's rate of each word (images x words), in [0, 1]; 0 for a word that the image does not have.

    ``images``: each one's rates.
    """
    number = {word: i for i, word in enumerate(vocabulary)}
    rows, columns, rates = array("q"), array("q"), array("d")
    for row, words in enumerate(images):
        for word in words.keys() & number.keys():
            if words[word]:
                rows.append(row)
                columns.append(number[word])
                rates.append(words[word])
    found = (np.asarray(rates), (np.asarray(rows, dtype=np.int64), np.asarray(columns, dtype=np.int64)))
    return csc_array(found, shape=(len(images), len(vocabulary)))


Moments = tuple[Float[np.ndarray, " words"], Float[np.ndarray, " words"]]


def _moments(rates: csc_array, rows: Bool[np.ndarray, " images"]) -> Moments:
    """Each word's mean and variance over some images (with one degree of freedom less)."""
    of, size = rows.astype(np.float64), int(rows.sum())
    mean = of @ rates / size
    # Around the mean, so that no digits are lost: first of the images with the word, then of those without it.
    away = csc_array(((rates.data - np.repeat(mean, np.diff(rates.indptr))) ** 2, rates.indices, rates.indptr), rates.shape)
    held = csc_array((np.ones(len(rates.data)), rates.indices, rates.indptr), rates.shape)
    return mean, (of @ away + (size - of @ held) * mean**2) / (size - 1)


def _welch_reach(first: Moments, m: int, second: Moments, n: int) -> Float[np.ndarray, " words"]:
    """Half of Welch's (1947) 95% interval of each difference of means; 0 where neither side varies.

    ``scipy.stats.ttest_ind`` gives the same numbers, but warns about every word that is constant on one side. ``m`` and ``n``:
    images of the two sides.
    """
    a, b = first[1] / m, second[1] / n
    total, below = a + b, a**2 / (m - 1) + b**2 / (n - 1)
    freedom = np.divide(total**2, below, out=np.ones_like(total), where=below > 0)
    return np.where(total > 0, stdtrit(freedom, 0.975) * np.sqrt(total), 0.0)
