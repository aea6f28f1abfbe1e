"""Decoders with cross-attention (T5, BART, BERT as a decoder): the prefix stands in the place of what their encoder would say."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from wordsight.language.cache import KeysAndValues, bytes_a_position
from wordsight.language.model import LanguageModel
from wordsight.tensors import Prefix


@dataclass(frozen=True)
class CrossAttentionLM(LanguageModel):
    """An encoder-decoder from transformers, or a decoder that attends to an encoder's output."""

    @property
    def hidden(self) -> int:
        return self.model.config.hidden_size

    @property
    def _decoder(self) -> Any:
        return self.model.get_decoder() if self.model.config.is_encoder_decoder else self.model.base_model

    @cached_property
    def begin(self) -> list[int]:
        """What the decoder is given before the first token of a text."""
        settings = [self.model.generation_config, self.model.config]
        first = [getattr(found, "decoder_start_token_id", None) for found in settings]
        first += [self.tokenizer.bos_token_id, getattr(self.tokenizer, "cls_token_id", None), self.end]
        forced = [getattr(found, "forced_bos_token_id", None) for found in settings]
        begin = [next(token for token in first if token is not None)]
        return begin + [token for token in forced if token is not None][:1]

    def embedded(self, text: str) -> Float[Tensor, "tokens hidden"]:
        tokens = torch.tensor([self.encode(text)], device=self.device)
        if not self.model.config.is_encoder_decoder:
            return self.model.get_input_embeddings()(tokens[0, :-1])
        with torch.no_grad():
            return self.model.get_encoder()(input_ids=tokens).last_hidden_state[0, :-1]

    def positions(self, prefix: int) -> int:
        return len(self.begin)

    def row_bytes(self, prefix: int, steps: int) -> int:
        return (prefix + len(self.begin) + steps) * bytes_a_position(self._decoder.config, self.dtype)

    def start(self, prefix: Prefix, *, capacity: int, room: int) -> tuple[KeysAndValues, Float[Tensor, "images hidden"]]:
        state = KeysAndValues.empty(self._decoder.config, rows=len(prefix), capacity=capacity, room=room, cross=True)
        begin = torch.tensor([self.begin], device=self.device).expand(len(prefix), -1)
        return state, self._advance(state, begin, prefix.to(self.device, self.dtype))

    def step(self, state: KeysAndValues, tokens: Int[Tensor, " rows"]) -> Float[Tensor, "rows hidden"]:
        # The prefix's own keys and values are in the state; of what is attended to only the shape is looked at.
        attended = torch.zeros(1, 1, 1, dtype=self.dtype, device=self.device)
        return self._advance(state, tokens[:, None].to(self.device), attended.expand(len(tokens), state.attended, self.hidden))

    def _advance(self, state: KeysAndValues, tokens: Tensor, attended: Tensor) -> Tensor:
        return self._decoder(
            input_ids=tokens, encoder_hidden_states=attended, past_key_values=state.cache, use_cache=True
        ).last_hidden_state[:, -1]

    def logits(self, hidden: Tensor) -> Tensor:
        if getattr(self.model.config, "scale_decoder_outputs", False):  # T5 whose head is the embeddings
            hidden = hidden * self.model.config.d_model**-0.5
        bias = getattr(self.model, "final_logits_bias", None)  # BART's
        return self._head(hidden) if bias is None else self._head(hidden) + bias[0]

    def caption_states(
        self, prefix: Prefix, captions: Sequence[Sequence[Sequence[int]]]
    ) -> tuple[Float[Tensor, "tokens hidden"], Int[Tensor, " tokens"]]:
        """A row for each caption: the prefix is short, so that little is computed twice."""
        owner = torch.tensor([row for row, image in enumerate(captions) for _ in image], device=self.device)
        targets = [torch.tensor(caption) for image in captions for caption in image]
        begin = torch.tensor(self.begin)
        inputs = torch.nn.utils.rnn.pad_sequence(
            [torch.cat([begin, target[:-1]]) for target in targets], batch_first=True, padding_value=self.end
        )
        lengths = torch.tensor([len(target) for target in targets])
        place = torch.arange(inputs.shape[1])
        hidden = self._decoder(
            input_ids=inputs.to(self.device),
            attention_mask=(place < len(begin) + lengths[:, None] - 1).long().to(self.device),
            encoder_hidden_states=prefix.to(self.device, self.dtype)[owner],
            use_cache=False,
        ).last_hidden_state
        first = len(begin) - 1
        predicts = (place >= first) & (place < first + lengths[:, None])
        return hidden[predicts.to(self.device)], torch.cat(targets).to(self.device)
