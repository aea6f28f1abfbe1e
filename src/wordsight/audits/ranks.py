"""Ranks of images by each word's rate, as sparse as the rates are: most images lack most words, and share a rank."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float
from scipy import sparse
from scipy.stats import norm

#: Words that are ranked at a time.
_WORDS = 256


@dataclass(frozen=True)
class Ranks:
    """The ranks of images by each word's rate; images with the same rate share their mean rank.

    ``above``: each image's rank less that of an image without the word (images x words). ``none``: the rank of an image without the
    word. ``squares``: the sum of the squared differences of the ranks from their mean, 0 for a word whose rate does not vary.
    """

    above: sparse.csc_array
    none: Float[np.ndarray, " words"]
    squares: Float[np.ndarray, " words"]

    @classmethod
    def of(cls, rates: sparse.csc_array) -> "Ranks":
        """Rank each word's images."""
        parts = [_ranked(rates[:, start : start + _WORDS]) for start in range(0, max(1, shape_of(rates)[1]), _WORDS)]
        above, none, squares = zip(*parts, strict=True)
        return cls(sparse.csc_array(sparse.hstack(above)), np.concatenate(none), np.concatenate(squares))

    def separation(self, here: Bool[np.ndarray, " images"]) -> Float[np.ndarray, " words"]:
        """How well each word's rate separates the images ``here`` from the rest: see ``statistics.separation``."""
        m, n = int(here.sum()), int((~here).sum())
        if m == 0 or n == 0:
            raise ValueError(f"{m} images here and {n} elsewhere came, wanted at least one of each.")
        ranks = here.astype(np.float64) @ self.above + m * self.none
        return (ranks - m * (m + 1) / 2) / (m * n)

    def p_higher(self, here: Bool[np.ndarray, " images"], area: Float[np.ndarray, " words"]) -> Float[np.ndarray, " words"]:
        """The one-sided p-value of higher rates in the images ``here`` than in the rest, in [0, 1] (Mann & Whitney 1947).

        ``area``: their separation. With the usual corrections for ties and for continuity; 1 for a word that does not vary.
        """
        m, n = int(here.sum()), int((~here).sum())
        error = np.sqrt(m * n * self.squares / ((m + n) * (m + n - 1)))
        above = m * n * area - m * n / 2 - 0.5
        return norm.sf(np.divide(above, error, out=np.full_like(error, -np.inf), where=error > 0))

    def correlations(self, directions: Float[np.ndarray, "numbers images"]) -> Float[np.ndarray, "numbers words"]:
        """Each word's ranks, less their mean and of length 1, times numbers of each image; 0 for a word that does not vary."""
        images = directions.shape[1]
        mean = np.ones(images) @ self.above / images
        product = directions @ self.above - directions.sum(1, keepdims=True) * mean
        return np.divide(product, np.sqrt(self.squares), out=np.zeros_like(product), where=self.squares > 0)


def _ranked(rates: sparse.csc_array) -> tuple[sparse.csc_array, Float[np.ndarray, " words"], Float[np.ndarray, " words"]]:
    """``above``, ``none`` and ``squares`` of some words."""
    images, words = shape_of(rates)
    held = np.diff(rates.indptr)
    word = np.repeat(np.arange(words), held)
    order = np.lexsort((rates.data, word))  # by word, then by rate
    value, column = rates.data[order], word[order]
    first = np.flatnonzero(np.concatenate([[True], (np.diff(value) != 0) | (np.diff(column) != 0)])[: len(value)])
    size = np.diff(np.append(first, len(value)))  # of each set of images with one rate
    lacking = float(images) - held  # not in 32 bits, which products of it would leave
    place = first - rates.indptr[column[first]] + (value[first] > 0) * lacking[column[first]]
    # Rates below 0, which only tests have, come before those of images without the word.
    below = np.bincount(column, value < 0, minlength=words)
    none = below + (lacking + 1) / 2
    rank = np.empty(len(value))
    rank[order] = np.repeat(place + (size + 1) / 2, size) - none[column]
    # From the sizes of all sets of images with one rate, that of images without the word taken out first: no digits are lost.
    with_word = held * (float(images) * images + images * lacking + lacking * lacking) - held
    squares = (with_word - np.bincount(column[first], size * (float(1) * size * size) - size, minlength=words)) / 12
    return sparse.csc_array((rank, rates.indices, rates.indptr), shape=rates.shape), none, squares


def shape_of(rates: sparse.csc_array) -> tuple[int, int]:
    """Images and words."""
    return rates.shape  # pyright: ignore[reportReturnType] (SciPy's types say None)
