"""Reliance: by how much a word moves a class's logit while the other words stay fixed. No labels, no errors, no sentences.

With standardised features X of images at large, their word rates Y, the ridge regression B of X on all words together, and a
class's weights h in these units, reliance is ``B_w h / sqrt(h' S h)`` with S the covariance of X: what the word adds to the
logit, in standard deviations of the logit. Since ``X h`` is the logit, the same number is the coefficient of w in the ridge
regression of the logit itself on all words; that form needs neither X nor h and holds for heads of several layers, too.
Logits are taken less the mean over classes, since what all share changes no decision.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from scipy.stats import t

#: Ridge penalty, in images, and blocks of the jackknife.
PENALTY, BLOCKS = 20.0, 10


@dataclass(frozen=True)
class Reliance:
    """Each class's reliance on each word, in standard deviations of the class's logit for a rate of 1 instead of 0.

    ``reach``: 95% half-widths (delete-a-block jackknife, Student's quantile). ``explained``: for each class, the share of its
    logit's variance that all words explain on images that were left out of the fit; below 0 if they predict worse than the mean.
    """

    value: Float[np.ndarray, "classes words"]
    reach: Float[np.ndarray, "classes words"]
    explained: Float[np.ndarray, " classes"]


def reliance(
    rates: Float[np.ndarray, "images words"],
    logits: Float[np.ndarray, "images classes"],
    *,
    penalty: float = PENALTY,
    blocks: int = BLOCKS,
    seed: int = 0,
) -> Reliance:
    """The reliance of every class on every word, over images at large; see the top of this file.

    A class whose logit does not vary relies on nothing. Raises ValueError for fewer than twice as many images as ``blocks``.
    """
    n = len(rates)
    if n < 2 * blocks:
        raise ValueError(f"{n} images came, wanted at least {2 * blocks}.")
    target = logits - logits.mean(1, keepdims=True)
    spread = target.std(0)
    target = np.divide(target, spread, out=np.zeros_like(target), where=spread > 1e-9 * np.abs(target).max())
    value = _ridge(rates, target, penalty)[0]
    block = np.random.default_rng(seed).permutation(n) % blocks
    left_out, missed = [], np.zeros(logits.shape[1])
    for number in range(blocks):
        fitted = block != number
        weight, at = _ridge(rates[fitted], target[fitted], penalty)
        left_out.append(weight)
        missed += ((target[~fitted] - at - rates[~fitted] @ weight) ** 2).sum(0)
    error = np.sqrt((blocks - 1) / blocks * ((np.array(left_out) - np.mean(left_out, 0)) ** 2).sum(0))
    total = ((target - target.mean(0)) ** 2).sum(0)
    explained = 1 - np.divide(missed, total, out=np.ones_like(total), where=total > 0)
    return Reliance(value.T, float(t.ppf(0.975, blocks - 1)) * error.T, explained)


def _ridge(rates: np.ndarray, target: np.ndarray, penalty: float) -> tuple[np.ndarray, np.ndarray]:
    """Coefficients (words, classes) and intercepts of the ridge regression."""
    mean = rates.mean(0)
    centred = rates - mean
    gram = centred.T @ centred + penalty * np.eye(rates.shape[1])
    weight = np.linalg.solve(gram, centred.T @ (target - target.mean(0)))
    return weight, target.mean(0) - mean @ weight
