"""Packing: the captions of one image share its prefix.

They stand behind it in one row; an attention mask keeps them from seeing each other, so that the prefix is computed once an
image. The language model's head runs on caption positions only.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from wordsight.language.model import LanguageModel
from wordsight.tensors import Prefix


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
    width = max(sum(len(c) - 1 for c in image) for image in captions)
    rows = len(captions)
    tokens = torch.zeros(rows, width, dtype=torch.long)
    owner = torch.full((rows, prefix + width), -1)
    owner[:, :prefix] = 0
    positions = torch.zeros(rows, prefix + width, dtype=torch.long)
    positions[:, :prefix] = torch.arange(prefix)
    row_of, position_of, target = [], [], []
    for row, image in enumerate(captions):
        start = 0
        for number, caption in enumerate(image, start=1):
            length = len(caption) - 1
            tokens[row, start : start + length] = torch.tensor(caption[:-1], dtype=torch.long)
            here = slice(prefix + start, prefix + start + length)
            owner[row, here] = number
            positions[row, here] = torch.arange(prefix, prefix + length)
            row_of += [row] * len(caption)
            position_of += [0, *range(start + 1, start + length + 1)]
            target += caption
            start += length
    same = owner[:, :, None] == owner[:, None, :]
    to_prefix = (owner == 0)[:, None, :]
    causal = torch.ones(prefix + width, prefix + width, dtype=torch.bool).tril()
    mask = causal & (same | to_prefix)  # padding sees the prefix, so that no row of the softmax is empty
    return Packed(tokens, mask[:, None], positions, *(torch.tensor(t) for t in (row_of, position_of, target)))


def caption_loss(lm: LanguageModel, prefix: Prefix, packed: Packed, *, backward_scale: float | None = None) -> float:
    """Summed -log p of every caption token (end included) given its image's prefix, in nats.

    With ``backward_scale`` the gradient of that many times the loss is added to whatever made ``prefix``. The head runs over
    a few hundred positions at a time and its gradient is taken at once: logits of a whole batch would take gigabytes.
    """
    device, length = lm.device, prefix.shape[1]
    inputs = torch.cat([prefix.to(lm.dtype), lm.model.get_input_embeddings()(packed.tokens.to(device))], dim=1)
    allowed = packed.mask.to(device)
    mask = torch.zeros(allowed.shape, dtype=lm.dtype, device=device).masked_fill_(~allowed, torch.finfo(lm.dtype).min)
    hidden = lm.hidden_states(inputs_embeds=inputs, attention_mask=mask, position_ids=packed.positions.to(device))
    picked = hidden[packed.target_row.to(device), packed.target_position.to(device) + length - 1]
    leaf = picked.detach().requires_grad_(backward_scale is not None)
    total = 0.0
    for rows, targets in zip(leaf.split(_HEAD_ROWS), packed.target.to(device).split(_HEAD_ROWS), strict=True):
        loss = torch.nn.functional.cross_entropy(lm.logits(rows).float(), targets, reduction="sum")
        total += loss.item()
        if backward_scale is not None:
            (loss * backward_scale).backward()
    if backward_scale is not None:
        picked.backward(leaf.grad)
    return total


_HEAD_ROWS = 256
