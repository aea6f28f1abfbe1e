"""What a language model is: what sampling, training and gradients need of it, and nothing else."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from wordsight.tensors import Prefix


class State(ABC):
    """What a language model remembers of some beginnings, one a row: their keys and values."""

    @abstractmethod
    def select(self, rows: Int[Tensor, " rows"]) -> None:
        """Row i becomes what row ``rows[i]`` was. A row may be asked for more than once."""

    @abstractmethod
    def copied(self, rows: Int[Tensor, " rows"], *, capacity: int, room: int) -> "State":
        """These rows in a state of their own, for up to ``capacity`` rows of ``room`` positions; this one stays as it is."""

    @abstractmethod
    def undo(self, length: int) -> bool:
        """Back to ``length`` positions after a step that failed half-way; False if that cannot be."""


@dataclass(frozen=True)
class LanguageModel(ABC):
    """A frozen language model with its tokenizer. Of two kinds: ``CausalLM`` and ``CrossAttentionLM``.

    Sampling starts from prefixes (``start``), goes on token by token (``step``) and asks for ``logits``; training and gradients
    ask for the ``loss`` of captions; words are read from ``pieces`` of text. ``load`` gives transformers' PreTrainedModel and its
    tokenizer; it is called when they are first needed. ``fingerprint`` identifies the weights, whatever precision they are
    loaded in; ``precision`` is that precision, where it is known before: stored sentences are then found without the model.
    """

    name: str
    load: Callable[[], tuple[Any, Any]]
    fingerprint: str
    precision: torch.dtype | None = None

    @cached_property
    def _loaded(self) -> tuple[Any, Any]:
        return self.load()

    @property
    def model(self) -> Any:
        """The PreTrainedModel."""
        return self._loaded[0]

    @property
    def tokenizer(self) -> Any:
        """The model's tokenizer."""
        return self._loaded[1]

    @property
    @abstractmethod
    def hidden(self) -> int:
        """Width of a prefix's vectors."""

    @abstractmethod
    def embedded(self, text: str) -> Float[Tensor, "tokens hidden"]:
        """A text as a prefix that says it, as far as the model knows one: where training starts."""

    @abstractmethod
    def positions(self, prefix: int) -> int:
        """Positions of a row before its first token, for a prefix of so many vectors."""

    @abstractmethod
    def row_bytes(self, prefix: int, steps: int) -> int:
        """Bytes that a row's keys and values take after so many tokens."""

    @abstractmethod
    def start(self, prefix: Prefix, *, capacity: int, room: int) -> tuple[State, Float[Tensor, "images hidden"]]:
        """Rows that begin with these prefixes, for up to ``capacity`` rows of ``room`` positions; their last hidden states."""

    @abstractmethod
    def step(self, state: State, tokens: Int[Tensor, " rows"]) -> Float[Tensor, "rows hidden"]:
        """One token more for each row: last hidden states. ``state`` has it, too."""

    @abstractmethod
    def logits(self, hidden: Tensor) -> Tensor:
        """Next-token logits (..., vocabulary) of last hidden states, as the model itself computes them."""

    @abstractmethod
    def caption_states(
        self, prefix: Prefix, captions: Sequence[Sequence[Sequence[int]]]
    ) -> tuple[Float[Tensor, "tokens hidden"], Int[Tensor, " tokens"]]:
        """The captions' tokens, and the hidden state before each of them. ``captions``: those of each image, with their end."""

    def loss(
        self, prefix: Prefix, captions: Sequence[Sequence[Sequence[int]]], *, backward_scale: float | None = None
    ) -> float:
        """Summed -log p of every caption token (end included) given its image's prefix, in nats.

        With ``backward_scale`` the gradient of that many times the loss is added to whatever made ``prefix``. The head runs over
        a few hundred positions at a time and its gradient is taken at once: logits of a whole batch would take gigabytes.
        """
        picked, target = self.caption_states(prefix, captions)
        leaf = picked.detach().requires_grad_(backward_scale is not None)
        total = 0.0
        at_once = _HEAD_ROWS if self.device.type == "cpu" else _HEAD_ROWS_GPU
        for rows, targets in zip(leaf.split(at_once), target.split(at_once), strict=True):
            loss = torch.nn.functional.cross_entropy(self.logits(rows).float(), targets, reduction="sum")
            total += loss.item()
            if backward_scale is not None:
                (loss * backward_scale).backward()
        if backward_scale is not None:
            picked.backward(leaf.grad)
        return total

    def _head(self, hidden: Tensor) -> Tensor:
        """The model's own head. BERT's does more than its output embeddings."""
        model = self.model
        head = getattr(model, "cls", None) or getattr(model, "lm_head", None) or model.get_output_embeddings()
        return head(hidden)

    @property
    def vocabulary(self) -> int:
        """Number of tokens that the model knows."""
        return len(self.embeddings)

    @property
    def embeddings(self) -> Tensor:
        """Input embeddings (vocabulary, width)."""
        return self.model.get_input_embeddings().weight

    @property
    def end(self) -> int:
        """Id of the token that ends a text."""
        end = end_of_text(self.tokenizer)
        assert end is not None
        return end

    @property
    def device(self) -> torch.device:
        return self.embeddings.device

    @property
    def dtype(self) -> torch.dtype:
        return self.precision or self.embeddings.dtype

    def encode(self, sentence: str) -> list[int]:
        """Token ids of a sentence, with the one that ends it."""
        return [*self.tokenizer(sentence, add_special_tokens=False)["input_ids"], self.end]

    def pieces(self, tokens: Sequence[Sequence[int]]) -> list[str]:
        """Texts of rows of token ids, with the blanks that they begin and end with; without special tokens."""
        return self.tokenizer.batch_decode(tokens, skip_special_tokens=True)

    def decode(self, tokens: Sequence[Sequence[int]]) -> list[str]:
        """Sentences of rows of token ids, without special tokens."""
        return [text.strip() for text in self.pieces(tokens)]


#: Positions whose logits are held at once: more costs memory on CPUs, and fewer costs time on GPUs.
_HEAD_ROWS, _HEAD_ROWS_GPU = 256, 8192


def end_of_text(tokenizer: Any) -> int | None:
    """Id of the token that ends a text; BERT's tokenizers call it a separator. None if there is none."""
    return tokenizer.sep_token_id if tokenizer.eos_token_id is None else tokenizer.eos_token_id
