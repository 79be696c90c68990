"""A two-way connection for the tests: it remembers how much of each source position was read, and reads it less again.

B query rows, N sources, T target position, S source position, D model.
"""

from __future__ import annotations

from typing import final

import torch
from torch import Tensor, nn

from isthmus.model.connections.connection import Connection, Link, Reading
from isthmus.model.memory import Memory

PENALTY = 1.5


@final
class Coverage(Connection):
    """One head of attention, its scores lowered by the attention given so far (after Tu et al. 2016)."""

    one_way = False

    def __init__(self, d_model: int) -> None:
        super().__init__()
        self.query = nn.Linear(d_model, d_model)
        self.key = nn.Linear(d_model, d_model)
        self.value = nn.Linear(d_model, d_model)

    def prepare(self, memory: Memory) -> Link:
        covered_NS1 = memory.states_BSD.new_zeros(*memory.mask_BS.shape, 1)
        return Link(self.key(memory.states_BSD), self.value(memory.states_BSD), memory.mask_BS, (covered_NS1,))

    def forward(self, query_BTD: Tensor, link: Link, position_B: Tensor, weights: bool = False) -> tuple[Reading, Link]:
        rows = query_BTD.shape[0]
        link = link if link.rows == rows else link.repeat(link.readers(rows))
        (covered_BS1,) = link.written
        query_BTD = self.query(query_BTD) * query_BTD.shape[2] ** -0.5
        read = [query_BTD.new_zeros(rows, 0, link.mask_BS.shape[1])]
        for t in range(query_BTD.shape[1]):
            score_BS1 = link.keys @ query_BTD[:, t, :, None] - PENALTY * covered_BS1
            mask_BS1 = link.mask_BS[:, :, None]
            weight_BS1 = (
                torch.softmax(score_BS1.masked_fill(~mask_BS1, torch.finfo(score_BS1.dtype).min), dim=1) * mask_BS1
            )
            covered_BS1 = covered_BS1 + weight_BS1
            read.append(weight_BS1.transpose(1, 2))
        weights_BTS = torch.cat(read, dim=1)
        reading = Reading(weights_BTS @ link.values, weights_BTS[:, None] if weights else None)
        return reading, Link(link.keys, link.values, link.mask_BS, (covered_BS1,))
