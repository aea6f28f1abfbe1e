"""How much of a decision do the words explain at all?

A class may be decided by something that captions have no word for: a stamp, a watermark, an artefact of compression. Its score
then differs between images that the words cannot tell apart.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from math import sqrt
from statistics import median

import numpy as np
from jaxtyping import Float

from wordsight.audit.statistics import Z95, Estimate

#: A class whose words leave this much unexplained, and twice as much as those of the middle one of the other classes, is
#: remarkable. Set on ten classes of Imagenette, where 0.07 to 0.28 stay unexplained in 200 images, and 0.19 to 0.44 of two
#: classes that differ in nothing but a stamp (benchmarks/planted.py).
REMARKABLE = 0.25
#: Penalties tried, as shares of the words' summed variance over the images.
_PENALTIES = tuple(10.0 ** (k / 2) for k in range(-12, 3))


@dataclass(frozen=True)
class Explained:
    """The share of the differences in a class's score between images that the images' word rates explain; at most 1.

    About 0 where they explain nothing; below 0 where they mislead.
    """

    label: str
    share: Estimate
    remarkable: bool


def explained(rates: Float[np.ndarray, "images words"], scores: Mapping[str, Float[np.ndarray, " images"]]) -> list[Explained]:
    """For each class's score the share that the word rates explain; nothing for fewer than three images or no words.

    Remarkable are classes that ``REMARKABLE`` describes, if there are three or more and the share's interval lies below the
    share of the middle one of the others.
    """
    if len(rates) < 3 or rates.shape[1] == 0:
        return []
    fit = _Ridge(rates)
    shares = {label: fit.share(np.asarray(score, float)) for label, score in scores.items()}
    return [
        Explained(label, share, _remarkable(share, [s.value for other, s in shares.items() if other != label]))
        for label, share in shares.items()
    ]


def _remarkable(share: Estimate, others: list[float]) -> bool:
    if len(others) < 2:
        return False
    middle = median(others)
    return 1 - share.value >= max(REMARKABLE, 2 * (1 - middle)) and share.high < middle


class _Ridge:
    """Ridge regression on the same images for many scores, every image predicted from the others (Allen's PRESS, 1974)."""

    def __init__(self, x: Float[np.ndarray, "images words"]) -> None:
        u, s, _ = np.linalg.svd(np.asarray(x, float) - x.mean(0), full_matrices=False)
        self._u, self._squares = u[:, s > 1e-9], s[s > 1e-9] ** 2

    def share(self, y: Float[np.ndarray, " images"]) -> Estimate:
        """1 less the squared errors over those of predicting the mean of the other images, at the best penalty.

        The 95% interval is the ratio's by the delta method; the choice among the penalties is not in it.
        """
        n = len(y)
        usual = (y - y.mean()) * n / (n - 1)
        total = (usual**2).sum()
        if total <= 1e-12 * n * max(1.0, float((y**2).max())):
            return Estimate(0.0, 0.0, 0.0)  # a score that does not differ: nothing to explain
        error = min((self._errors(y, penalty) for penalty in _PENALTIES), key=lambda e: float((e**2).sum()))
        share = 1 - float((error**2).sum() / total)
        spread = sqrt((((error**2) - (1 - share) * usual**2) ** 2).sum()) / float(total)
        return Estimate.around(share, Z95 * spread, low=-np.inf, high=1.0)

    def _errors(self, y: Float[np.ndarray, " images"], penalty: float) -> Float[np.ndarray, " images"]:
        """What each image's score is, less what a fit to the others predicts."""
        kept = self._squares / (self._squares + penalty * self._squares.sum()) if len(self._squares) else self._squares
        centred = y - y.mean()
        leverage = 1 / len(y) + self._u**2 @ kept
        return (centred - self._u @ (kept * (self._u.T @ centred))) / np.maximum(1 - leverage, 1e-9)
