"""The strip of land between encoder and decoder: the interface that every connection fulfils.

B query rows, N sources, T target position, S source position, D model, H heads.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from isthmus.core.config import Config
from isthmus.model.memory import Memory
from isthmus.model.sizes import Sizes


@dataclass(frozen=True, slots=True)
class Link:
    """A memory as one decoder layer reads it.

    The first axis of every tensor is the row. The last but one of `keys`, `values` and `written` is the source position (of
    size 1 where there is none), so that links of sources of different lengths can be joined.

    Attributes:
        keys: what queries are compared with, for example [N, G, S, K].
        values: what is read, for example [N, G, S, K].
        mask_BS: `True` where a source position may be read.
        written: what decoding has written (coverage, rewritten states): empty for a one-way connection. A link that was
            written into belongs to a row of the search, others to a source.
        parts: the links of the connections that this one is made of.
        ids_BS: the ids at the source positions, where they may be copied.
    """

    keys: Tensor
    values: Tensor
    mask_BS: Tensor
    written: tuple[Tensor, ...] = ()
    parts: tuple[Link, ...] = ()
    ids_BS: Tensor | None = None

    @property
    def rows(self) -> int:
        """How many rows (sources, or rows of the search) the link holds."""
        return self.mask_BS.shape[0]

    @property
    def by_row(self) -> bool:
        """Whether decoding has written into it, so that each of its rows belongs to one row of the search."""
        return bool(self.written) or any(part.by_row for part in self.parts)

    def readers(self, queries: int) -> int:
        """How many of `queries` query rows read each row of the link: those that stand together."""
        return queries // self.rows if self.rows else 1

    def of_rows(self, rows: int) -> Link:
        """The link with a row of its own for each of `rows` rows of the search, to be written into."""
        return self if self.rows == rows else self.repeat(self.readers(rows))

    def select(self, rows: Tensor) -> Link:
        """The given rows (int64 indices), in that order."""
        return Link(
            self.keys.index_select(0, rows),
            self.values.index_select(0, rows),
            self.mask_BS.index_select(0, rows),
            tuple(part.index_select(0, rows) for part in self.written),
            tuple(part.select(rows) for part in self.parts),
            None if self.ids_BS is None else self.ids_BS.index_select(0, rows),
        )

    def repeat(self, times: int) -> Link:
        """Each row `times` times in a row."""
        return self.select(torch.arange(self.rows, device=self.mask_BS.device).repeat_interleave(times))

    @staticmethod
    def join(links: Sequence[Link]) -> Link:
        """The rows of several links, one after the other; short sources get masked positions."""
        ids = [link.ids_BS[:, :, None] for link in links if link.ids_BS is not None]
        return Link(
            _stacked([link.keys for link in links]),
            _stacked([link.values for link in links]),
            _stacked([link.mask_BS[:, :, None] for link in links])[:, :, 0],
            tuple(_stacked(parts) for parts in zip(*(link.written for link in links), strict=True)),
            tuple(Link.join(parts) for parts in zip(*(link.parts for link in links), strict=True)),
            _stacked(ids)[:, :, 0] if ids else None,
        )


def _stacked(parts: Sequence[Tensor]) -> Tensor:
    """Rows one after the other; where the last axis but one is shorter, zeros are added."""
    width = max(part.shape[-2] for part in parts)
    return torch.cat([torch.nn.functional.pad(part, (0, 0, 0, width - part.shape[-2])) for part in parts])


@dataclass(frozen=True, slots=True)
class Reading:
    """What one read of a link returned.

    Attributes:
        context_BTD: the vector that was read at each target position.
        weights_BHTS: how much of each source position each head read: at least 0, 0 on padding, rows sum to 1; `None` where
            they were not asked for or the connection has none.
        copy_BTS: a distribution over source positions to copy from, for connections that offer one.
        ids_BS: the ids at those positions.
    """

    context_BTD: Tensor
    weights_BHTS: Tensor | None = None
    copy_BTS: Tensor | None = None
    ids_BS: Tensor | None = None

    def select(self, rows: Tensor) -> Reading:
        """What the given rows (int64 indices) read, in that order."""
        return Reading(
            self.context_BTD[rows],
            None if self.weights_BHTS is None else self.weights_BHTS[rows],
            None if self.copy_BTS is None else self.copy_BTS[rows],
            None if self.ids_BS is None else self.ids_BS[rows],
        )


class Connection(nn.Module, ABC):
    """How a decoder reads a memory.

    Attributes:
        one_way: whether reading leaves the link as it was. Then a whole target is read at once in training; a two-way connection
            goes position by position inside its `forward`, and where k > 1 rows read a link it writes into `link.repeat(k)`
            (see `Link.of_rows`).
    """

    one_way: bool = True

    @abstractmethod
    def prepare(self, memory: Memory) -> Link:
        """Do once what does not depend on the target: [N, S, D] to a link of N rows."""

    @abstractmethod
    def forward(self, query_BTD: Tensor, link: Link, position_B: Tensor, weights: bool = False) -> tuple[Reading, Link]:
        """Read the link.

        Args:
            query_BTD: the decoder's states; B = N·k, and k rows in a row read the same source.
            link: N rows.
            position_B: target position of the first query of each row.
            weights: whether the reading shall carry its weights; asking never changes the context.

        Returns:
            The reading, and the link as the next read finds it (a one-way connection returns the link it got).
        """


class ConnectionKind(Config):
    """Configuration of one kind of connection, which it builds; its field `kind` names it in recipes."""

    @abstractmethod
    def build(self, sizes: Sizes) -> Connection:
        """Build one with fresh weights, for a decoder and a memory of these sizes.

        Raises:
            ConfigError: it does not fit them.
        """

    def build_layers(self, sizes: Sizes, layers: int) -> list[Connection]:
        """One for each layer of a decoder; none has anything in common with another unless a kind says otherwise.

        Raises:
            ConfigError: as `build`.
        """
        return [self.build(sizes) for _ in range(layers)]
