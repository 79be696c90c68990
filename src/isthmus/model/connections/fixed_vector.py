"""The fixed-length vector as the whole connection: every target position reads the same summary (Cho et al. 2014, section 2.2).

B query rows, N sources, T target position, S source position, D model.
"""

from __future__ import annotations

from typing import Literal, final

from torch import Tensor

from isthmus.core.errors import ConfigError
from isthmus.model.connections.connection import Connection, ConnectionKind, Link, Reading
from isthmus.model.memory import Memory
from isthmus.model.sizes import Sizes
from isthmus.nn.attention import projection


class FixedVectorConfig(ConnectionKind):
    """Configuration of the fixed-length vector; the encoder must make a summary.

    Attributes:
        kind: names the connection.
        bias: whether the projection adds a bias.
    """

    kind: Literal["fixed-vector"] = "fixed-vector"
    bias: bool = True

    def build(self, sizes: Sizes) -> FixedVector:
        """Build the connection for a decoder of `sizes.d_model` over summaries of `sizes.d_memory`."""
        return FixedVector(sizes.d_model, sizes.d_memory, self.bias)


@final
class FixedVector(Connection):
    """context = W · c at every target position: what the summary *c* does not hold is lost.

    Args:
        d_model: size of the decoder's states.
        d_memory: size of the summary.
        bias: whether the projection adds a bias.
    """

    def __init__(self, d_model: int, d_memory: int, bias: bool = True) -> None:
        super().__init__()
        self.value = projection(d_memory, d_model, bias)

    def prepare(self, memory: Memory) -> Link:
        """W · c, as a memory of one slot [N, 1, D].

        Raises:
            ConfigError: the encoder made no summary.
        """
        if memory.summary_BD is None:
            raise ConfigError(
                "the connection `fixed-vector` reads a summary",
                expected="an encoder with a summary",
                got="a memory without one",
                where="model.encoder.summary",
                fix='set model.encoder.summary to "mean", "first", "last", "maximum" or "attentive"',
            )
        value_N1D = self.value(memory.summary_BD)[:, None]
        some_N1 = memory.mask_BS.new_ones(memory.mask_BS.shape[0], 1)
        return Link(value_N1D, value_N1D, some_N1)

    def forward(self, query_BTD: Tensor, link: Link, position_B: Tensor, weights: bool = False) -> tuple[Reading, Link]:  # noqa: ARG002
        """The same vector for every query."""
        B, T, _ = query_BTD.shape
        context_B1D = link.values.repeat_interleave(link.readers(B), dim=0)
        return Reading(context_B1D.expand(B, T, -1)), link
