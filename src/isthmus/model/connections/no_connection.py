"""No reading at all: the source reaches the decoder through its first state alone (Sutskever et al. 2014, section 2).

B query rows, N sources, T target position, D model.
"""

from __future__ import annotations

from typing import Literal, final

import torch
from torch import Tensor

from isthmus.model.connections.connection import Connection, ConnectionKind, Link, Reading
from isthmus.model.memory import Memory
from isthmus.model.sizes import Sizes


class NoConnectionConfig(ConnectionKind):
    """Configuration of a decoder that reads nothing; its first state must come from the summary.

    Attributes:
        kind: names the connection.
    """

    kind: Literal["no-connection"] = "no-connection"

    def build(self, sizes: Sizes) -> NoConnection:
        """Build it for a decoder of `sizes.d_model`."""
        return NoConnection(sizes.d_model)


@final
class NoConnection(Connection):
    """context = 0.

    Args:
        d_model: size of the decoder's states.
    """

    def __init__(self, d_model: int) -> None:
        super().__init__()
        self.d_model = d_model

    def prepare(self, memory: Memory) -> Link:
        """A link of one slot [N, 1, D] that holds nothing."""
        zero_N1D = memory.states_BSD.new_zeros(memory.mask_BS.shape[0], 1, self.d_model)
        return Link(zero_N1D, zero_N1D, zero_N1D[:, :, 0].to(torch.bool))

    def forward(self, query_BTD: Tensor, link: Link, position_B: Tensor, weights: bool = False) -> tuple[Reading, Link]:  # noqa: ARG002
        """Zeros for every query."""
        return Reading(torch.zeros_like(query_BTD)), link
