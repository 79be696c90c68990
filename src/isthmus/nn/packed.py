"""Linear layers whose weights lie as products with few rows read them fastest: for inference on a CPU.

I inputs, O outputs.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import final

import torch
from torch import Tensor, nn


class Packable(ABC):
    """A module that knows how several of its products, or one with shared weights, become a packed layer."""

    @abstractmethod
    def pack(self) -> None:
        """Pack them; weights that change afterwards are not seen any more."""


@final
class PackedLinear(nn.Linear):
    """W x + b for fixed weights.

    In float32 the weights are stored input by input, so that a product of a few rows reads them in order. In bfloat16 they are stored
    in the blocks that oneDNN's kernels read; otherwise oneDNN would make these blocks anew for every product. Where this build
    of torch has no such kernels, the layer computes as any other.

    Args:
        weight_OI: the weights.
        bias_O: what is added, or `None`.
    """

    def __init__(self, weight_OI: Tensor, bias_O: Tensor | None) -> None:
        outputs, inputs = weight_OI.shape
        super().__init__(inputs, outputs, bias=False, device="meta")
        self.blocks = _blocks(weight_OI.detach())
        laid_OI = weight_OI if weight_OI.dtype == torch.bfloat16 else weight_OI.t().contiguous().t()
        self.weight = nn.Parameter(laid_OI.detach(), requires_grad=False)
        if bias_O is not None:
            self.bias = nn.Parameter(bias_O.detach(), requires_grad=False)

    @classmethod
    def of(cls, *linears: nn.Linear) -> PackedLinear:
        """Layers over the same input as one, their outputs side by side."""
        bias = None if linears[0].bias is None else torch.cat([linear.bias for linear in linears])
        return cls(torch.cat([linear.weight for linear in linears]), bias)

    def forward(self, x: Tensor) -> Tensor:
        """Inputs [..., I] to outputs [..., O]."""
        if self.blocks is None or x.dtype != torch.bfloat16:
            return super().forward(x)
        y: Tensor = torch.ops.mkldnn._linear_pointwise(x, self.blocks, self.bias, "none", [], "")
        return y


def pack(model: nn.Module) -> None:
    """Pack all linear layers of a model that computes on a CPU and is not trained any more, in place."""
    for module in list(model.modules()):
        if isinstance(module, Packable):
            module.pack()
    for module in list(model.modules()):
        for name, child in list(module.named_children()):
            if type(child) is nn.Linear:
                module.add_module(name, PackedLinear.of(child))


def _blocks(weight_OI: Tensor) -> Tensor | None:
    """The weights in oneDNN's blocks, where they are bfloat16 and torch can make them."""
    if weight_OI.dtype != torch.bfloat16:
        return None
    try:
        blocks: Tensor = torch.ops.mkldnn._reorder_linear_weight(weight_OI.contiguous())
    except (
        AttributeError,
        RuntimeError,
    ):  # these operators are of torch's own compiler, and may be missing in another version
        return None
    return blocks
