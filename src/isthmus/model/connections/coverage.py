"""Additive attention that knows what it has read: coverage (Tu et al. 2016, section 3.1; See et al. 2017, section 2.3).

B query rows, N sources, T target position, S source position, D model, A size of a prepared key, C size of the coverage.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Literal, final

import torch
from pydantic import Field
from torch import Tensor, nn

from isthmus.model.connections.connection import Connection, ConnectionKind, Link, Reading
from isthmus.model.memory import Memory
from isthmus.model.sizes import Sizes
from isthmus.nn.attention import masked_softmax, projection

CoverageKind = Literal["sum", "fertility", "neural"]


class CoverageConfig(ConnectionKind):
    """Configuration of attention with coverage.

    Attributes:
        kind: names the connection.
        coverage: what is remembered of a position: `sum`, the attention it got (See et al.); `fertility`, the same divided by how
            much it is expected to get (Tu et al., linguistic, section 3.1.1); `neural`, the state of a GRU (section 3.1.2).
        size: of a `neural` coverage; the paper's best is 10.
        most: how much a position can be expected to get at most, N, with `fertility`; 2 in the paper.
    """

    kind: Literal["coverage"] = "coverage"
    coverage: CoverageKind = "sum"
    size: int = Field(default=10, ge=1)
    most: float = Field(default=2.0, gt=0)

    def build(self, sizes: Sizes) -> Coverage:
        """Build the connection for a decoder of `sizes.d_model` over a memory of `sizes.d_memory`."""
        fertility = Fertility(sizes.d_memory, self.most) if self.coverage == "fertility" else None
        inputs = 1 + sizes.d_memory + sizes.d_model
        neural = nn.GRUCell(inputs, self.size) if self.coverage == "neural" else None
        return Coverage(sizes.d_model, sizes.d_memory, fertility, neural)


class Fertility(nn.Module):
    """1 / Φ(h), Φ(h) = N · sigmoid(u · h): one over how much attention a position is expected to get.

    Args:
        d_memory: size of the memory's states.
        most: N.
    """

    def __init__(self, d_memory: int, most: float) -> None:
        super().__init__()
        self.expected, self.most = projection(d_memory, 1, bias=False), most

    def forward(self, states_NSD: Tensor) -> Tensor:
        """Factors [N, S, 1]."""
        expected_NS1: Tensor = self.expected(states_NSD).float().sigmoid() * self.most
        return 1 / expected_NS1


@final
class Coverage(Connection):
    """context = Σₛ aₛ hₛ, aₛ ∝ exp(v · tanh(W q + U hₛ + V cₛ)), where the coverage cₛ grows with every read.

    Two-way: what was read changes what will be read. Training therefore goes over the target position by position, and each row of a
    search has a coverage of its own; a beam of k holds k copies of the keys.

    Args:
        d_model: size of the queries.
        d_memory: size of the memory's states.
        fertility: what attention is multiplied with before it is added up, or `None` for 1.
        neural: makes the next coverage of attention, state and query in place of the sum, or `None`.
    """

    one_way = False

    def __init__(
        self, d_model: int, d_memory: int, fertility: Fertility | None = None, neural: nn.GRUCell | None = None
    ) -> None:
        super().__init__()
        self.fertility, self.neural = fertility, neural
        self.size = 1 if neural is None else neural.hidden_size
        self.query, self.key = projection(d_model, d_model, bias=False), projection(d_memory, d_model, bias=True)
        self.covered, self.score = projection(self.size, d_model, bias=False), projection(d_model, 1, bias=False)

    def prepare(self, memory: Memory) -> Link:
        """Keys U h + b, the states, and a coverage of 0; with `fertility` its factors stand behind it."""
        states_NSD = memory.states_BSD
        nothing_NSC = states_NSD.new_zeros(*memory.mask_BS.shape, self.size, dtype=torch.float32)
        factors = () if self.fertility is None else (self.fertility(states_NSD),)
        return Link(self.key(states_NSD), states_NSD, memory.mask_BS, (nothing_NSC, *factors))

    def forward(self, query_BTD: Tensor, link: Link, position_B: Tensor, weights: bool = False) -> tuple[Reading, Link]:  # noqa: ARG002
        """Attend from one position after the other."""
        link = link.of_rows(query_BTD.shape[0])
        covered_BSC, *factors = link.written
        asked_BTA = self.query(query_BTD)
        read = [covered_BSC.new_zeros(query_BTD.shape[0], 0, link.mask_BS.shape[1])]
        for t in range(query_BTD.shape[1]):
            known_BSA = link.keys + self.covered(covered_BSC.to(link.keys.dtype))
            score_BS = self.score((asked_BTA[:, t, None] + known_BSA).tanh())[..., 0]
            weight_BS = masked_softmax(score_BS, link.mask_BS)
            covered_BSC = self._after(covered_BSC, weight_BS, link.values, query_BTD[:, t], factors)
            read.append(weight_BS[:, None])
        weight_BTS = torch.cat(read, dim=1)
        context_BTD = weight_BTS.to(link.values.dtype) @ link.values
        reading = Reading(context_BTD, weight_BTS[:, None] if weights else None)
        return reading, replace(link, written=(covered_BSC, *factors))

    def _after(
        self, covered_BSC: Tensor, weight_BS: Tensor, states_BSD: Tensor, query_BD: Tensor, factors: list[Tensor]
    ) -> Tensor:
        """The coverage after a read."""
        more_BS1 = weight_BS[:, :, None]
        if self.neural is None:
            return covered_BSC + (more_BS1 * factors[0] if factors else more_BS1)
        B, S, _ = states_BSD.shape
        same_BSD = query_BD[:, None].expand(-1, S, -1)
        seen_BSI = torch.cat([more_BS1.to(states_BSD.dtype), states_BSD, same_BSD.to(states_BSD.dtype)], dim=-1)
        new_CC: Tensor = self.neural(seen_BSI.flatten(0, 1), covered_BSC.to(seen_BSI.dtype).flatten(0, 1))
        return new_CC.view(B, S, self.size).float()
