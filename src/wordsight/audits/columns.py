"""A number of each image for each word, most of them 0: a sparse matrix, of which some words at a time are looked at."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from scipy import sparse


class Columns:
    """Images x words, held as a sparse matrix by word: ``columns[:, words]`` is an ordinary array, as of an array."""

    def __init__(self, held: sparse.csc_array) -> None:
        self.sparse = held

    @property
    def shape(self) -> tuple[int, int]:
        """Images and words."""
        return self.sparse.shape  # pyright: ignore[reportReturnType] (SciPy's types say None)

    @property
    def dtype(self) -> np.dtype:
        """The type of the numbers."""
        return self.sparse.dtype

    def __len__(self) -> int:
        """How many images."""
        return self.shape[0]

    def __getitem__(self, key: tuple[slice, Any]) -> np.ndarray:
        """The numbers of one word, (images), or of several, (images, words). Images come all together: ``[:, words]``."""
        images, words = key
        if images != slice(None):
            raise IndexError("Columns give all images of some words: columns[:, words]. Choose images of the result.")
        numbers = np.arange(self.shape[1])[words]
        made = np.zeros((len(self), numbers.size), self.dtype, order="F")
        held = self.sparse
        for column, word in enumerate(numbers.reshape(-1)):
            here = slice(held.indptr[word], held.indptr[word + 1])
            made[held.indices[here], column] = held.data[here]
        return made if numbers.ndim else made[:, 0]

    @classmethod
    def of_images(cls, images: Sequence[Mapping[str, float]], vocabulary: Sequence[str], dtype: type = np.float64) -> "Columns":
        """Each image's number of each word of the vocabulary; 0 for a word that the image does not have."""
        number = {word: i for i, word in enumerate(vocabulary)}
        words, values, ends = [], [], [0]
        for image in images:
            own = image.keys() & number.keys()
            words.append(np.fromiter((number[word] for word in own), np.int32, len(own)))
            values.append(np.fromiter((image[word] for word in own), dtype, len(own)))
            ends.append(ends[-1] + len(own))
        none = np.zeros(0, np.int32)
        by_image = sparse.csr_array(
            (np.concatenate([none.astype(dtype), *values]), np.concatenate([none, *words]), np.array(ends)),
            shape=(len(images), len(vocabulary)),
        )
        return cls(by_image.tocsc())


def sparse_of(rates: "np.ndarray | Columns") -> sparse.csc_array:
    """The same numbers as a sparse matrix by word."""
    return rates.sparse if isinstance(rates, Columns) else sparse.csc_array(rates)
