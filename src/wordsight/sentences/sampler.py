"""Nucleus sampling of sentences from prefixes (Holtzman et al. 2020), as method.md of the project defines it.

At each step: keep the smallest set of tokens whose probabilities sum to at least ``top_p``, renormalise, draw. One prefill a
prefix; its rows share the cache from there; finished rows leave the batch.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from wordsight.machine import keep_freed_memory
from wordsight.tensors import Prefix
from wordsight.translator.language_model import LanguageModel


@dataclass(frozen=True)
class Sampling:
    """How to sample. ``temperature`` divides the logits; ``max_tokens`` counts the end-of-text token."""

    top_p: float = 0.9
    temperature: float = 1.0
    max_tokens: int = 24

    def __post_init__(self) -> None:
        if not 0 < self.top_p <= 1:
            raise ValueError(f"top_p is {self.top_p}, wanted a number above 0 and at most 1 (0.9 is usual).")
        if not self.temperature > 0:
            raise ValueError(f"temperature is {self.temperature}, wanted a number above 0 (1.0 samples the model as it is).")
        if self.max_tokens < 1:
            raise ValueError(f"max_tokens is {self.max_tokens}, wanted at least 1.")


def sample(
    lm: LanguageModel,
    prefix: Prefix,
    *,
    sentences: int,
    sampling: Sampling = Sampling(),
    seeds: Sequence[int],
    batch: int = 512,
    on_sentences: Callable[[int, int], None] = lambda done, total: None,
) -> list[list[str]]:
    """``sentences`` sentences for each image's prefix, in the order drawn.

    ``seeds`` has one seed an image: an image's draws depend on its own seed alone, not on its neighbours in the batch.
    ``batch`` is the number of rows in flight, over all images.
    """
    if sentences < 1:
        raise ValueError(f"sentences is {sentences}, wanted at least 1.")
    keep_freed_memory()
    draws = [
        torch.rand(sentences, sampling.max_tokens, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
        for seed in seeds
    ]
    jobs = [(image, row) for image in range(len(prefix)) for row in range(sentences)]
    result: list[list[str]] = [[] for _ in range(len(prefix))]
    for start in range(0, len(jobs), batch):
        chunk = jobs[start : start + batch]
        images = torch.tensor([image for image, _ in chunk])
        uniform = torch.stack([draws[image][row] for image, row in chunk])
        tokens = sample_tokens(lm, prefix, images, uniform, sampling)
        for image, text in zip(images.tolist(), lm.decode(cut_at_end(tokens, lm.end)), strict=True):
            result[image].append(text)
        on_sentences(start + len(chunk), len(jobs))
    return result


@torch.inference_mode()
def sample_tokens(
    lm: LanguageModel,
    prefix: Prefix,
    images: Int[Tensor, " rows"],
    uniform: Float[Tensor, "rows tokens"],
    sampling: Sampling,
) -> Int[Tensor, "rows tokens"]:
    """Token ids drawn for each row's image, driven by the row's uniform numbers; ``lm.end`` from a sentence's end on."""
    from transformers import DynamicCache

    used, row_of = images.unique(return_inverse=True)
    cache = DynamicCache(config=lm.model.config)
    start = prefix[used].to(lm.device, lm.dtype)
    out = lm.model.base_model(inputs_embeds=start, past_key_values=cache, use_cache=True)
    logits = lm.logits(out.last_hidden_state[:, -1]).float()[row_of.to(lm.device)]
    cache.batch_select_indices(row_of.to(lm.device))
    rows, steps = uniform.shape
    tokens = torch.full((rows, steps), lm.end)
    active = torch.arange(rows)
    ended = torch.zeros(rows, dtype=torch.bool)
    for step in range(steps):
        drawn = draw_nucleus(logits, uniform[active, step].to(lm.device), sampling)
        drawn = drawn.masked_fill(ended[active].to(lm.device), lm.end)
        tokens[active, step] = drawn.cpu()
        ended[active] = tokens[active, step] == lm.end
        going = ~ended[active]
        if step + 1 == steps or not bool(going.any()):
            break
        # Dropping rows copies the cache: worth it only when many are done; the others run along unheard.
        if float(going.float().mean()) < 0.9:
            keep = going.nonzero().flatten()
            cache.batch_select_indices(keep.to(lm.device))
            drawn, active = drawn[keep.to(lm.device)], active[keep]
        inputs = {"input_ids": drawn[:, None], "past_key_values": cache, "use_cache": True}
        logits = lm.logits(lm.model.base_model(**inputs).last_hidden_state[:, -1]).float()
    return tokens


def cut_at_end(tokens: Int[Tensor, "rows tokens"], end: int) -> list[list[int]]:
    """Each row up to its first end-of-text token."""
    return [row[: row.index(end)] if end in row else row for row in tokens.tolist()]


def draw_nucleus(
    logits: Float[Tensor, "rows vocabulary"], uniform: Float[Tensor, " rows"], sampling: Sampling
) -> Int[Tensor, " rows"]:
    """One token a row from its nucleus, by inverting the cumulative distribution at ``uniform`` in [0, 1).

    The most probable tokens are found without sorting the vocabulary; only the rows whose nucleus reaches beyond them are
    done again with more.
    """
    scaled = logits / sampling.temperature if sampling.temperature != 1 else logits
    total = scaled.logsumexp(-1, keepdim=True)
    drawn = torch.zeros(len(logits), dtype=torch.long, device=logits.device)
    rows = torch.arange(len(logits), device=logits.device)
    vocabulary = scaled.shape[-1]
    for width in (256, 4096, vocabulary):
        best, ids = scaled[rows].topk(min(width, vocabulary), dim=-1)
        share = (best - total[rows]).exp()
        whole = share.sum(-1) >= sampling.top_p if width < vocabulary else torch.ones_like(rows, dtype=torch.bool)
        kept = nucleus(share[whole], sampling.top_p)
        cumulative = kept.double().cumsum(-1)
        place = torch.searchsorted(cumulative, (uniform[rows[whole]] * cumulative[:, -1])[:, None], right=True)
        last = (kept > 0).sum(-1, keepdim=True) - 1  # rounding must not step past the nucleus
        drawn[rows[whole]] = ids[whole].gather(-1, place.minimum(last)).squeeze(-1)
        rows = rows[~whole]
        if len(rows) == 0:
            break
    return drawn


def nucleus(share: Float[Tensor, "rows tokens"], top_p: float) -> Float[Tensor, "rows tokens"]:
    """Probabilities, most probable first, with zero for the tokens outside of the nucleus; not renormalised.

    The nucleus is the smallest set of tokens whose probabilities sum to at least ``top_p``.
    """
    before = share.double().cumsum(-1) - share
    return torch.where(before < top_p, share, 0.0)
