"""The simpler simple recurrent unit: what stands in place of self-attention where decoding shall be fast.

B row, T position, D model.
"""

from __future__ import annotations

from typing import final

import torch
from torch import Tensor, nn

from isthmus.nn.attention import projection
from isthmus.nn.recurrent import RecurrentPast
from isthmus.nn.scan import fading_sum


@final
class SimplerRecurrentUnit(nn.Module):
    """f = σ(W_f x + b), c_t = f_t · c_{t-1} + (1 - f_t) · W x_t, output relu(c_t) (Kim et al. 2019, section 3.1).

    A step costs the same however long the past is, which is one vector. Matrix products do not wait for it, so that a whole target
    is read at once; only the fading sum runs over positions, in float32.

    Args:
        d_model: size D of the states.
    """

    def __init__(self, d_model: int) -> None:
        super().__init__()
        self.d_model = d_model
        self.forget = projection(d_model, d_model, bias=True)
        self.value = projection(d_model, d_model, bias=False)

    def empty_past(self, rows: int, like: Tensor) -> RecurrentPast:
        """The past before the first position: zeros."""
        return RecurrentPast((like.new_zeros(rows, self.d_model, dtype=torch.float32),))

    def forward(
        self,
        x_BTD: Tensor,
        allowed: Tensor | None,  # noqa: ARG002
        position_BT: Tensor,  # noqa: ARG002
        past: RecurrentPast | None = None,
    ) -> tuple[Tensor, RecurrentPast | None]:
        """Read a block behind what the past holds.

        Args:
            x_BTD: states of the positions.
            allowed: not looked at: everything earlier is seen.
            position_BT: not looked at.
            past: c after the last position read; `None`: zeros, and none is returned.

        Returns:
            States [B, T, D] and the past behind the block.
        """
        before_BD = (self.empty_past(x_BTD.shape[0], x_BTD) if past is None else past).vectors[0]
        keep_BTD = self.forget(x_BTD).float().sigmoid()
        sum_BTD = fading_sum(keep_BTD, (1 - keep_BTD) * self.value(x_BTD).float(), before_BD)
        output_BTD = sum_BTD.relu().to(x_BTD.dtype)
        if past is None or x_BTD.shape[1] == 0:
            return output_BTD, past
        return output_BTD, RecurrentPast((sum_BTD[:, -1],))
