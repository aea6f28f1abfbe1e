"""The frozen language model."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import torch
from safetensors import SafetensorError
from torch import Tensor

from wordsight.errors import ModelError
from wordsight.language.gguf import read_gguf
from wordsight.runtime import OnProgress, declare_torchvision_operators, no_progress
from wordsight.tensors import weights_fingerprint


@dataclass(frozen=True)
class LanguageModel:
    """A frozen causal language model from transformers, with its tokenizer.

    ``fingerprint`` identifies the weights, whatever precision they are loaded in.
    """

    name: str
    model: Any  # transformers' PreTrainedModel and tokenizer; imported only when one is loaded
    tokenizer: Any
    fingerprint: str

    @property
    def hidden(self) -> int:
        """Width of the model's input embeddings."""
        return self.embeddings.shape[1]

    @property
    def embeddings(self) -> Tensor:
        """Input embeddings (vocabulary, hidden)."""
        return self.model.get_input_embeddings().weight

    @property
    def end(self) -> int:
        """Id of the end-of-text token."""
        return self.tokenizer.eos_token_id

    @property
    def device(self) -> torch.device:
        return self.embeddings.device

    @property
    def dtype(self) -> torch.dtype:
        return self.embeddings.dtype

    def encode(self, sentence: str) -> list[int]:
        """Token ids of a sentence, with the end-of-text token."""
        return [*self.tokenizer(sentence, add_special_tokens=False)["input_ids"], self.end]

    def decode(self, tokens: Sequence[Sequence[int]]) -> list[str]:
        """Sentences of rows of token ids, without special tokens."""
        texts = self.tokenizer.batch_decode(tokens, skip_special_tokens=True)
        return [text.strip() for text in texts]

    def hidden_states(self, **inputs: Tensor) -> Tensor:
        """Last hidden states (rows, tokens, hidden), before the head."""
        return self.model.base_model(**inputs, use_cache=False).last_hidden_state

    def logits(self, hidden: Tensor) -> Tensor:
        """Next-token logits (..., vocabulary) of last hidden states, as the model itself computes them."""
        logits = self.model.get_output_embeddings()(hidden)
        config = self.model.config.get_text_config()
        # The few families whose heads do more than one matrix product (Gemma, Cohere, Granite).
        scale = getattr(config, "logit_scale", None) or 1 / (getattr(config, "logits_scaling", None) or 1)
        cap = getattr(config, "final_logit_softcapping", None)
        logits = logits * scale if scale != 1 else logits
        return torch.tanh(logits / cap) * cap if cap else logits

    def to(self, *, dtype: torch.dtype | None = None, device: torch.device | str | None = None) -> "LanguageModel":
        """The same model in another precision or on another device (moved, not copied)."""
        return LanguageModel(self.name, self.model.to(device=device, dtype=dtype), self.tokenizer, self.fingerprint)


def load_language_model(
    name: str | Path,
    *,
    dtype: torch.dtype = torch.float32,
    device: str = "cpu",
    shown_name: str | None = None,
    fingerprint: str | None = None,
    on_progress: OnProgress = no_progress,
) -> LanguageModel:
    """Load a causal language model from a folder, a GGUF file or by its Hugging Face name; folders hold safetensors.

    ``fingerprint`` is that of the original weights where ``name`` holds a copy in another precision.

    Raises ModelError if there is no such model or it lacks an end-of-text token.
    """
    if str(name).lower().endswith(".gguf"):
        model, tokenizer = read_gguf(Path(name), on_progress=on_progress)
        if str(device) == "cpu":
            model.set_attn_implementation("eager")
    else:
        model, tokenizer = _from_transformers(str(name), device)
    if tokenizer.eos_token_id is None:
        raise ModelError(
            f"The language model '{name}' has no end-of-text token; sentences could not end. Choose a causal language model "
            "whose tokenizer defines eos_token."
        )
    fingerprint = fingerprint or weights_fingerprint(model.state_dict())
    model = cast("Any", model).to(device=device, dtype=dtype).eval().requires_grad_(False)
    return LanguageModel(shown_name or str(name), model, tokenizer, fingerprint)


def _from_transformers(name: str, device: str) -> tuple[Any, Any]:
    """A model and its tokenizer from a folder or the hub."""
    declare_torchvision_operators()
    from transformers import AutoModelForCausalLM, AutoTokenizer
    from transformers.utils import logging as transformers_logging

    transformers_logging.disable_progress_bar()
    try:
        tokenizer = AutoTokenizer.from_pretrained(name)
        # Eager attention: on short rows its backward pass is several times faster on CPUs than the fused one.
        attention = {"attn_implementation": "eager"} if str(device) == "cpu" else {}
        return AutoModelForCausalLM.from_pretrained(name, dtype="auto", use_safetensors=True, **attention), tokenizer
    except (OSError, ValueError, KeyError, RuntimeError, ImportError, SafetensorError) as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise ModelError(
            f"Cannot load the language model '{name}': {reason} Give --lm a folder with config.json, tokenizer and "
            "safetensors weights, a .gguf file, or the name of a causal language model on the Hugging Face hub."
        ) from error
