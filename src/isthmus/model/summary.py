"""The fixed-length vector: one vector out of one a position.

B batch, S source position, D model.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

SummaryKind = Literal["mean", "first", "last", "maximum", "attentive"]


class Summary(nn.Module):
    """Pool the states of the real positions into one vector *c* [B, D]; an empty source gives 0.

    `attentive` weighs positions by softmax(w · h) (Lin et al. 2017, section 2.1, with one hop and a linear score).

    Args:
        kind: how to pool.
        d_model: size of the states.
    """

    def __init__(self, kind: SummaryKind, d_model: int) -> None:
        super().__init__()
        self.kind = kind
        self.score = nn.Linear(d_model, 1) if kind == "attentive" else None

    def forward(self, states_BSD: Tensor, mask_BS: Tensor) -> Tensor:
        """States [B, S, D] and their mask to *c* [B, D]."""
        if states_BSD.shape[1] == 0:
            return states_BSD.new_zeros(states_BSD.shape[0], states_BSD.shape[2])
        return (
            torch.einsum("bs,bsd->bd", self._weights(states_BSD, mask_BS), states_BSD)
            if self.kind != "maximum"
            else _maximum(states_BSD, mask_BS)
        )

    def _weights(self, states_BSD: Tensor, mask_BS: Tensor) -> Tensor:
        """How much each position counts [B, S]: 0 on padding, sums to 1 where anything is real."""
        if self.score is not None:
            score_BS = self.score(states_BSD)[:, :, 0].float().masked_fill(~mask_BS, torch.finfo(torch.float32).min)
            return (torch.softmax(score_BS, dim=1) * mask_BS).to(states_BSD.dtype)
        chosen_BS = mask_BS
        if self.kind == "first":
            chosen_BS = mask_BS & (mask_BS.cumsum(dim=1) == 1)
        elif self.kind == "last":
            chosen_BS = mask_BS & (mask_BS.flip(1).cumsum(dim=1).flip(1) == 1)
        return chosen_BS.to(states_BSD.dtype) / chosen_BS.sum(dim=1, keepdim=True).clamp(min=1)


def _maximum(states_BSD: Tensor, mask_BS: Tensor) -> Tensor:
    lowest = torch.finfo(states_BSD.dtype).min
    highest_BD = states_BSD.masked_fill(~mask_BS[:, :, None], lowest).amax(dim=1)
    return highest_BD * mask_BS.any(dim=1, keepdim=True)
