"""Less memory for more time: what a layer computes inside is computed again when its gradient is wanted."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar, TypeVarTuple

import torch
from torch.utils.checkpoint import checkpoint

Inputs = TypeVarTuple("Inputs")
Result = TypeVar("Result")


def recomputed(wanted: bool, layer: Callable[[*Inputs], Result], *inputs: *Inputs) -> Result:
    """What a layer makes of its inputs; if wanted, only the inputs are kept for the backward pass (Chen et al. 2016, section 3).

    Dropout draws the same numbers again, so that gradients are the same to the bit.

    Args:
        wanted: whether to.
        layer: must depend on its inputs and weights alone.
        *inputs: of the layer.
    """
    if not wanted or not torch.is_grad_enabled() or torch.compiler.is_compiling():
        return layer(*inputs)
    result: Result = checkpoint(layer, *inputs, use_reentrant=False)
    return result
