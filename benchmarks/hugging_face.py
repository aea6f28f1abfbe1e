"""Sentences as Hugging Face's ``generate`` samples them: what our sampler is timed against."""

import torch

from wordsight.language.model import LanguageModel
from wordsight.sentences.sampling import Sampling

EXACT = Sampling(mode="exact")


def generate(lm: LanguageModel, prefix: torch.Tensor, sentences: int) -> torch.Tensor:
    """One batch; the sentences are shared evenly by the images. ``prefix``: (images, prefix, hidden)."""
    rows = prefix[:, None].expand(-1, sentences // len(prefix), -1, -1).flatten(0, 1)
    # As it is, the head gets a slice of the prefix's states, and in bfloat16 on a CPU PyTorch then copies the head's weights for
    # each row: 64 sentences take 4 seconds and 3.5 GiB more. Not so here, so that generate is timed at its best.
    at_best = lm.model.get_output_embeddings().register_forward_pre_hook(lambda _, states: (states[0].contiguous(),))
    try:
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
    finally:
        at_best.remove()
