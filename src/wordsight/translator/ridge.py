"""Ridge regression from one classifier's features to another's, and a translator composed with it."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from wordsight.errors import FeatureError
from wordsight.translator.mlp import Translator
from wordsight.translator.word_head import WordHead

#: Penalties tried, as multiples of the number of images.
PENALTIES = tuple(10.0 ** (k / 2) for k in range(-10, 5))


@dataclass(frozen=True)
class RidgeMap:
    """``target ~ source @ weight + bias``.

    ``r2``: share of the targets' variance that it explains on held-out images, over all target features. At most 1; 0 is what
    the mean would do. ``penalty``: the multiple of the number of images that did best on those images, so that ``r2`` is
    slightly optimistic. The weights are then fitted on all images. ``held``: the held-out images; ``predicted``: their targets as
    the others predict them.
    """

    weight: Float[Tensor, "source target"]
    bias: Float[Tensor, " target"]
    penalty: float
    r2: float
    held: Int[Tensor, " held"]
    predicted: Float[Tensor, "held target"]


def fit_ridge(
    source: Float[Tensor, "images source"],
    target: Float[Tensor, "others target"],
    *,
    held_out: float = 0.15,
    penalties: Sequence[float] = PENALTIES,
    seed: int = 0,
) -> RidgeMap:
    """Fit a ridge regression between standardised features of the same images; the penalty is chosen on held-out ones.

    Raises FeatureError for fewer than ten images or unequal numbers.
    """
    if len(source) != len(target) or len(source) < 10:
        raise FeatureError(
            f"{len(source)} images on one side and {len(target)} on the other, wanted the same images on both, at least 10."
        )
    order = torch.randperm(len(source), generator=torch.Generator().manual_seed(seed))
    held, fitted = order.tensor_split([max(1, round(held_out * len(source)))])
    x, y = source.double(), target.double()
    without = _Solver(x[fitted], y[fitted])
    r2, penalty = max(without.scores(penalties, x[held], y[held]))
    weight, bias = without.solve(penalty)
    predicted = x[held] @ weight + bias
    weight, bias = _Solver(x, y).solve(penalty)
    return RidgeMap(weight.float(), bias.float(), penalty, r2, held, predicted.float())


class _Solver:
    """One eigendecomposition for all penalties."""

    def __init__(self, x: Tensor, y: Tensor) -> None:
        self.mean_x, self.mean_y = x.mean(0), y.mean(0)
        centred = x - self.mean_x
        values, self.vectors = torch.linalg.eigh(centred.T @ centred / len(x))
        self.values = values.clamp(min=0)
        self.projected = self.vectors.T @ (centred.T @ (y - self.mean_y) / len(x))

    def solve(self, penalty: float) -> tuple[Tensor, Tensor]:
        weight = self.vectors @ (self.projected / (self.values + penalty)[:, None])
        return weight, self.mean_y - self.mean_x @ weight

    def scores(self, penalties: Sequence[float], x: Tensor, y: Tensor) -> list[tuple[float, float]]:
        """R2 on other images, with its penalty."""
        total = float((y - self.mean_y).square().sum().clamp(min=1e-12))
        found = []
        for penalty in penalties:
            weight, bias = self.solve(penalty)
            found.append((1 - float((x @ weight + bias - y).square().sum()) / total, penalty))
        return found


@torch.no_grad()
def transferred(
    translator: Translator,
    source: Float[Tensor, "images source"],
    target: Float[Tensor, "images target"],
    *,
    seed: int = 0,
) -> tuple[Translator, RidgeMap]:
    """A translator for the classifier of ``source``, from one for the classifier of ``target`` and the same images' features.

    The regression is folded into the translator's first layer, so that the result is an ordinary translator. All are on the CPU.
    """
    composed = Translator(
        source.shape[1],
        translator.to_prefix.out_features // translator.prefix_tokens,
        hidden=translator.to_prefix.in_features,
        prefix_tokens=translator.prefix_tokens,
    )
    composed.learn_scale(source[:, None])
    found = fit_ridge(composed.standardise(source), translator.standardise(target), seed=seed)
    weights = {k: v.clone() for k, v in translator.state_dict().items()}
    old, new = translator.trunk[1], composed.trunk[1]
    assert isinstance(old, nn.Linear)
    assert isinstance(new, nn.Linear)
    weights |= {"mean": composed.mean, "spread": composed.spread}
    weights |= {"trunk.1.weight": old.weight @ found.weight.T, "trunk.1.bias": old.bias + old.weight @ found.bias}
    if translator.words is not None:
        head = translator.words
        composed.words = WordHead(source.shape[1], **head.shape())
        for number in range(len(head.members)):
            first = f"words.members.{number}.1."
            weights[first + "bias"] = weights[first + "bias"] + weights[first + "weight"] @ found.bias
            weights[first + "weight"] = weights[first + "weight"] @ found.weight.T
    composed.load_state_dict(weights)
    return composed.eval(), found


def words_explained(head: WordHead, target: Float[Tensor, "images target"], found: RidgeMap) -> dict[str, float]:
    """For each word the share of its rate's variance, over the held-out images, that the source features explain.

    ``head`` and ``target``: the word head and its standardised features. At most 1; 0 or less is a word that the source features
    do not hold, at least not linearly. Words whose rate is the same for all images are left out.
    """
    known, said = head.rates(target[found.held]).rates, head.rates(found.predicted).rates
    spread = (known - known.mean(0)).square().sum(0)
    share = 1 - (said - known).square().sum(0) / spread.clamp(min=1e-12)
    varies = (spread > 1e-9 * len(known)).tolist()
    return {word: r for word, r, v in zip(head.vocabulary, share.tolist(), varies, strict=True) if v}
