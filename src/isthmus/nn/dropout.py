"""Dropout whose mask costs little on a CPU."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

_LEVELS = 1 << 16
_ONE = 0x3F80  # the bits of 1 in bfloat16


def dropout(x: Tensor, probability: float, training: bool) -> Tensor:
    """Set features to 0 with a probability and scale the others by its inverse (Srivastava et al. 2014, section 4).

    On a CPU one random 64-bit number decides over four features, which is many times faster than a Bernoulli draw for each;
    the probability is then rounded to a multiple of 1/65536.
    """
    if not training or probability == 0.0:
        return x
    if x.device.type != "cpu":
        return functional.dropout(x, probability)
    return torch.addcmul(x.new_zeros(()), x, _kept(x, probability), value=_scale(probability))


def add_dropped(x: Tensor, y: Tensor, probability: float, training: bool) -> Tensor:
    """x + dropout(y), on a CPU in one pass."""
    if not training or probability == 0.0 or x.device.type != "cpu":
        return x + dropout(y, probability, training)
    return torch.addcmul(x, y, _kept(y, probability), value=_scale(probability))


def skipped(y: Tensor, probability: float, training: bool) -> Tensor:
    """Leave a whole sublayer out for some examples, and scale the others (stochastic depth, Huang et al. 2016, section 3).

    The paper scales when testing; scaling in training is the same in expectation and leaves testing alone.

    Args:
        y: a sublayer's output [B, ...].
        probability: to set a row to 0.
        training: whether to.
    """
    if not training or probability == 0.0:
        return y
    kept_B = (torch.rand(y.shape[0], device=y.device) >= probability).to(y.dtype) / (1 - probability)
    return y * kept_B.view(-1, *(1 for _ in y.shape[1:]))


def _dropped(probability: float) -> int:
    return min(round(probability * _LEVELS), _LEVELS - 1)


def _scale(probability: float) -> float:
    return _LEVELS / (_LEVELS - _dropped(probability))


def _kept(like: Tensor, probability: float) -> Tensor:
    """1 where a feature is kept, else 0: whole-number arithmetic in place, since comparing and converting are several times slower."""
    bits = torch.empty((like.numel() + 3) // 4, dtype=torch.int64).random_(-(2**63), None)
    first = max(_dropped(probability) - _LEVELS // 2, 1 - _LEVELS // 2)
    kept = bits.view(torch.int16)[: like.numel()].view(like.shape).clamp_(first - 1, first).sub_(first - 1)
    return kept.mul_(_ONE).view(torch.bfloat16) if like.dtype == torch.bfloat16 else kept.to(like.dtype)
