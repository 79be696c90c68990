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


def in_front(mask_BS: Tensor) -> tuple[Tensor, Tensor]:
    """The order [B, S] that puts what is `True` in front, each part in its own order, and the order that undoes it.

    Both are made from running counts, without sorting: `x.gather(1, order)`, then `.gather(1, place)`, is x.
    """
    count_B1 = mask_BS.sum(dim=1, keepdim=True)
    front_BS, behind_BS = mask_BS.long().cumsum(dim=1) - 1, (~mask_BS).long().cumsum(dim=1) - 1
    place_BS = torch.where(mask_BS, front_BS, count_B1 + behind_BS)
    position_BS = torch.arange(mask_BS.shape[1], device=mask_BS.device).expand_as(place_BS)
    return torch.zeros_like(place_BS).scatter(1, place_BS, position_BS), place_BS
