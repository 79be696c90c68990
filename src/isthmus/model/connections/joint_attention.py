"""One attention over the source and the decoder's own past (He et al. 2018, mixed attention): what a decoder-only model that
reads its source as a prefix does (Raffel et al. 2020, section 3.2.1, prefix LM), behind the interface of a connection.

B query rows, N sources, T target position, P past position, S source position, D model, H heads, G key/value heads, K key size.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Literal, final

import torch
from torch import Tensor

from isthmus.model.blocks import MultiHeadConfig
from isthmus.model.connections.connection import Connection, ConnectionKind, Link, Reading
from isthmus.model.memory import Memory
from isthmus.model.sizes import Sizes
from isthmus.nn.attention import HeadSizes, attend, join_heads, project_together, projection, split_heads
from isthmus.nn.masks import causal_TT


class JointAttentionConfig(MultiHeadConfig, ConnectionKind):
    """Configuration of joint attention; the decoder has `past = "none"`, since this connection looks back too.

    Attributes:
        kind: names the connection.
    """

    kind: Literal["joint-attention"] = "joint-attention"

    def build(self, sizes: Sizes) -> JointAttention:
        """Build the connection for a decoder of `sizes.d_model` over a memory of as large states.

        Raises:
            ConfigError: heads do not divide as they must.
        """
        return JointAttention(self.sizes(sizes.d_model), self.dropout)


@final
class JointAttention(Connection):
    """context = softmax(Q [K_source; K_past]ᵀ / sqrt(K)) [V_source; V_past] · W: source and past compete for one unit of attention.

    Both sides have the same projections. What the decoder has said is written into the link, key by key, so that this is a two-way
    connection, if a cheap one: a whole target is still read at once. The weights of a reading are those of the source, as shares of
    what went to the source at all.

    Args:
        sizes: heads and sizes.
        dropout: probability to drop an attention weight.
    """

    one_way = False

    def __init__(self, sizes: HeadSizes, dropout: float = 0.0) -> None:
        super().__init__()
        self.sizes, self.dropout = sizes, dropout
        inner, outer = sizes.heads * sizes.head_size, sizes.key_value_heads * sizes.head_size
        self.query = projection(sizes.d_model, inner, sizes.bias)
        self.key = projection(sizes.d_model, outer, sizes.bias)
        self.value = projection(sizes.d_model, outer, sizes.bias)
        self.output = projection(inner, sizes.d_model, sizes.bias)

    def prepare(self, memory: Memory) -> Link:
        """Keys and values [N, G, S, K] of the source; of the past, none yet, and none of them real [N, 0, 1]."""
        G = self.sizes.key_value_heads
        key_NGSK, value_NGSK = (
            split_heads(each, G) for each in project_together(memory.states_BSD, self.key, self.value)
        )
        real_NP1 = memory.mask_BS.new_zeros(memory.mask_BS.shape[0], 0, 1)
        return Link(key_NGSK, value_NGSK, memory.mask_BS, (key_NGSK[:, :, :0], value_NGSK[:, :, :0], real_NP1))

    def forward(self, query_BTD: Tensor, link: Link, position_B: Tensor, weights: bool = False) -> tuple[Reading, Link]:  # noqa: ARG002
        """Write the block behind the past, and attend over the source and all that is not later."""
        B, T, _ = query_BTD.shape
        link = link.of_rows(B)
        G = self.sizes.key_value_heads
        query_BTF, key_BTF, value_BTF = project_together(query_BTD, self.query, self.key, self.value)
        past_BGPK, value_BGPK, real_BP1 = link.written
        allowed = _allowed(link.mask_BS, real_BP1, T)
        past_BGPK = torch.cat([past_BGPK, split_heads(key_BTF, G).to(past_BGPK.dtype)], dim=2)
        value_BGPK = torch.cat([value_BGPK, split_heads(value_BTF, G).to(value_BGPK.dtype)], dim=2)
        query_BHTK, scale = split_heads(query_BTF, self.sizes.heads), self.sizes.factor
        context_BHTK, _ = attend(
            query_BHTK,
            torch.cat([link.keys, past_BGPK], dim=2),
            torch.cat([link.values, value_BGPK], dim=2),
            allowed,
            scale,
            self.dropout if self.training else 0.0,
            weights=False,
        )
        share_BHTS = None  # a softmax over a part of the positions is the part's share of the softmax over all
        if weights:
            _, share_BHTS = attend(query_BHTK, link.keys, link.values, link.mask_BS[:, None, None], scale)
        link = replace(link, written=(past_BGPK, value_BGPK, torch.cat([real_BP1, real_BP1.new_ones(B, T, 1)], dim=1)))
        return Reading(self.output(join_heads(context_BHTK)), share_BHTS), link


def _allowed(mask_BS: Tensor, real_BP1: Tensor, block: int) -> Tensor:
    """Which source and which past positions each of a block may see: bool [B, 1, T, S + P + T]."""
    B = mask_BS.shape[0]
    earlier_BA = torch.cat([mask_BS, real_BP1[:, :, 0]], dim=1)
    own_BTT = causal_TT(block, mask_BS.device).expand(B, -1, -1)
    return torch.cat([earlier_BA[:, None].expand(-1, block, -1), own_BTT], dim=2)[:, None]
