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
from scipy.linalg import cho_factor, cho_solve
from scipy.sparse import csc_array, csr_array
from scipy.special import stdtrit

Rates = Float[np.ndarray, "images words"] | csc_array
"""Word rates (images x words) in [0, 1], dense or sparse."""

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
    rates: Rates,
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
    rates: Rates,
    target: Float[np.ndarray, "images classes"],
    *,
    penalty: float = PENALTY,
    blocks: int = BLOCKS,
    seed: int = 0,
) -> Reliance:
    """Like ``reliance``, of any numbers of each image, for instance the difference of two classes' logits."""
    n = len(target)
    if n < 2 * blocks:
        raise ValueError(f"{n} images came, wanted at least {2 * blocks}.")
    spread = target.std(0)
    target = np.divide(target, spread, out=np.zeros_like(target), where=spread > 1e-9 * np.abs(target).max())
    x = csr_array(rates, dtype=np.float64)
    whole = _Sums.of(x, target)
    value = whole.ridge(penalty)[0]
    block = np.random.default_rng(seed).permutation(n) % blocks
    left_out, missed = [], np.zeros(target.shape[1])
    for number in range(blocks):
        out = block == number
        weight, at = whole.less(_Sums.of(x[out], target[out])).ridge(penalty)
        left_out.append(weight)
        missed += ((target[out] - at - x[out] @ weight) ** 2).sum(0)
    error = np.sqrt((blocks - 1) / blocks * ((np.array(left_out) - np.mean(left_out, 0)) ** 2).sum(0))
    total = ((target - target.mean(0)) ** 2).sum(0)
    explained = 1 - np.divide(missed, total, out=np.ones_like(total), where=total > 0)
    return Reliance(value.T, float(stdtrit(blocks - 1, 0.975)) * error.T, explained, spread)


def random_heads(
    rates: Rates, z: Float[np.ndarray, "images features"], *, penalty: float = PENALTY
) -> Float[np.ndarray, " words"]:
    """The standard deviation of each word's reliance over random heads of the features' covariance S, h normal with S^-1.

    Their logits are spread evenly over everything that is linear in the features, so any linear change of the features' units
    leaves this alone. The mean is 0. Where images are no more than features, this is the deviation for logits that are noise.
    """
    x, wide, mean = csr_array(rates, dtype=np.float64), z.shape[0] <= z.shape[1], z.mean(0, dtype=np.float64)
    if wide:
        centred = z - mean
        basis, _ = _real_directions(centred @ centred.T)
        along = x.T @ basis
    else:
        squares, products = np.zeros((z.shape[1], z.shape[1])), 0.0
        for start in range(0, len(z), _ROWS):
            part = z[start : start + _ROWS] - mean
            squares += part.T @ part
            products = products + x[start : start + _ROWS].T @ part
        basis, length = _real_directions(squares)
        along = products @ (basis / length)
    # The directions are of mean 0, so the rates need not be centred here.
    weight = _Sums.of(x, np.zeros((len(z), 0))).solved(along, penalty)
    return np.sqrt(len(z) / max(1, along.shape[1])) * np.linalg.norm(weight, axis=1)


def _real_directions(squares: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The eigenvectors in which there is any variance, and the roots of their eigenvalues."""
    found, basis = np.linalg.eigh(squares)
    real = found > 1e-9 * max(found[-1], 1e-12)
    return basis[:, real], np.sqrt(found[real])


#: Images that are dense at a time.
_ROWS = 8192
#: How many times as long an operation takes on sparse matrices as on dense ones.
_SPARSE_COST = 100


@dataclass
class _Sums:
    """What ridge regressions on word rates need of some images: sums of products, which those of other images are taken from."""

    images: int
    squares: Float[np.ndarray, "words words"]
    rates: Float[np.ndarray, " words"]
    products: Float[np.ndarray, "words classes"]
    target: Float[np.ndarray, " classes"]

    @classmethod
    def of(cls, x: csr_array, target: Float[np.ndarray, "images classes"]) -> "_Sums":
        return cls(len(target), _squares(x), np.ones(len(target)) @ x, x.T @ target, target.sum(0))

    def less(self, part: "_Sums") -> "_Sums":
        """Those of the other images. What ``part`` held is overwritten: of 10,000 words it takes 800 MB."""
        squares = np.subtract(self.squares, part.squares, out=part.squares)
        rates, products = self.rates - part.rates, self.products - part.products
        return _Sums(self.images - part.images, squares, rates, products, self.target - part.target)

    def ridge(self, penalty: float) -> tuple[np.ndarray, np.ndarray]:
        """Coefficients (words, classes) and intercepts of the ridge regression."""
        mean, mean_target = self.rates / self.images, self.target / self.images
        weight = self.solved(self.products - self.rates[:, None] * mean_target, penalty)
        return weight, mean_target - mean @ weight

    def solved(self, right: np.ndarray, penalty: float) -> np.ndarray:
        """The centred squares, with the penalty on their diagonal, divided into ``right`` (words, any)."""
        centred = self.squares - np.outer(self.rates / self.images, self.rates)
        centred[np.diag_indices_from(centred)] += penalty
        return cho_solve(cho_factor(centred.T, lower=True, overwrite_a=True, check_finite=False), right, check_finite=False)


def _squares(x: csr_array) -> np.ndarray:
    """``x.T @ x``, dense."""
    images, words = x.shape  # pyright: ignore[reportGeneralTypeIssues] (SciPy's types say None)
    held = np.diff(x.indptr).astype(np.float64)
    if _SPARSE_COST * (held @ held) < float(images) * words * words:
        return (x.T @ x).toarray()
    squares = np.zeros((words, words))
    for start in range(0, images, _ROWS):
        part = x[start : start + _ROWS].toarray()
        squares += part.T @ part
    return squares
