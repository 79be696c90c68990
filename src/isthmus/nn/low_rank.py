"""A change of a matrix as a product of two thin ones (Hu et al. 2022, section 4.1).

I inputs, O outputs, R rank.
"""

from __future__ import annotations

from typing import final

import torch
from torch import Tensor, nn


@final
class LowRank(nn.Module):
    """W + alpha/R · B A, where A is drawn at random and B begins at 0, so that the matrix begins as it was.

    Args:
        outputs: rows of the matrix.
        inputs: columns of it.
        rank: R.
        alpha: how much the change counts, R times over.
    """

    def __init__(self, outputs: int, inputs: int, rank: int, alpha: float) -> None:
        super().__init__()
        self.scale = alpha / rank
        self.down = nn.Parameter(torch.randn(rank, inputs) * inputs**-0.5)
        self.up = nn.Parameter(torch.zeros(outputs, rank))

    def forward(self, weight_OI: Tensor) -> Tensor:
        """The changed matrix."""
        return torch.addmm(weight_OI, self.up, self.down, alpha=self.scale)
