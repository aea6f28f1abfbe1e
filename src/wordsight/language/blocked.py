"""Linear layers in float32 whose weights lie in oneDNN's blocks, for processors that do not multiply bfloat16.

A plain linear layer on a CPU rearranges its weights at every product: with the few dozen rows that sampling has, a third of the
time. The product is the same but for the order of its sums, so rates are those of float32.
"""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from wordsight.language.causal import CausalLM
from wordsight.language.model import LanguageModel

#: The blocks are best for so many rows, and right for any number.
_ROWS = 64


def blocked(lm: LanguageModel) -> LanguageModel:
    """The same language model, faster if it is a causal one in float32 on a CPU whose PyTorch has oneDNN; else as it is.

    Takes ``lm``'s weights over: use what is returned in its place.
    """
    # T5's layers look at their weights' precision at every step, for which blocks would be undone.
    return replace(lm, load=partial(_loaded, lm.load)) if isinstance(lm, CausalLM) else lm


def _loaded(load: Callable[[], tuple[Any, Any]]) -> tuple[Any, Any]:
    model, tokenizer = load()
    if model.device.type == "cpu" and model.dtype == torch.float32 and multiplies_blocks():
        _block(model)
    return model, tokenizer


def _block(model: nn.Module) -> None:
    """Put the weights of every linear layer into blocks, in place."""
    from transformers.pytorch_utils import Conv1D

    # By name: a list of the layers would hold their plain weights, all of them, to the end.
    for name in [name for name, layer in model.named_modules() if type(layer) in (nn.Linear, Conv1D)]:
        layer: Any = model.get_submodule(name)
        weight = layer.weight.T if type(layer) is Conv1D else layer.weight  # GPT-2's are transposed
        model.set_submodule(name, BlockedLinear(weight, layer.bias))


def multiplies_blocks() -> bool:
    """Whether this PyTorch has oneDNN's product of blocks, and it is right on this processor."""
    weight = torch.arange(77.0).view(7, 11).remainder(5) - 2  # whole numbers: right whatever the order of sums
    values = torch.arange(33.0).view(3, 11).remainder(7) - 3
    try:
        return torch.equal(BlockedLinear(weight, None)(values), values @ weight.T)
    except (RuntimeError, AttributeError):  # built without oneDNN, or without these operators
        return False


class BlockedLinear(nn.Module):
    """A frozen linear layer with its weights in blocks. Gradients flow to its input; it saves and pickles plain weights."""

    def __init__(self, weight: Float[Tensor, "out in"], bias: Float[Tensor, " out"] | None) -> None:
        super().__init__()
        self.bias = None if bias is None else bias.detach()
        self.blocks = torch.ops.mkldnn._reorder_linear_weight(weight.detach().contiguous(), _ROWS)

    @property
    def weight(self) -> Float[Tensor, "out in"]:
        """The weights as a plain layer has them: a copy."""
        return self.blocks.to_dense()

    def forward(self, values: Float[Tensor, "*rows in"]) -> Float[Tensor, "*rows out"]:
        return _Product.apply(values, self.blocks, self.bias)

    def __reduce__(self) -> tuple[Any, ...]:
        return _layer, (self.weight, self.bias)

    def _save_to_state_dict(self, destination: dict[str, Any], prefix: str, keep_vars: bool) -> None:
        plain = {"weight": self.weight, "bias": self.bias}
        destination |= {prefix + name: values for name, values in plain.items() if values is not None}


def _layer(weight: Tensor, bias: Tensor | None) -> nn.Module:
    """A frozen linear layer, in blocks if this machine multiplies them: Ray's workers may be others than where it comes from."""
    if multiplies_blocks():
        return BlockedLinear(weight, bias)
    layer = nn.Linear(*weight.T.shape, bias=bias is not None, device="meta")
    plain = {"weight": weight, "bias": bias}
    layer.load_state_dict({name: values for name, values in plain.items() if values is not None}, assign=True)
    return layer.requires_grad_(False)


class _Product(torch.autograd.Function):
    """oneDNN's product has no backward pass of its own."""

    @staticmethod
    def forward(ctx: Any, values: Tensor, blocks: Tensor, bias: Tensor | None) -> Tensor:
        ctx.blocks = blocks
        return torch.ops.mkldnn._linear_pointwise(values, blocks, bias, "none", [], "")

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        return gradients[0] @ ctx.blocks.to_dense(), None, None
