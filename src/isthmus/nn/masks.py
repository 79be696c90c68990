"""Which position may attend which: bool masks, `True` = may attend.

B batch, T query position, S key position.
"""

from __future__ import annotations

import torch
from torch import Tensor


def causal_TT(size: int, device: torch.device) -> Tensor:
    """Position t sees positions 0..t: a lower triangle [T, T]."""
    return torch.ones(size, size, dtype=torch.bool, device=device).tril()


def past_BTS(position_B: Tensor, block: int, capacity: int) -> Tensor:
    """A block of `block` positions that starts at `position_B` sees everything up to itself in a cache of `capacity` slots."""
    query_BT = position_B[:, None] + torch.arange(block, device=position_B.device)
    return torch.arange(capacity, device=position_B.device)[None, None, :] <= query_BT[:, :, None]
