"""Softmax over short rows, which torch's kernels for a CPU read number by number unless a row fills a register."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from isthmus.core.runtime import known

REGISTER = 64  # bytes
FEW = 1 << 14  # so many numbers: for fewer, one slow operation beats ten fast ones, as in a step of a search
SAFE = 1e-20  # a sum of powers from here to its inverse has lost nothing


def softmax(scores: Tensor) -> Tensor:
    """Softmax over the last axis, in the type of the scores and with that type's error."""
    if scores.device.type != "cpu" or torch.compiler.is_compiling() or scores.shape[-1] >= _lanes(scores.dtype):
        return torch.softmax(scores, dim=-1)
    if scores.numel() < FEW:
        return torch.softmax(scores, dim=-1)
    weights: Tensor = _Short.apply(scores)  # type: ignore[no-untyped-call]
    return weights


class _Short(torch.autograd.Function):
    """In float32 where its kernels are fast enough for the row, else as powers over their sum, tensor by tensor."""

    @staticmethod
    def forward(context: Any, scores: Tensor) -> Tensor:
        if scores.shape[-1] >= _lanes(torch.float32):
            weights = torch.softmax(scores.float(), dim=-1).to(scores.dtype)
        else:
            weights = _powers(scores)
        context.save_for_backward(weights)
        return weights

    @staticmethod
    def backward(context: Any, *grads: Tensor) -> Tensor:
        (weights,) = context.saved_tensors
        (grad,) = grads
        if weights.shape[-1] >= _lanes(torch.float32):
            return torch._softmax_backward_data(grad.float(), weights.float(), -1, torch.float32).to(weights.dtype)
        product = grad * weights
        return torch.addcmul(product, weights, product.sum(dim=-1, keepdim=True), value=-1)


def _powers(scores: Tensor) -> Tensor:
    """exp(z) / Σ exp(z), the largest score subtracted only where the sum shows that it must be."""
    powers = scores.exp()
    sums = powers.sum(dim=-1, keepdim=True, dtype=torch.promote_types(scores.dtype, torch.float32))
    if known((sums > SAFE) & (sums < 1 / SAFE)):
        return powers.mul_(sums.reciprocal_().to(powers.dtype))
    return torch.softmax(scores, dim=-1)


def _lanes(dtype: torch.dtype) -> int:
    """How many numbers of a type fill a register."""
    return REGISTER // dtype.itemsize
