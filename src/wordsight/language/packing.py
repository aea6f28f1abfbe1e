"""Packing: the captions of one image share its prefix.

They stand behind it in one row; an attention mask keeps them from seeing each other, so that the prefix is computed once an
image. The language model's head runs on caption positions only.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Packed:
    """A batch of rows ``prefix, caption 1, caption 2, ...``; predicted tokens are named by row and position."""

    tokens: Tensor  # (rows, width) caption inputs, without the prefix
    mask: Tensor  # (rows, 1, prefix + width, prefix + width), True where attention is allowed
    positions: Tensor  # (rows, prefix + width)
    target_row: Tensor  # (targets,)
    target_position: Tensor  # (targets,) counted from the last prefix position
    target: Tensor  # (targets,)


def pack(captions: Sequence[Sequence[Sequence[int]]], *, prefix: int) -> Packed:
    """Pack the captions of each image into one row behind its prefix. Captions end with the end-of-text token."""
    owners = torch.tensor([row for row, image in enumerate(captions) for _ in image])
    lengths = torch.tensor([len(c) for image in captions for c in image])
    counts = torch.tensor([len(image) for image in captions])
    inputs = lengths - 1  # the last token is only predicted
    before = inputs.cumsum(0) - inputs  # inputs of the captions before it
    first = counts.cumsum(0) - counts  # each row's first caption
    start = before - before[first][owners]
    rows, width = len(captions), int(torch.zeros(len(captions), dtype=torch.long).index_add_(0, owners, inputs).max())
    target = torch.tensor([token for image in captions for c in image for token in c])
    step = _counting(lengths)
    caption = torch.arange(len(lengths)).repeat_interleave(lengths)
    read = step < inputs[caption]
    at, column = owners[caption[read]], (start[caption] + step)[read]
    tokens = torch.zeros(rows, width, dtype=torch.long)
    tokens[at, column] = target[read]
    owner = torch.full((rows, prefix + width), -1)
    owner[:, :prefix] = 0
    owner[at, prefix + column] = (caption - first[owners[caption]])[read] + 1
    positions = torch.zeros(rows, prefix + width, dtype=torch.long)
    positions[:, :prefix] = torch.arange(prefix)
    positions[at, prefix + column] = prefix + step[read]
    # The first token of a caption is predicted at the last position of the prefix.
    position = torch.where(step == 0, 0, start[caption] + step)
    same = owner[:, :, None] == owner[:, None, :]
    to_prefix = (owner == 0)[:, None, :]
    causal = torch.ones(prefix + width, prefix + width, dtype=torch.bool).tril()
    mask = causal & (same | to_prefix)  # padding sees the prefix, so that no row of the softmax is empty
    return Packed(tokens, mask[:, None], positions, owners[caption], position, target)


def _counting(lengths: Tensor) -> Tensor:
    """0, 1, ..., length - 1 for each of the lengths, one after the other."""
    ends = lengths.cumsum(0)
    return torch.arange(int(ends[-1])) - (ends - lengths).repeat_interleave(lengths)
