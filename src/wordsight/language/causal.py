"""Causal language models (Llama, GPT-2, Qwen, Gemma, OPT, ...): the prefix stands before the text, in the place of its first words."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from wordsight.language.model import LanguageModel, State
from wordsight.language.packing import pack
from wordsight.tensors import Prefix


@dataclass(frozen=True)
class CausalLM(LanguageModel):
    """A causal language model from transformers, which is imported when the model is loaded."""

    @property
    def hidden(self) -> int:
        return self.embeddings.shape[1]

    def embedded(self, text: str) -> Float[Tensor, "tokens hidden"]:
        tokens = torch.tensor(self.encode(text)[:-1], device=self.device)
        return self.model.get_input_embeddings()(tokens)

    def positions(self, prefix: int) -> int:
        return prefix

    def row_bytes(self, prefix: int, steps: int) -> int:
        from wordsight.language.cache import bytes_a_position

        return (prefix + steps) * bytes_a_position(self.model.config, self.dtype)

    def start(self, prefix: Prefix, *, capacity: int, room: int) -> tuple[State, Float[Tensor, "images hidden"]]:
        from wordsight.language.cache import KeysAndValues

        state = KeysAndValues.empty(self.model.config, rows=len(prefix), capacity=capacity, room=room)
        return state, self._advance(state, inputs_embeds=prefix.to(self.device, self.dtype))

    def step(self, state: Any, tokens: Int[Tensor, " rows"]) -> Float[Tensor, "rows hidden"]:
        return self._advance(state, input_ids=tokens[:, None].to(self.device))

    def _advance(self, state: Any, **inputs: Tensor) -> Tensor:
        return self.model.base_model(**inputs, past_key_values=state.cache, use_cache=True).last_hidden_state[:, -1]

    def logits(self, hidden: Tensor) -> Tensor:
        logits = self._head(hidden)
        config = self.model.config.get_text_config()
        # The few families whose heads do more than one matrix product (Gemma, Cohere, Granite).
        scale = getattr(config, "logit_scale", None) or 1 / (getattr(config, "logits_scaling", None) or 1)
        cap = getattr(config, "final_logit_softcapping", None)
        logits = logits * scale if scale != 1 else logits
        return torch.tanh(logits / cap) * cap if cap else logits

    def caption_states(
        self, prefix: Prefix, captions: Sequence[Sequence[Sequence[int]]]
    ) -> tuple[Float[Tensor, "tokens hidden"], Int[Tensor, " tokens"]]:
        device, length = self.device, prefix.shape[1]
        packed = pack(captions, prefix=length)
        inputs = torch.cat([prefix.to(device, self.dtype), self.model.get_input_embeddings()(packed.tokens.to(device))], dim=1)
        allowed = packed.mask.to(device)
        mask = torch.zeros(allowed.shape, dtype=self.dtype, device=device)
        mask.masked_fill_(~allowed, torch.finfo(self.dtype).min)
        hidden = self.model.base_model(
            inputs_embeds=inputs, attention_mask=mask, position_ids=packed.positions.to(device), use_cache=False
        ).last_hidden_state
        picked = hidden[packed.target_row.to(device), packed.target_position.to(device) + length - 1]
        return picked, packed.target.to(device)
