"""Multi-head attention over the whole memory (Vaswani et al. 2017, section 3.2.3): the decoder asks, every source position answers.

B query rows, N sources, T target position, S source position, D model, H heads, G key/value heads, K key size.
"""

from __future__ import annotations

from typing import Literal, final

from torch import Tensor

from isthmus.model.blocks import MultiHeadConfig
from isthmus.model.connections.connection import Connection, ConnectionKind, Link, Reading
from isthmus.model.memory import Memory
from isthmus.model.sizes import Sizes
from isthmus.nn.attention import HeadSizes, attend, join_heads, project_together, projection, split_heads


class MultiHeadAttentionConfig(MultiHeadConfig, ConnectionKind):
    """Configuration of multi-head attention over the memory.

    Attributes:
        kind: names the connection.
    """

    kind: Literal["multi-head-attention"] = "multi-head-attention"

    def build(self, sizes: Sizes) -> MultiHeadAttention:
        """Build the connection for a decoder of `sizes.d_model` over a memory of `sizes.d_memory`.

        Raises:
            ConfigError: heads do not divide as they must.
        """
        return MultiHeadAttention(self.sizes(sizes.d_model), sizes.d_memory, self.dropout)


@final
class MultiHeadAttention(Connection):
    """context = Concatₕ softmax(Q Kᵀ / sqrt(K)) V · W, queries from the decoder, keys and values from the memory.

    Args:
        sizes: heads and sizes.
        d_memory: size of the memory's states.
        dropout: probability to drop an attention weight.
    """

    def __init__(self, sizes: HeadSizes, d_memory: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.sizes, self.dropout = sizes, dropout
        inner, outer = sizes.heads * sizes.head_size, sizes.key_value_heads * sizes.head_size
        self.query = projection(sizes.d_model, inner, sizes.bias)
        self.key = projection(d_memory, outer, sizes.bias)
        self.value = projection(d_memory, outer, sizes.bias)
        self.output = projection(inner, sizes.d_model, sizes.bias)

    def prepare(self, memory: Memory) -> Link:
        """Keys and values [N, G, S, K] of every source position, laid out as each step reads them."""
        G = self.sizes.key_value_heads
        key_NGSK, value_NGSK = (
            split_heads(each, G).contiguous() for each in project_together(memory.states_BSD, self.key, self.value)
        )
        return Link(key_NGSK, value_NGSK, memory.mask_BS)

    def forward(self, query_BTD: Tensor, link: Link, position_B: Tensor, weights: bool = False) -> tuple[Reading, Link]:  # noqa: ARG002
        """Attend; the k rows of a source are read as k·T queries of one row, so that its keys are never repeated."""
        B, T, D = query_BTD.shape
        N, S = link.mask_BS.shape
        k = link.readers(B)
        query_NQF = self.query(query_BTD).view(N, k * T, self.sizes.heads * self.sizes.head_size)
        query_NHQK = split_heads(query_NQF, self.sizes.heads)
        context_NHQK, weights_NHQS = attend(
            query_NHQK,
            link.keys,
            link.values,
            link.mask_BS[:, None, None, :],
            self.sizes.factor,
            self.dropout if self.training else 0.0,
            weights,
        )
        context_BTD = self.output(join_heads(context_NHQK)).view(B, T, D)
        if weights_NHQS is None:
            return Reading(context_BTD), link
        weights_BHTS = (
            weights_NHQS.view(N, self.sizes.heads, k, T, S).transpose(1, 2).reshape(B, self.sizes.heads, T, S)
        )
        return Reading(context_BTD, weights_BHTS), link
