"""How much of the source an output has read.

N live sentences, K beams of each, T pieces, S source.
"""

from __future__ import annotations

import torch
from torch import Tensor

_LEAST = 1e-6  # what a source position has at least been read: the logarithm stays finite


def coverage(attention_NKTS: Tensor, mask_NS: Tensor) -> Tensor:
    """The sum over source positions of log(min(attention received, 1)): 0 if all were read, the lower the less; [N, K].

    Wu et al. 2016, Google's Neural Machine Translation System, section 7, equation 14.

    Args:
        attention_NKTS: where the decoder looked for each piece; rows sum to 1.
        mask_NS: bool, which source positions are real.
    """
    received_NKS = attention_NKTS.sum(dim=2).clamp(_LEAST, 1.0)
    return torch.where(mask_NS.unsqueeze(1), received_NKS.log(), 0.0).sum(dim=-1)
