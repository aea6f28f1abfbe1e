"""The plain sampler: no cache, no batch, one sorted distribution a token. The others are compared with it."""

import torch

from wordsight.language.cross_attention import CrossAttentionLM
from wordsight.language.model import LanguageModel
from wordsight.sentences.sampling import Sampling
from wordsight.tensors import Prefix


@torch.inference_mode()
def next_distribution(lm: LanguageModel, prefix: Prefix, tokens: list[int], sampling: Sampling) -> dict[int, float]:
    """Token id -> probability in the nucleus, after one image's prefix (1, prefix, hidden) and the tokens so far."""
    logits = _logits(lm, prefix.to(lm.dtype), tokens)[0, -1].float()
    p = torch.softmax(logits / sampling.temperature, dim=-1).tolist()
    chosen: dict[int, float] = {}
    for token in sorted(range(len(p)), key=lambda t: -p[t]):
        chosen[token] = p[token]
        if sum(chosen.values()) >= sampling.top_p:
            break
    total = sum(chosen.values())
    return {token: share / total for token, share in chosen.items()}


def _logits(lm: LanguageModel, prefix: Prefix, tokens: list[int]) -> torch.Tensor:
    """As transformers' own models compute them, from everything at once."""
    model = lm.model
    if not isinstance(lm, CrossAttentionLM):
        words = model.get_input_embeddings()(torch.tensor([tokens], dtype=torch.long))
        return model(inputs_embeds=torch.cat([prefix, words], dim=1)).logits
    inputs = torch.tensor([[*lm.begin, *tokens]])
    if model.config.is_encoder_decoder:
        return model(encoder_outputs=(prefix,), decoder_input_ids=inputs).logits
    return model(input_ids=inputs, encoder_hidden_states=prefix).logits


def sample_one(lm: LanguageModel, prefix: Prefix, sampling: Sampling, generator: torch.Generator) -> list[int]:
    """One sentence's token ids, without the end-of-text token."""
    tokens: list[int] = []
    while len(tokens) < sampling.max_tokens:
        distribution = next_distribution(lm, prefix, tokens, sampling)
        shares = torch.tensor(list(distribution.values()))
        token = list(distribution)[int(torch.multinomial(shares, 1, generator=generator))]
        if token == lm.end:
            break
        tokens.append(token)
    return tokens


def enumerate_sentences(lm: LanguageModel, prefix: Prefix, sampling: Sampling) -> dict[tuple[int, ...], float]:
    """Every sentence the sampler can produce, with its probability. For language models small enough."""
    ended: dict[tuple[int, ...], float] = {}
    open_: dict[tuple[int, ...], float] = {(): 1.0}
    for _ in range(sampling.max_tokens):
        longer: dict[tuple[int, ...], float] = {}
        for tokens, probability in open_.items():
            for token, share in next_distribution(lm, prefix, list(tokens), sampling).items():
                where, key = (ended, tokens) if token == lm.end else (longer, (*tokens, token))
                where[key] = where.get(key, 0.0) + probability * share
        open_ = longer
    return ended | open_
