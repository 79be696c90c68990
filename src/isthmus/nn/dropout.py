"""Dropout whose mask costs little on a CPU."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

_LEVELS = 65536


def dropout(x: Tensor, probability: float, training: bool) -> Tensor:
    """Set features to 0 with a probability and scale the others by its inverse (Srivastava et al. 2014, section 4).

    On a CPU one random 64-bit number decides over four features, which is about ten times faster than a Bernoulli draw for each;
    the probability is then rounded to a multiple of 1/65536.
    """
    if not training or probability == 0.0:
        return x
    if x.device.type != "cpu":
        return functional.dropout(x, probability)
    dropped = round(probability * _LEVELS)
    bits = torch.empty((x.numel() + 3) // 4, dtype=torch.int64).random_(-(2**63), 2**63 - 1)
    keep = (bits.view(torch.int16)[: x.numel()] >= dropped - _LEVELS // 2).view(x.shape)
    return x * (keep.to(x.dtype) * (_LEVELS / (_LEVELS - dropped)))
