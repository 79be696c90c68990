"""K slots between source and decoder: learned queries distil the memory into k vectors, and only these are read (Jaegle et al. 2021,
Perceiver, section 3.1). One slot is a fixed-length vector, and k a number that one can sweep.

B query rows, N sources, T target position, S source position, D model, H heads, C slots.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Literal, final

import torch
from pydantic import Field
from torch import Tensor, nn

from isthmus.model.blocks import HeadShape, head_sizes
from isthmus.model.connections.attention import AttentionConfig
from isthmus.model.connections.connection import Connection, ConnectionKind, Link, Reading
from isthmus.model.connections.multi_head_attention import MultiHeadAttention, MultiHeadAttentionConfig
from isthmus.model.memory import Memory
from isthmus.model.sizes import Sizes

SPREAD = 0.02


class SlotsConfig(ConnectionKind):
    """Configuration of a memory of k slots.

    Attributes:
        kind: names the connection.
        count: k.
        heads: attention heads of the slots.
        read: how the decoder reads the slots.
    """

    kind: Literal["slots"] = "slots"
    count: int = Field(default=8, ge=1)
    heads: int = Field(default=8, ge=1)
    read: AttentionConfig = MultiHeadAttentionConfig()

    def build(self, sizes: Sizes) -> Connection:
        """Build the connection of a decoder that has one."""
        (connection,) = self.build_layers(sizes, 1)
        return connection

    def build_layers(self, sizes: Sizes, layers: int) -> list[Connection]:
        """Build one connection a decoder layer, over one set of slots.

        Raises:
            ConfigError: heads do not divide as they must.
        """
        shape = HeadShape(self.heads, None, None)
        heads = head_sizes(shape, sizes.d_memory, None, True, "model.connection.heads")
        distil = Distil(MultiHeadAttention(heads, sizes.d_memory), self.count, sizes.d_memory)
        return [Slots(distil, self.read.build(sizes)) for _ in range(layers)]


class Distil(nn.Module):
    """slots = norm(queries + Attention(queries, memory)): k vectors of any memory.

    The queries are drawn with a deviation of 0.02, as in the paper (section 3.2).

    Args:
        attention: how the queries read the memory.
        count: k.
        d_memory: size of the memory's states.
    """

    def __init__(self, attention: MultiHeadAttention, count: int, d_memory: int) -> None:
        super().__init__()
        self.attention = attention
        self.queries = nn.Parameter(torch.randn(count, d_memory) * SPREAD)
        self.norm = nn.LayerNorm(d_memory)

    def forward(self, memory: Memory) -> tuple[Memory, Tensor]:
        """A memory of k slots, none of them real where the source is empty, and what each is made of [N, C, S]."""
        N, count = memory.mask_BS.shape[0], self.queries.shape[0]
        query_NCD = self.queries.expand(N, -1, -1)
        begin_N = torch.zeros(N, dtype=torch.int64, device=memory.mask_BS.device)
        reading, _ = self.attention(query_NCD, self.attention.prepare(memory), begin_N, weights=True)
        slots_NCD: Tensor = self.norm(query_NCD + reading.context_BTD)
        some_NC = memory.mask_BS.any(dim=1, keepdim=True).expand(-1, count)
        return Memory(slots_NCD, some_NC, memory.summary_BD), reading.weights_BHTS.mean(dim=1)


@final
class Slots(Connection):
    """Reads the slots instead of the source; its weights say how much of each source position came through them.

    The layers of a decoder share one `Distil`, so that no more than k vectors reach the decoder.

    Args:
        distil: makes the slots.
        read: reads them.
    """

    def __init__(self, distil: Distil, read: Connection) -> None:
        super().__init__()
        self.distil, self.read, self.one_way = distil, read, read.one_way

    def prepare(self, memory: Memory) -> Link:
        """The link of the slots, and what each slot is made of [N, S, C]."""
        slots, share_NCS = self.distil(memory)
        share_NSC = share_NCS.transpose(1, 2)
        return Link(share_NSC, share_NSC, memory.mask_BS, parts=(self.read.prepare(slots),))

    def forward(self, query_BTD: Tensor, link: Link, position_B: Tensor, weights: bool = False) -> tuple[Reading, Link]:
        """Read the slots."""
        link = link if self.one_way else link.of_rows(query_BTD.shape[0])
        reading, inner = self.read(query_BTD, link.parts[0], position_B, weights)
        link = link if self.one_way else replace(link, parts=(inner,))
        if reading.weights_BHTS is None:
            return reading, link
        share_B1CS = link.keys.transpose(1, 2).repeat_interleave(link.readers(query_BTD.shape[0]), dim=0)[:, None]
        return replace(reading, weights_BHTS=reading.weights_BHTS @ share_B1CS.to(reading.weights_BHTS.dtype)), link
