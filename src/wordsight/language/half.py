"""Weights in float16 for processors that do not multiply bfloat16: half the memory to read, arithmetic in float32 (FBGEMM)."""

import torch
from torch import Tensor, nn


def halve(model: nn.Module) -> None:
    """Put every linear layer's weights into float16, in place. They are rounded finer than in bfloat16."""
    for parent in list(model.modules()):
        for name, child in list(parent.named_children()):
            if type(child) is nn.Linear:
                setattr(parent, name, HalfLinear(child))


class HalfLinear(nn.Module):
    """A frozen linear layer with weights in float16, packed for FBGEMM. Gradients flow to its input."""

    def __init__(self, layer: nn.Linear) -> None:
        super().__init__()
        bias = None if layer.bias is None else layer.bias.detach()
        self.packed = torch.ops.quantized.linear_prepack_fp16(layer.weight.detach().contiguous(), bias)

    @property
    def weight(self) -> Tensor:
        """The weights in float32, unpacked."""
        return torch.ops.quantized.linear_unpack_fp16(self.packed)[0]

    def forward(self, values: Tensor) -> Tensor:
        if values.requires_grad:  # FBGEMM's product has no backward pass
            return nn.functional.linear(values, *torch.ops.quantized.linear_unpack_fp16(self.packed))
        return torch.ops.quantized.linear_dynamic_fp16(values, self.packed)
