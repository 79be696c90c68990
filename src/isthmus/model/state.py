"""Everything that changes while decoding, as one value.

B row of the search, N source.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TypeVar

import torch
from torch import Tensor

from isthmus.core.errors import StateError
from isthmus.model.connections.connection import Link
from isthmus.nn.past import Past

P = TypeVar("P", bound=Past)


class Ticket:
    """Whether a state was consumed; caches are written in place, so a consumed state no longer tells the truth."""

    __slots__ = ("_spent",)

    def __init__(self) -> None:
        self._spent = False

    def spend(self) -> None:
        """Mark the state as consumed.

        Raises:
            StateError: it was consumed before.
        """
        self.check()
        self._spent = True

    def check(self) -> None:
        """Raise a StateError if the state was consumed."""
        if self._spent:
            raise StateError(
                "a decoding state is consumed by `step`, `select` and `join`",
                expected="the state that the last call returned",
                got="one that was consumed before",
                fix="keep the returned state, or take `state.fork()` first to go two ways",
            )


@dataclass(frozen=True, slots=True)
class DecoderState:
    """Where each row of the search stands: its position, its past, and its way to its source.

    Attributes:
        position_B: int64, the position that the next token of each row takes.
        past: what the decoder's layers remember of earlier positions; empty when nothing is remembered.
        links: each layer's link; one row a source (a row of the search where decoding writes into it).
        source_of_row_B: int64, which row of the links each row reads.
        remember: whether later steps will need this one; training reads one whole block and remembers nothing.
        used: an upper bound of the positions written so far, in any row.
        rows_per_source: k if row i reads source i // k, else 0.
        ticket: spent when the state is consumed.
    """

    position_B: Tensor
    past: tuple[Past, ...]
    links: tuple[Link, ...]
    source_of_row_B: Tensor
    remember: bool = True
    used: int = 0
    rows_per_source: int = 1
    ticket: Ticket = field(default_factory=Ticket, compare=False, repr=False)

    def select(self, rows: Tensor) -> DecoderState:
        """The given rows (int64 indices), in that order and as often as named; consumes this state.

        The past is reordered; links stay one a source, and those that no row reads any more are dropped.

        Raises:
            StateError: this state was consumed before.
        """
        self.ticket.spend()
        position_B = self.position_B[rows]
        used = int(position_B.max()) if rows.shape[0] else 0
        past = tuple(part.select(rows) for part in self.past)
        source_of_row_B = self.source_of_row_B[rows]
        if torch.equal(source_of_row_B, self.source_of_row_B):
            return replace(self, position_B=position_B, past=past, used=used, ticket=Ticket())
        kept_N, source_of_row_B = torch.unique(source_of_row_B, return_inverse=True)
        links = (
            self.links if kept_N.shape[0] == self.links[0].rows else tuple(link.select(kept_N) for link in self.links)
        )
        rows_per_source = _rows_per_source(source_of_row_B, kept_N.shape[0])
        return DecoderState(position_B, past, links, source_of_row_B, self.remember, used, rows_per_source)

    def fork(self) -> DecoderState:
        """A copy with a past of its own, so that one can go on from the same point twice.

        Raises:
            StateError: this state was consumed before.
        """
        self.ticket.check()
        return DecoderState(
            self.position_B,
            tuple(part.fork() for part in self.past),
            self.links,
            self.source_of_row_B,
            self.remember,
            self.used,
            self.rows_per_source,
        )

    def detached(self) -> DecoderState:
        """The same state, through whose past no gradient flows: where a segment ends in training; consumes this one.

        Gradients still reach the memory through the links.

        Raises:
            StateError: this state was consumed before.
        """
        self.ticket.spend()
        links = tuple(replace(link, written=tuple(part.detach() for part in link.written)) for link in self.links)
        return replace(self, past=tuple(part.detached() for part in self.past), links=links, ticket=Ticket())

    @staticmethod
    def join(states: Sequence[DecoderState]) -> DecoderState:
        """The rows of several states, one after the other; consumes them.

        Raises:
            StateError: one of them was consumed before.
        """
        for state in states:
            state.ticket.spend()
        counts = [state.links[0].rows for state in states]
        starts = [sum(counts[:index]) for index in range(len(counts))]
        source_of_row_B = torch.cat(
            [state.source_of_row_B + start for state, start in zip(states, starts, strict=True)]
        )
        return DecoderState(
            torch.cat([state.position_B for state in states]),
            tuple(parts[0].join(parts[1:]) for parts in zip(*(state.past for state in states), strict=True)),
            tuple(Link.join(links) for links in zip(*(state.links for state in states), strict=True)),
            source_of_row_B,
            all(state.remember for state in states),
            max(state.used for state in states),
            _rows_per_source(source_of_row_B, sum(counts)),
        )

    def reserve(self, block: int) -> DecoderState:
        """The same state, consumed, with room for `block` more positions in every row."""
        self.ticket.spend()
        need = self.used + block
        past = tuple(part.reserved(need) for part in self.past)
        return DecoderState(
            self.position_B, past, self.links, self.source_of_row_B, self.remember, need, self.rows_per_source
        )

    def after(self, block: int, links: tuple[Link, ...], past: tuple[Past, ...] | None = None) -> DecoderState:
        """The state after a decoder read a block: positions moved on, links as the connections returned them.

        Links of one-way connections are kept one a source; links that were written into belong to rows from now on.

        Args:
            block: how many positions were read.
            links: each layer's link.
            past: the new past; `None` where the old one was written into.
        """
        by_row = any(link.by_row for link in links)
        rows = self.source_of_row_B
        if by_row:
            count = self.position_B.shape[0]
            rows = torch.arange(count, device=self.position_B.device)
            links = tuple(link.of_rows(count) for link in links)
        return DecoderState(
            self.position_B + block,
            self.past if past is None else past,
            links if by_row else self.links,
            rows,
            self.remember,
            self.used,
            1 if by_row else self.rows_per_source,
        )

    def past_of(self, kind: type[P]) -> tuple[P, ...]:
        """The past, known to be of one kind.

        Raises:
            StateError: it is another decoder's.
        """
        own = tuple(part for part in self.past if isinstance(part, kind))
        if len(own) < len(self.past):
            raise StateError(
                "a decoder goes on from its own states",
                expected=f"a past of {kind.__name__}",
                got=", ".join(sorted({type(part).__name__ for part in self.past})),
                fix="start with the model that steps",
            )
        return own

    def links_by_row(self) -> tuple[Link, ...]:
        """The links so that k rows in a row read one row of them, as `Connection.forward` asks."""
        return self.links if self.rows_per_source else tuple(link.select(self.source_of_row_B) for link in self.links)


def _rows_per_source(source_of_row_B: Tensor, sources: int) -> int:
    """K if row i reads source i // k for every i, else 0."""
    rows = source_of_row_B.shape[0]
    if sources == 0 or rows % sources:
        return 0
    regular_B = torch.arange(sources, device=source_of_row_B.device).repeat_interleave(rows // sources)
    return rows // sources if torch.equal(regular_B, source_of_row_B) else 0
