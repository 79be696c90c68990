"""An encoder of several sources that stand in one row of ids, divided by `<sep>` (see `Codec.source_ids`).

B row, S position in the row, D model.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import final

import torch
from pydantic import Field
from torch import Tensor, nn

from isthmus.core.config import Config
from isthmus.core.padded import Padded
from isthmus.model.encoders.encoder import Encoder
from isthmus.model.memory import Memory
from isthmus.nn.masks import in_front
from isthmus.text.vocabulary import SEP


class SourcesConfig(Config):
    """Configuration of the sources of an example.

    Attributes:
        count: how many there are; more than one are encoded each by itself, and the codec must have `sources = count`.
        shared: whether one encoder reads them all, or each has one of its own (with embeddings in common).
    """

    count: int = Field(default=1, ge=1)
    shared: bool = True


@final
class SeveralSources(Encoder):
    """Encodes each source of a row as if it stood alone, and puts the states back where their ids stand.

    A position keeps its place, so that batches, weights over the source and whatever shows them know nothing of several sources;
    `Memory.source_BS` says which source it belongs to. A `<sep>` ends the source before it. Of further separators the last ones
    count: context stands in front of the first source. The summary is the mean of those of all sources.

    Args:
        encoders: one a source; the same one several times if they share it.
    """

    def __init__(self, encoders: Sequence[Encoder]) -> None:
        super().__init__()
        self.encoders = nn.ModuleList(encoders)
        self.kept = encoders[0].kept

    @property
    def embedding(self) -> nn.Module:
        """What makes vectors of the ids of the first source; its table is that of all."""
        return self.encoders[0].get_submodule("embedding")

    def forward(self, source: Padded) -> Memory:
        """Ids [B, S] to a memory of states [B, S, D].

        Raises:
            InputError: what the encoders refuse.
        """
        mask_BS = source.mask_BT
        source_BS = numbered(source, len(self.encoders))
        memories = []
        for number, encoder in enumerate(self.encoders):
            mine_BS = mask_BS & (source_BS == number)
            order_BS, place_BS = in_front(mine_BS)
            memory: Memory = encoder(_alone(source, order_BS, mine_BS.sum(dim=1)))
            memories.append((mine_BS, _put_back(memory, place_BS)))
        summaries = [memory.summary_BD for _, memory in memories if memory.summary_BD is not None]
        return Memory(
            _chosen([(mine_BS, memory.states_BSD) for mine_BS, memory in memories]),
            mask_BS,
            torch.stack(summaries).mean(dim=0) if summaries else None,
            tuple(
                _chosen([(mine_BS, memory.layers[layer]) for mine_BS, memory in memories]) for layer in range(self.kept)
            ),
            source_BS=source_BS,
        )


def numbered(source: Padded, count: int) -> Tensor:
    """Which of `count` sources each position belongs to [B, S], counted from 0 by the last separators."""
    ends_BS = (source.ids_BT == SEP) & source.mask_BT
    behind_BS = ends_BS.long().flip(1).cumsum(dim=1).flip(1)
    return count - 1 - behind_BS.clamp(max=count - 1)


def _alone(source: Padded, order_BS: Tensor, length_B: Tensor) -> Padded:
    """One source of each row, its positions in front; as wide as the longest where asking for that costs nothing."""
    asked = not torch.compiler.is_compiling() and length_B.device.type == "cpu" and len(length_B) > 0
    width = int(length_B.max()) if asked else order_BS.shape[1]
    order_BW = order_BS[:, :width]
    attend = source.attend_BTT
    if attend is not None:
        attend = attend.gather(1, order_BW[:, :, None].expand(-1, -1, attend.shape[2]))
        attend = attend.gather(2, order_BW[:, None].expand(-1, width, -1))
    return Padded(source.ids_BT.gather(1, order_BW), length_B, attend)


def _put_back(memory: Memory, place_BS: Tensor) -> Memory:
    """The memory of one source with its states where their ids stand in the row."""

    def back(states_BWD: Tensor) -> Tensor:
        wide_BSD = nn.functional.pad(states_BWD, (0, 0, 0, place_BS.shape[1] - states_BWD.shape[1]))
        return wide_BSD.gather(1, place_BS[:, :, None].expand(-1, -1, states_BWD.shape[2]))

    return Memory(
        back(memory.states_BSD), memory.mask_BS, memory.summary_BD, tuple(back(layer) for layer in memory.layers)
    )


def _chosen(parts: Sequence[tuple[Tensor, Tensor]]) -> Tensor:
    """At each position the states of its own source."""
    found = torch.zeros_like(parts[0][1])
    for mine_BS, states_BSD in parts:
        found = torch.where(mine_BS[:, :, None], states_BSD, found)
    return found
