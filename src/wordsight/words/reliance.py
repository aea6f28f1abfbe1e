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
from scipy.special import stdtrit

#: Ridge penalty, in images, and blocks of the jackknife.
PENALTY, BLOCKS = 20.0, 10


@dataclass(frozen=True)
class Reliance:
    """Each class's reliance on each word, in standard deviations of the class's logit for a rate of 1 instead of 0.

    ``reach``: 95% half-widths (delete-a-block jackknife, Student's quantile). ``explained``: for each class, the share of its
    logit's variance that all words explain on images that were left out of the fit; below 0 if they predict worse than the mean.
    ``spread``: the standard deviation of each class's logit, so that ``value`` times ``spread`` is in the logits' units.
    """

    value: Float[np.ndarray, "classes words"]
    reach: Float[np.ndarray, "classes words"]
    explained: Float[np.ndarray, " classes"]
    spread: Float[np.ndarray, " classes"]


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
    return effects(rates, logits - logits.mean(1, keepdims=True), penalty=penalty, blocks=blocks, seed=seed)


def effects(
    rates: Float[np.ndarray, "images words"],
    target: Float[np.ndarray, "images classes"],
    *,
    penalty: float = PENALTY,
    blocks: int = BLOCKS,
    seed: int = 0,
) -> Reliance:
    """Like ``reliance``, of any numbers of each image, for instance the difference of two classes' logits."""
    n = len(rates)
    if n < 2 * blocks:
        raise ValueError(f"{n} images came, wanted at least {2 * blocks}.")
    spread = target.std(0)
    target = np.divide(target, spread, out=np.zeros_like(target), where=spread > 1e-9 * np.abs(target).max())
    value = _ridge(rates, target, penalty)[0]
    block = np.random.default_rng(seed).permutation(n) % blocks
    left_out, missed = [], np.zeros(target.shape[1])
    for number in range(blocks):
        fitted = block != number
        weight, at = _ridge(rates[fitted], target[fitted], penalty)
        left_out.append(weight)
        missed += ((target[~fitted] - at - rates[~fitted] @ weight) ** 2).sum(0)
    error = np.sqrt((blocks - 1) / blocks * ((np.array(left_out) - np.mean(left_out, 0)) ** 2).sum(0))
    total = ((target - target.mean(0)) ** 2).sum(0)
    explained = 1 - np.divide(missed, total, out=np.ones_like(total), where=total > 0)
    return Reliance(value.T, float(stdtrit(blocks - 1, 0.975)) * error.T, explained, spread)


def random_heads(
    rates: Float[np.ndarray, "images words"], z: Float[np.ndarray, "images features"], *, penalty: float = PENALTY
) -> Float[np.ndarray, " words"]:
    """The standard deviation of each word's reliance over random heads of the features' covariance S, h normal with S^-1.

    Their logits are spread evenly over everything that is linear in the features, so any linear change of the features' units
    leaves this alone. The mean is 0. Where images are no more than features, this is the deviation for logits that are noise.
    """
    centred = rates - rates.mean(0)
    hat = np.linalg.solve(centred.T @ centred + penalty * np.eye(rates.shape[1]), centred.T)
    x, wide = z - z.mean(0), z.shape[0] <= z.shape[1]
    squares, basis = np.linalg.eigh(x @ x.T if wide else x.T @ x)  # of the smaller side: a few seconds at most
    real = squares > 1e-9 * max(squares[-1], 1e-12)
    basis = basis[:, real] if wide else x @ (basis[:, real] / np.sqrt(squares[real]))
    return np.sqrt(len(rates) / max(1, basis.shape[1])) * np.linalg.norm(hat @ basis, axis=1)


def _ridge(rates: np.ndarray, target: np.ndarray, penalty: float) -> tuple[np.ndarray, np.ndarray]:
    """Coefficients (words, classes) and intercepts of the ridge regression."""
    mean = rates.mean(0)
    centred = rates - mean
    gram = centred.T @ centred + penalty * np.eye(rates.shape[1])
    weight = np.linalg.solve(gram, centred.T @ (target - target.mean(0)))
    return weight, target.mean(0) - mean @ weight
