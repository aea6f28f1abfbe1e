"""Sentences as Hugging Face's ``generate`` samples them: what our sampler is timed against."""

import torch

from wordsight.language.model import LanguageModel
from wordsight.sentences.sampling import Sampling

EXACT = Sampling(mode="exact")


def generate(lm: LanguageModel, prefix: torch.Tensor, sentences: int) -> torch.Tensor:
    """One batch; the sentences are shared evenly by the images. ``prefix``: (images, prefix, hidden)."""
    rows = prefix[:, None].expand(-1, sentences // len(prefix), -1, -1).flatten(0, 1)
    return lm.model.generate(
        inputs_embeds=rows.to(lm.dtype),
        attention_mask=torch.ones(rows.shape[:2], dtype=torch.long, device=rows.device),
        do_sample=True,
        top_p=EXACT.top_p,
        top_k=0,
        temperature=EXACT.temperature,
        max_new_tokens=EXACT.max_tokens,
        eos_token_id=lm.end,
        pad_token_id=lm.end,
    )
