"""A key-value cache for many short continuations of few prefixes: a row stays where it is, only new branches are copied."""

from typing import Any, cast

import torch
from jaxtyping import Int
from torch import Tensor
from transformers import DynamicCache, EncoderDecoderCache
from transformers.cache_utils import DynamicLayer

from wordsight.language.model import State


class _InPlace(DynamicLayer):
    """One layer's keys and values, with room for more rows and positions: a step writes one token and copies nothing."""

    def __init__(self, rows: int, capacity: int, room: int) -> None:
        super().__init__()
        self.rows, self.capacity, self.room, self.length = rows, max(rows, capacity), room, 0

    def lazy_initialization(self, key_states: Tensor, value_states: Tensor) -> None:
        self.dtype, self.device = key_states.dtype, key_states.device
        self.keys, self.values = self._empty(key_states), self._empty(value_states)
        self.is_initialized = True

    def update(self, key_states: Tensor, value_states: Tensor, *args: Any, **kwargs: Any) -> tuple[Tensor, Tensor]:
        if not self.is_initialized:
            self.lazy_initialization(key_states, value_states)
        assert self.keys is not None
        assert self.values is not None
        end = self.length + key_states.shape[-2]
        self.keys[: self.rows, :, self.length : end] = key_states
        self.values[: self.rows, :, self.length : end] = value_states
        self.length = end
        return self.keys[: self.rows, :, :end], self.values[: self.rows, :, :end]

    def get_seq_length(self) -> int:
        return self.length

    def select(self, rows: int, changed: Tensor, source: Tensor) -> None:
        """Of ``rows`` rows, those of ``changed`` become what the rows of ``source`` were; the others are not touched."""
        assert self.keys is not None
        assert self.values is not None
        if rows > self.capacity:
            raise ValueError(f"{rows} rows in a cache for {self.capacity}")
        for states in (self.keys, self.values):
            states[changed, :, : self.length] = states[source, :, : self.length]
        self.rows = rows

    def copy(self, indices: Tensor, capacity: int, room: int) -> "_InPlace":
        twin = _InPlace(len(indices), capacity, room)
        assert self.keys is not None
        assert self.values is not None
        twin.lazy_initialization(self.keys, self.values)
        assert twin.keys is not None
        assert twin.values is not None
        twin.length = self.length
        twin.keys[: twin.rows, :, : self.length] = self.keys[indices, :, : self.length]
        twin.values[: twin.rows, :, : self.length] = self.values[indices, :, : self.length]
        return twin

    def _empty(self, like: Tensor) -> Tensor:
        return torch.empty(self.capacity, like.shape[1], self.room, like.shape[3], dtype=like.dtype, device=like.device)


class KeysAndValues(State):
    """The state of a language model from transformers: keys and values of its attention, and of its cross-attention if it has one."""

    def __init__(self, attention: DynamicCache, cross: DynamicCache | None = None) -> None:
        self._attention, self._cross = attention, cross
        self.cache = attention if cross is None else EncoderDecoderCache(attention, cross)

    @classmethod
    def empty(cls, config: Any, *, rows: int, capacity: int, room: int, cross: bool = False) -> "KeysAndValues":
        """For ``rows`` rows now, up to ``capacity`` later, of up to ``room`` positions each.

        Layers that are not plain attention stay as transformers makes them.
        """
        cache = DynamicCache(config=config)
        cache.layers = [_InPlace(rows, capacity, room) if type(layer) is DynamicLayer else layer for layer in cache.layers]
        return cls(cache, DynamicCache(config=config) if cross else None)

    @property
    def attended(self) -> int:
        """Positions that cross-attention attends to."""
        assert self._cross is not None
        return self._cross.get_seq_length()

    def select(self, rows: Int[Tensor, " rows"]) -> None:
        """Row i becomes what row ``rows[i]`` was; rows that stay themselves are not touched."""
        changed = (rows != torch.arange(len(rows))).nonzero().squeeze(-1)  # found here once: a GPU would be waited for
        moved = changed.to(self._device), rows[changed].to(self._device)
        for layer in self._attention.layers:
            if isinstance(layer, _InPlace):
                layer.select(len(rows), *moved)
            else:
                cast("Any", layer).batch_select_indices(rows.to(self._device))
        if self._cross is not None:
            self._cross.batch_select_indices(rows.to(self._device))

    def copied(self, rows: Int[Tensor, " rows"], *, capacity: int, room: int) -> "KeysAndValues":
        """A state of its own with these rows; this one stays as it is. A row may be asked for more than once."""
        rows, twin = rows.to(self._device), DynamicCache()
        twin.layers = [_copied(layer, rows, capacity, room) for layer in self._attention.layers]
        if self._cross is None:
            return KeysAndValues(twin)
        cross = DynamicCache()
        cross.layers = [_copied(layer, rows, capacity, room) for layer in self._cross.layers]
        return KeysAndValues(twin, cross)

    def undo(self, length: int) -> bool:
        """Take back a step that failed half-way; False if a layer cannot."""
        layers = [layer for layer in self._attention.layers if isinstance(layer, _InPlace)]
        if len(layers) < len(self._attention.layers):
            return False
        for layer in layers:
            layer.length = length
        return True

    @property
    def _device(self) -> torch.device:
        return cast("Any", self._attention.layers[0]).keys.device


def _copied(layer: Any, indices: Tensor, capacity: int, room: int) -> Any:
    if isinstance(layer, _InPlace):
        return layer.copy(indices, capacity, room)
    # transformers' own layers replace their tensors when they select, so a shallow copy leaves the original alone.
    twin = object.__new__(type(layer))
    twin.__dict__.update(layer.__dict__)
    twin.batch_select_indices(indices)
    return twin


def bytes_a_position(config: Any, dtype: torch.dtype) -> int:
    """Bytes of keys and values that one position of one row takes in a decoder with this configuration."""
    config = config.get_text_config(decoder=True)
    heads = getattr(config, "num_key_value_heads", None) or config.num_attention_heads
    size = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    return 2 * config.num_hidden_layers * heads * size * dtype.itemsize
