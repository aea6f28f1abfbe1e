"""The possible next tokens: the nucleus of a next-token distribution (Holtzman et al. 2020)."""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from wordsight.errors import TranslatorError
from wordsight.sentences.sampling import Sampling


@dataclass(frozen=True)
class Nucleus:
    """Next tokens of some beginnings, most probable first; probabilities sum to 1 and are 0 outside of the nucleus."""

    rows: Int[Tensor, " rows"]
    ids: Int[Tensor, "rows width"]
    share: Float[Tensor, "rows width"]


def find_nuclei(logits: Float[Tensor, "rows vocabulary"], sampling: Sampling) -> Iterator[Nucleus]:
    """The nucleus of each row, on the CPU, in groups of rows that need the same width.

    The most probable tokens are found without sorting the vocabulary. Rows whose nucleus reaches beyond the first look are
    done again with a wider one, at last with the whole vocabulary.
    """
    scaled = logits.float()
    scaled = scaled / sampling.temperature if sampling.temperature != 1 else scaled
    weight = (scaled - scaled.amax(-1, keepdim=True)).exp_()
    total = weight.sum(-1, keepdim=True)
    if not bool(total.isfinite().all()):
        raise TranslatorError(
            "The language model gave next-token probabilities that are not numbers, so the translator's prefix is out of its "
            "range. Was the training's loss finite? Train the translator again, with a lower --learning-rate."
        )
    rows = torch.arange(len(logits))
    vocabulary = weight.shape[-1]
    for width in (*(w for w in _WIDTHS if w < vocabulary), vocabulary):
        best, ids = most_probable(weight, width)
        # What is small goes on at home: each look at what a GPU found waits for it, and some have no float64.
        share, ids = (best / total).cpu(), ids.cpu()
        whole = share.sum(-1) >= sampling.top_p if width < vocabulary else torch.ones_like(rows, dtype=torch.bool)
        if whole.any():
            kept = nucleus(share[whole], sampling.top_p)
            needed = int((kept > 0).sum(-1).max())  # padding costs as much as tokens do
            kept = kept[:, :needed]
            yield Nucleus(rows[whole], ids[whole, :needed], kept / kept.sum(-1, keepdim=True))
        if whole.all():
            break
        left = (~whole).to(weight.device)
        rows, weight, total = rows[~whole], weight[left], total[left]


_WIDTHS = (64, 512, 4096)
_GROUP = 32


def most_probable(values: Float[Tensor, "rows tokens"], width: int) -> tuple[Tensor, Tensor]:
    """The ``width`` largest values of each row, largest first, and their indices; like ``topk``, but faster on long rows.

    The k largest of a row lie in the k groups of neighbours whose maxima are largest, so only those groups are searched.
    """
    rows, tokens = values.shape
    groups = tokens // _GROUP
    if width * 3 > groups:
        return values.topk(min(width, tokens), dim=-1)
    inside = values[:, : groups * _GROUP].unflatten(-1, (groups, _GROUP))
    chosen = inside.amax(-1).topk(width, dim=-1).indices
    ids = (chosen[..., None] * _GROUP + torch.arange(_GROUP, device=values.device)).flatten(1)
    rest = torch.arange(groups * _GROUP, tokens, device=values.device).expand(rows, -1)
    ids = torch.cat([ids, rest], dim=1)
    best, index = values.gather(1, ids).topk(width, dim=-1)
    return best, ids.gather(1, index)


def nucleus(share: Float[Tensor, "rows tokens"], top_p: float) -> Float[Tensor, "rows tokens"]:
    """Probabilities, most probable first, with zero for the tokens outside of the nucleus; not renormalised.

    The nucleus is the smallest set of tokens whose probabilities sum to at least ``top_p``.
    """
    before = share.double().cumsum(-1) - share
    return torch.where(before < top_p, share, 0.0)


def draw(found: Nucleus, row: Int[Tensor, " draws"], uniform: Float[Tensor, " draws"]) -> Int[Tensor, " draws"]:
    """Tokens from rows of ``found`` (given by their index in it), inverting the cumulative distribution at ``uniform``."""
    last = (found.share > 0).sum(-1) - 1  # rounding must not step past the nucleus
    drawn = [row[:0]]
    some_draws = max(1, _NUMBERS // found.share.shape[1])
    for rows, numbers in zip(row.split(some_draws), uniform.split(some_draws), strict=True):
        steps = found.share[rows].double().cumsum(-1)
        index = torch.searchsorted(steps, (numbers.double() * steps[:, -1])[:, None], right=True).squeeze(-1)
        drawn.append(found.ids[rows, index.minimum(last[rows])])
    return torch.cat(drawn)


#: Numbers that may be copied at once.
_NUMBERS = 1 << 22
