"""How much of a class's logit the words explain.

A class may be decided by something that captions have no word for: a stamp, a watermark, a compression artefact. Its logit then
differs between images with the same words.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

import numpy as np
from jaxtyping import Float, Int
from scipy.sparse import csc_array
from scipy.special import stdtrit

from wordsight.audits.ranks import shape_of
from wordsight.audits.statistics import Estimate

#: A class whose words leave this much unexplained, and twice as much as the median of the other classes, is remarkable, if
#: enough images are predicted as it. Set on ten classes of Imagenette, nine of which the translator had been trained
#: on, where 0.07 to 0.28 stay unexplained in 200 images, and 0.20 to 0.44 of two classes that differ in nothing but a stamp
#: (benchmarks/planted.py).
REMARKABLE, MIN_IMAGES = 0.25, 10
#: If the words explain less than this of the median class, the absence of findings means little.
LITTLE = 0.5
#: Groups of images that are left out in turn for the intervals.
GROUPS = 20
#: Of more images so many are taken, evenly; of more words those whose rates vary most. The regressions, 21 of them, take a
#: minute then instead of days; what the words explain is rather too little, since those left out have no part.
MAX_IMAGES, MAX_WORDS = 10_000, 1000
#: Penalties tried, as shares of the words' summed variance over the images.
_PENALTIES = tuple(10.0 ** (k / 2) for k in range(-12, 3))


@dataclass(frozen=True)
class Explained:
    """The share of the differences in a class's logit between images that the word rates explain; at most 1.

    ``share``: about 0 where the rates explain nothing, below 0 where predictions from them are worse than the mean. ``remarkable``:
    see ``REMARKABLE``.
    """

    label: str
    share: Estimate
    remarkable: bool


def explained(
    rates: csc_array,
    logits: Float[np.ndarray, "images classes"],
    labels: Sequence[str],
    predicted: Int[np.ndarray, " classes"],
) -> list[Explained]:
    """The share of each class's logit that the word rates explain; empty for fewer than ``GROUPS`` images or without words.

    ``logits``: less their mean over classes, since what all logits share changes no decision. ``predicted``: how many images
    are predicted as each class. Classes whose logits are the same in all images, or not finite, are left out. A class is
    remarkable as ``REMARKABLE`` describes, if there are three classes or more and its interval lies below the median of the
    others. Of many images and words, ``MAX_IMAGES`` and ``MAX_WORDS`` are looked at.
    """
    if len(logits) < GROUPS or shape_of(rates)[1] == 0:
        return []
    rows = np.linspace(0, len(logits) - 1, min(MAX_IMAGES, len(logits))).astype(int)
    x, logits = _varying(rates.tocsr()[rows].tocsc()).toarray().astype(np.float64), logits[rows]
    with np.errstate(invalid="ignore"):
        varying = np.flatnonzero(np.isfinite(logits).all(0) & (np.ptp(logits, axis=0) > 0))
    shares = _estimates(x, logits[:, varying].astype(np.float64))
    found = []
    for i, (c, share) in enumerate(zip(varying.tolist(), shares, strict=True)):
        others = [other.value for other in shares[:i] + shares[i + 1 :]]
        found.append(Explained(labels[c], share, bool(predicted[c] >= MIN_IMAGES) and _remarkable(share, others)))
    return found


def _varying(rates: csc_array) -> csc_array:
    """The ``MAX_WORDS`` words whose rates vary most, in order."""
    images, words = shape_of(rates)
    if words <= MAX_WORDS:
        return rates
    mean = np.ones(images) @ rates / images
    variance = np.ones(images) @ rates.multiply(rates) / images - mean**2
    return rates[:, np.sort(np.argsort(-variance, kind="stable")[:MAX_WORDS])]


def _remarkable(share: Estimate, others: list[float]) -> bool:
    if len(others) < 2:
        return False
    usual = median(others)
    return 1 - share.value >= max(REMARKABLE, 2 * (1 - usual)) and share.high < usual


def little_explained(found: Sequence[Explained]) -> str:
    """A sentence if the words explain little of the decisions on the whole, else nothing."""
    usual = median(estimate.share.value for estimate in found) if found else 1.0
    if usual >= LITTLE:
        return ""
    return (
        f"The words explain only {max(0.0, usual):.0%} of the differences in the logit of the median class: much of what "
        "decides has no word here, so the absence of findings means little."
    )


def _estimates(x: Float[np.ndarray, "images words"], y: Float[np.ndarray, "images classes"]) -> list[Estimate]:
    """The share of each logit, with the 95% interval of the jackknife over groups of images (Student's t).

    Everything is fitted again without each group. (The delta method takes the errors as independent. With many words for the
    images they are not: its intervals covered 72 to 93% in a simulation, these 88 to 99%.)
    """
    share, group = _shares(x, y), np.arange(len(x)) % GROUPS
    without = np.stack([_shares(x[group != number], y[group != number]) for number in range(GROUPS)])
    error = np.sqrt((GROUPS - 1) / GROUPS * ((without - without.mean(0)) ** 2).sum(0))
    reach = float(stdtrit(GROUPS - 1, 0.975)) * error
    return [Estimate.around(v, r, low=-np.inf, high=1.0) for v, r in zip(share, reach, strict=True)]


def _shares(x: Float[np.ndarray, "images words"], y: Float[np.ndarray, "images classes"]) -> Float[np.ndarray, " classes"]:
    """For each logit, 1 less the squared errors of ridge regression over those of the mean, at the logit's best penalty.

    Each image is predicted from the others (Allen's PRESS, 1974; the penalty is that of all images).
    """
    n = len(x)
    u, squares = _directions(x - x.mean(0))
    centred = y - y.mean(0)
    projected, best = u.T @ centred, np.full(y.shape[1], np.inf)
    lefts = (
        squares / (squares + np.array(_PENALTIES)[:, None] * squares.sum()) if len(squares) else np.ones((len(_PENALTIES), 0))
    )
    for left, leverage in zip(lefts, 1 / n + lefts @ (u**2).T, strict=True):
        errors = (centred - u @ (left[:, None] * projected)) / np.maximum(1 - leverage, 1e-9)[:, None]
        best = np.minimum(best, (errors**2).sum(0))
    total = ((centred * n / (n - 1)) ** 2).sum(0)  # what the mean of the others is off by
    return np.where(total > 0, 1 - best / np.where(total > 0, total, 1.0), 0.0)


def _directions(x: Float[np.ndarray, "images words"]) -> tuple[np.ndarray, np.ndarray]:
    """The left singular vectors of a matrix (images, directions), and the squares of its singular values.

    From the products of the smaller side, several times as fast as a singular value decomposition. Directions without a
    millionth of the largest singular value are left out: the least penalty takes all of them away.
    """
    wide = len(x) <= x.shape[1]
    squares, basis = np.linalg.eigh(x @ x.T if wide else x.T @ x)
    real = squares > 1e-12 * max(1.0, squares[-1])
    return basis[:, real] if wide else x @ (basis[:, real] / np.sqrt(squares[real])), squares[real]
