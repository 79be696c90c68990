"""Attention that also says which source position to copy: the pointer of a pointer-generator (See et al. 2017, section 2.2).

B query rows, N sources, T target position, S source position, H heads.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Literal, final

from torch import Tensor

from isthmus.core.errors import StateError
from isthmus.model.connections.attention import AttentionConfig
from isthmus.model.connections.connection import Connection, ConnectionKind, Link, Reading
from isthmus.model.connections.global_attention import GlobalAttentionConfig
from isthmus.model.memory import Memory
from isthmus.model.sizes import Sizes


class CopyingConfig(ConnectionKind):
    """Configuration of attention that offers its weights to copy by; the head `pointer-generator` mixes them in.

    Attributes:
        kind: names the connection.
        read: how the memory is read; `coverage` is the paper's section 2.3.
    """

    kind: Literal["copying"] = "copying"
    read: AttentionConfig = GlobalAttentionConfig(similarity="additive")

    def build(self, sizes: Sizes) -> Copying:
        """Build the connection for a decoder of `sizes.d_model` over a memory of `sizes.d_memory`.

        Raises:
            ConfigError: the connection inside does not fit these sizes.
        """
        return Copying(self.read.build(sizes))


@final
class Copying(Connection):
    """Reads as the connection inside does; the mean of its heads' weights is the distribution to copy from.

    Args:
        read: attends.
    """

    def __init__(self, read: Connection) -> None:
        super().__init__()
        self.read, self.one_way = read, read.one_way

    def prepare(self, memory: Memory) -> Link:
        """The link of the connection inside, with the source's ids.

        Raises:
            StateError: the memory does not know the ids of its positions.
        """
        if memory.ids_BS is None:
            raise StateError(
                "copying needs the ids of the source",
                expected="a memory with `ids_BS`, as `model.encode` gives it",
                got="one without",
                fix="encode with the model, or set `ids_BS`",
            )
        return replace(self.read.prepare(memory), ids_BS=memory.ids_BS)

    def forward(self, query_BTD: Tensor, link: Link, position_B: Tensor, weights: bool = False) -> tuple[Reading, Link]:
        """Read, and offer what was read to be copied."""
        reading, link = self.read(query_BTD, link, position_B, weights=True)
        ids_BS = link.ids_BS
        if ids_BS is not None:
            ids_BS = ids_BS.repeat_interleave(link.readers(query_BTD.shape[0]), dim=0)
        copy_BTS = None if reading.weights_BHTS is None else reading.weights_BHTS.float().mean(dim=1)
        return Reading(reading.context_BTD, reading.weights_BHTS if weights else None, copy_BTS, ids_BS), link
