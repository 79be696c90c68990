"""The encoder's output as a value.

B batch, S source position, D model.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor


@dataclass(frozen=True, slots=True)
class Memory:
    """What an encoder says of its source: one vector a position, and on request one vector for all of it.

    Attributes:
        states_BSD: a vector for each source position.
        mask_BS: `True` where a position is real; what stands elsewhere is never read.
        summary_BD: the fixed-length vector *c*, if the encoder makes one.
        layers: the embedded source and the states after each encoder layer, if the encoder keeps them.
        ids_BS: the ids at the positions, for those who copy; the model adds them to what an encoder says.
        source_BS: int64, which source each position belongs to where there are several, from 0.
    """

    states_BSD: Tensor
    mask_BS: Tensor
    summary_BD: Tensor | None = None
    layers: tuple[Tensor, ...] = ()
    ids_BS: Tensor | None = None
    source_BS: Tensor | None = None

    def select(self, rows: Tensor) -> Memory:
        """The memories of the given rows (int64 indices), in that order."""
        return Memory(
            self.states_BSD.index_select(0, rows),
            self.mask_BS.index_select(0, rows),
            None if self.summary_BD is None else self.summary_BD.index_select(0, rows),
            tuple(layer.index_select(0, rows) for layer in self.layers),
            None if self.ids_BS is None else self.ids_BS.index_select(0, rows),
            None if self.source_BS is None else self.source_BS.index_select(0, rows),
        )

    def repeat(self, times: int) -> Memory:
        """Each row `times` times in a row."""
        rows = torch.arange(self.mask_BS.shape[0], device=self.mask_BS.device).repeat_interleave(times)
        return self.select(rows)

    @staticmethod
    def concat(memories: Sequence[Memory]) -> Memory:
        """The positions of several sources of the same rows, one after the other; the summary is the mean of theirs.

        Each memory is one source of the new one, numbered in their order.
        """
        ids = [memory.ids_BS for memory in memories if memory.ids_BS is not None]
        numbers = [torch.full_like(memory.mask_BS, number, dtype=torch.int64) for number, memory in enumerate(memories)]
        summaries = [memory.summary_BD for memory in memories if memory.summary_BD is not None]
        return Memory(
            torch.cat([memory.states_BSD for memory in memories], dim=1),
            torch.cat([memory.mask_BS for memory in memories], dim=1),
            torch.stack(summaries).mean(dim=0) if len(summaries) == len(memories) else None,
            tuple(torch.cat(layer, dim=1) for layer in zip(*(memory.layers for memory in memories), strict=True)),
            torch.cat(ids, dim=1) if len(ids) == len(memories) else None,
            torch.cat(numbers, dim=1),
        )

    def to(self, device: torch.device | str) -> Memory:
        """The same memory on a device."""
        return replace(
            self,
            states_BSD=self.states_BSD.to(device),
            mask_BS=self.mask_BS.to(device),
            summary_BD=None if self.summary_BD is None else self.summary_BD.to(device),
            layers=tuple(layer.to(device) for layer in self.layers),
            ids_BS=None if self.ids_BS is None else self.ids_BS.to(device),
            source_BS=None if self.source_BS is None else self.source_BS.to(device),
        )
