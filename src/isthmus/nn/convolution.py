"""Gated convolutions over a sequence.

B batch, T position, D model, W width of the kernel.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from isthmus.nn.dropout import dropout as drop


class GatedConvolution(nn.Module):
    """sqrt(1/2) · (x + GLU(kernel * dropout(x))) (Gehring et al. 2017, sections 3.2 and 3.4).

    What a position sees is laid side by side and multiplied with one matrix: on a CPU that is one product like any other. The
    kernel is drawn so that the variance stays (section 3.5); the paper's weight normalisation is left out.

    Args:
        d_model: size D of the states.
        width: how many positions the kernel sees, W: the position itself, and as many on either side.
        dropout: probability to drop a feature before the convolution.
    """

    def __init__(self, d_model: int, width: int, dropout: float) -> None:
        super().__init__()
        self.width, self.dropout = width, dropout
        self.kernel = nn.Linear(width * d_model, 2 * d_model)
        nn.init.normal_(self.kernel.weight, std=math.sqrt(4 * (1 - dropout) / (width * d_model)))
        nn.init.zeros_(self.kernel.bias)

    def forward(self, x_BTD: Tensor, mask_BT: Tensor) -> Tensor:
        """States to states [B, T, D]; what is not real counts as 0, like what stands outside of the sequence."""
        T, side = x_BTD.shape[1], self.width // 2
        seen_BTD = drop(x_BTD, self.dropout, self.training) * mask_BT[:, :, None]
        padded_BTD = functional.pad(seen_BTD, (0, 0, side, side))
        window_BTF = torch.cat([padded_BTD[:, start : start + T] for start in range(self.width)], dim=-1)
        return (x_BTD + functional.glu(self.kernel(window_BTF), dim=-1)) * math.sqrt(0.5)
