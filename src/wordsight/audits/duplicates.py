"""Identical and near-identical images count once: copies are no evidence."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Int

#: From this cosine of their features on, about the mean and in units of their spread, two images are copies of each other.
#: (Flickr8k: mirror images 0.91 or more in 99 of 100, the nearest of 1,500 other photographs 0.80 at most.)
COPY = 0.9
#: Effective dimensions, (sum of the covariance's eigenvalues)^2 / sum of their squares, that a comparison of features needs.
MIN_DIMENSIONS = 10
_ROWS = 1024


def fold(z: Float[np.ndarray, "images features"], contents: Sequence[str]) -> Int[np.ndarray, " rows"]:
    """The images that count, in order: the first of each set of copies.

    ``contents``: what identifies each file's content; equal ones are copies. So are images whose features (``z``) have a
    cosine of ``COPY`` or more with an earlier image that counts: resized or compressed copies, bursts, frames of a video. In
    features of fewer than ``MIN_DIMENSIONS`` effective dimensions, where unlike images lie close, only equal contents count.
    """
    first: dict[str, int] = {}
    rows = np.array([i for i, content in enumerate(contents) if first.setdefault(content, i) == i], dtype=int)
    if len(rows) < 3:  # two images always lie opposite each other about their mean
        return rows
    x = z[rows].astype(np.float64)
    spread = x.std(0)
    x = (x - x.mean(0))[:, spread > 0] / spread[spread > 0]
    if x.shape[1] == 0 or _dimensions(x) < MIN_DIMENSIONS:
        return rows
    length = np.linalg.norm(x, axis=1, keepdims=True)
    x = np.divide(x, length, out=np.zeros_like(x), where=length > 0)
    counts = np.ones(len(rows), dtype=bool)
    for start in range(0, len(rows), _ROWS):
        alike = x[start : start + _ROWS] @ x[: start + _ROWS].T >= COPY
        for i in range(start, min(start + _ROWS, len(rows))):
            counts[i] = not (alike[i - start, :i] & counts[:i]).any()
    return rows[counts]


def _dimensions(x: Float[np.ndarray, "images features"]) -> float:
    gram = x.T @ x if x.shape[1] <= len(x) else x @ x.T
    return float(np.trace(gram) ** 2 / np.square(gram).sum())
