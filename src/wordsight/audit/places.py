"""Does a classifier look at the same place in every picture of a class?

What has no name in captions, a stamp in a corner or a caption bar, makes no finding. But it stands at one place, and objects
do not: the class's heat maps then agree with each other more than other classes' do.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import sqrt
from statistics import median

import numpy as np
from jaxtyping import Float
from scipy.special import stdtrit

from wordsight.audit.statistics import Estimate

#: Heat maps of a class that agree this much, and twice as much as the middle one of the other classes, are remarkable; at the
#: latter, all are, since several classes may be decided at one place. Set on ten classes of Imagenette with 20 images each,
#: where the agreement is 0.02 to 0.29, and 0.14 to 0.85 with a stamp planted (benchmarks/planted.py).
REMARKABLE, CERTAIN = 0.3, 0.6


@dataclass(frozen=True)
class Place:
    """How much the heat maps of a class agree. ``heat``: their mean, rows and columns of the pictures' middle square, sum 1."""

    label: str
    images: int
    agreement: Estimate
    remarkable: bool
    heat: Float[np.ndarray, "rows columns"] = field(compare=False, repr=False)


def places(maps: Mapping[str, Float[np.ndarray, "images rows columns"]]) -> list[Place]:
    """The agreement of each class's heat maps, for two classes or more; empty maps are left out, and classes with fewer than
    three.
    """
    shares = {}
    for label, some in maps.items():
        mass = some.sum((1, 2))
        if (mass > 0).sum() >= 3:
            shares[label] = some[mass > 0] / mass[mass > 0, None, None]
    means = {label: some.mean(0) for label, some in shares.items()}
    if len(means) < 2:
        return []
    found = {
        label: agreement(some, np.mean([mean for other, mean in means.items() if other != label], axis=0))
        for label, some in shares.items()
    }
    return [
        Place(
            label,
            len(shares[label]),
            estimate,
            _remarkable(estimate, [e.value for other, e in found.items() if other != label]),
            means[label],
        )
        for label, estimate in found.items()
    ]


def _remarkable(estimate: Estimate, others: list[float]) -> bool:
    return estimate.value >= max(REMARKABLE, min(CERTAIN, 2 * median(others))) and estimate.low >= REMARKABLE / 3


def agreement(maps: Float[np.ndarray, "images rows columns"], usual: Float[np.ndarray, "rows columns"]) -> Estimate:
    """The mean correlation between two images' maps of where there is more heat than ``usual``; in [-1, 1].

    The 95% interval is the jackknife's over images (Student's t).
    """
    n = len(maps)
    deviation = np.maximum(maps - usual, 0).reshape(n, -1)
    deviation -= deviation.mean(1, keepdims=True)
    length = np.linalg.norm(deviation, axis=1, keepdims=True)
    unit = np.divide(deviation, length, out=np.zeros_like(deviation), where=length > 0)
    correlations = unit @ unit.T
    np.fill_diagonal(correlations, 0)
    total = correlations.sum()
    value = float(total / (n * (n - 1)))
    if n < 3:
        return Estimate(value, -1.0, 1.0)
    without = (total - 2 * correlations.sum(1)) / ((n - 1) * (n - 2))
    error = sqrt((n - 1) / n * ((without - without.mean()) ** 2).sum())
    return Estimate.around(value, float(stdtrit(n - 1, 0.975)) * error, low=-1.0, high=1.0)
