"""Several sources read each by itself: one after the other, side by side, or weighed against each other (Libovický and Helcl 2017,
section 3, for recurrent decoders; Libovický et al. 2018, section 3, for Transformers). Read as one, the paper's flat combination, they
are by any other connection.

B query rows, N memories, T target position, S source position, D model, H heads, C sources.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Literal, final

import torch
from torch import Tensor, nn

from isthmus.model.connections.attention import AttentionConfig
from isthmus.model.connections.connection import Connection, ConnectionKind, Link, Reading
from isthmus.model.connections.multi_head_attention import MultiHeadAttentionConfig
from isthmus.model.memory import Memory
from isthmus.model.sizes import Sizes
from isthmus.nn.attention import masked_softmax, projection

Way = Literal["serial", "parallel", "hierarchical"]


class CombinationConfig(ConnectionKind):
    """Configuration of a connection to several sources.

    Attributes:
        kind: names the connection.
        way: `serial`: what was read of one source asks the next; `parallel`: the sum of what all give; `hierarchical`: a second
            attention over what each gave.
        read: how each source is read, with weights of its own.
    """

    kind: Literal["combination"] = "combination"
    way: Way = "hierarchical"
    read: AttentionConfig = MultiHeadAttentionConfig()

    def build(self, sizes: Sizes) -> Combination:
        """Build the connection for `sizes.sources` sources.

        Raises:
            ConfigError: the connection to each source does not fit these sizes.
        """
        reads = [self.read.build(sizes) for _ in range(sizes.sources)]
        gate = Gate(sizes.d_model, sizes.d_memory, sizes.sources) if self.way == "hierarchical" else None
        further = sizes.sources - 1 if self.way == "serial" else 0
        return Combination(reads, self.way, gate, [nn.LayerNorm(sizes.d_model) for _ in range(further)])


class Gate(nn.Module):
    """The second attention: βₖ ∝ exp(v · tanh(W q + Uₖ cₖ)), context = Σ βₖ Vₖ cₖ over the sources that are not empty.

    Args:
        d_model: size of queries and of the result.
        d_context: size of what was read of each source.
        sources: how many there are.
    """

    def __init__(self, d_model: int, d_context: int, sources: int) -> None:
        super().__init__()
        self.query, self.score = projection(d_model, d_model, bias=True), projection(d_model, 1, bias=False)
        self.keys = nn.ModuleList(projection(d_context, d_model, bias=False) for _ in range(sources))
        self.values = nn.ModuleList(projection(d_context, d_model, bias=False) for _ in range(sources))

    def forward(self, query_BTD: Tensor, contexts: Sequence[Tensor], some_BC: Tensor) -> tuple[Tensor, Tensor]:
        """The context [B, T, D], and the share of each source [B, T, C]."""
        asked_BTD = self.query(query_BTD)
        scores = [
            self.score((asked_BTD + key(context)).tanh()) for key, context in zip(self.keys, contexts, strict=True)
        ]
        share_BTC = masked_softmax(torch.cat(scores, dim=-1), some_BC[:, None])
        values = torch.stack([value(one) for value, one in zip(self.values, contexts, strict=True)], dim=-1)
        return torch.einsum("btdc,btc->btd", values, share_BTC.to(values.dtype)), share_BTC


@final
class Combination(Connection):
    """Reads each source by itself and combines what was read; an empty source adds nothing.

    The weights are those over each source times its share: the gate's, or the same for every source that is not empty, since a
    sum has no shares of its own.

    Args:
        reads: one connection a source.
        way: how they are combined.
        gate: of the hierarchical way, else `None`.
        norms: of the serial way, before all reads but the first, else none.
    """

    def __init__(
        self, reads: Sequence[Connection], way: Way, gate: Gate | None = None, norms: Sequence[nn.LayerNorm] = ()
    ) -> None:
        super().__init__()
        self.reads, self.way, self.gate, self.norms = nn.ModuleList(reads), way, gate, nn.ModuleList(norms)
        self.one_way = reads[0].one_way

    def prepare(self, memory: Memory) -> Link:
        """A link a source, and which source is where [N, S, C]; a memory that does not say is all of the first."""
        number_NS = torch.zeros_like(memory.mask_BS, dtype=torch.int64)
        number_NS = number_NS if memory.source_BS is None else memory.source_BS
        count = torch.arange(len(self.reads), device=number_NS.device)
        mine_NSC = memory.mask_BS[:, :, None] & (number_NS[:, :, None] == count)
        parts = tuple(
            read.prepare(replace(memory, mask_BS=mine_NSC[:, :, number])) for number, read in enumerate(self._reads)
        )
        return Link(mine_NSC, mine_NSC, memory.mask_BS, parts=parts)

    @property
    def _reads(self) -> list[Connection]:
        return [read for read in self.reads if isinstance(read, Connection)]

    def forward(self, query_BTD: Tensor, link: Link, position_B: Tensor, weights: bool = False) -> tuple[Reading, Link]:
        """Read each source."""
        B = query_BTD.shape[0]
        link = link if self.one_way else link.of_rows(B)
        some_BC = link.keys.any(dim=1).repeat_interleave(link.readers(B), dim=0)
        readings: list[Reading] = []
        links, asking_BTD = [], query_BTD
        for number, (read, part) in enumerate(zip(self._reads, link.parts, strict=True)):
            if number and self.way == "serial":
                asking_BTD = self.norms[number - 1](query_BTD + sum(one.context_BTD for one in readings))
            reading, new = read(asking_BTD, part, position_B, weights)
            context_BTD = reading.context_BTD * some_BC[:, None, number, None]
            readings.append(replace(reading, context_BTD=context_BTD))
            links.append(new)
        contexts = [reading.context_BTD for reading in readings]
        if self.gate is not None:
            context_BTD, share_BTC = self.gate(query_BTD, contexts, some_BC)
        else:
            context_BTD = torch.stack(contexts).sum(dim=0)
            share_BTC = (some_BC / some_BC.sum(dim=1, keepdim=True).clamp(min=1))[:, None]
        shared = [
            one.weights_BHTS * share_BTC[:, None, :, number, None]
            for number, one in enumerate(readings)
            if one.weights_BHTS is not None
        ]
        link = link if self.one_way else replace(link, parts=tuple(links))
        return Reading(context_BTD, torch.stack(shared).sum(dim=0) if shared else None), link
