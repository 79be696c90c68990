"""A decoding state as a list of tensors, which is what a graph takes and gives, and back again."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from isthmus.core.errors import StateError
from isthmus.model.connections.connection import Link
from isthmus.model.state import DecoderState
from isthmus.nn.cache import KeyValueCache
from isthmus.nn.past import Past
from isthmus.nn.recurrent import RecurrentPast

CACHE = 0


@dataclass(frozen=True, slots=True)
class LinkLayout:
    """What a link is made of, beside keys, values and mask.

    Attributes:
        written: how many tensors are written into it.
        ids: whether it has the ids of its source.
        parts: the links that it is made of.
    """

    written: int
    ids: bool
    parts: tuple[LinkLayout, ...]

    @classmethod
    def of(cls, link: Link) -> LinkLayout:
        """The layout of a link."""
        return cls(len(link.written), link.ids_BS is not None, tuple(map(LinkLayout.of, link.parts)))

    def is_written(self) -> Iterator[bool]:
        """For each of its tensors and those of its parts, whether decoding writes into it."""
        yield from (False,) * 3 + (True,) * self.written + (False,) * self.ids
        for part in self.parts:
            yield from part.is_written()

    def link(self, tensors: Iterator[Tensor]) -> Link:
        """The link again, from the next tensors."""
        keys, values, mask_BS = (next(tensors) for _ in range(3))
        written = tuple(next(tensors) for _ in range(self.written))
        ids_BS = next(tensors) if self.ids else None
        return Link(keys, values, mask_BS, written, tuple(part.link(tensors) for part in self.parts), ids_BS)


@dataclass(frozen=True, slots=True)
class Layout:
    """What a state of a decoder is made of.

    Attributes:
        past: for each part, how many vectors it has; 0 is a cache of keys and values.
        links: each link.
    """

    past: tuple[int, ...]
    links: tuple[LinkLayout, ...]

    @classmethod
    def of(cls, state: DecoderState) -> Layout:
        """The layout of a state.

        Raises:
            StateError: it remembers in a way that has no flat form.
        """
        return cls(tuple(map(_vectors, state.past)), tuple(map(LinkLayout.of, state.links)))

    @property
    def written(self) -> tuple[int, ...]:
        """Which of the links' tensors decoding writes into."""
        every = (written for link in self.links for written in link.is_written())
        return tuple(number for number, written in enumerate(every) if written)

    @property
    def past_tensors(self) -> int:
        """How many tensors the past is."""
        return sum(count or 2 for count in self.past)

    def past_of(self, tensors: Sequence[Tensor]) -> tuple[Past, ...]:
        """The past again; the tensors of caches are copied, because they are written in place."""
        found: list[Past] = []
        place = 0
        for count in self.past:
            own = tensors[place : place + (count or 2)]
            place += count or 2
            found.append(RecurrentPast(tuple(own)) if count else KeyValueCache(own[0].clone(), own[1].clone()))
        return tuple(found)

    def links_of(self, tensors: Sequence[Tensor]) -> tuple[Link, ...]:
        """The links again."""
        rest = iter(tensors)
        return tuple(layout.link(rest) for layout in self.links)

    def state_of(self, position_B: Tensor, past: Sequence[Tensor], links: Sequence[Tensor]) -> DecoderState:
        """A state whose rows each have a link of their own."""
        row_B = torch.arange(position_B.shape[0])
        return DecoderState(position_B, self.past_of(past), self.links_of(links), row_B)


def flat_past(past: Sequence[Past], slots: int = 0) -> list[Tensor]:
    """The tensors of a past.

    Args:
        past: its parts.
        slots: caches have room for at least so many positions.
    """
    found: list[Tensor] = []
    for part in past:
        if isinstance(part, KeyValueCache):
            grown = part.grown(slots)
            found += [grown.keys_BGSK, grown.values_BGSK]
        elif isinstance(part, RecurrentPast):
            found += part.vectors
    return found


def flat_links(links: Sequence[Link]) -> list[Tensor]:
    """The tensors of links, each followed by those of its parts."""
    return [tensor for link in links for tensor in _flat_link(link)]


def _flat_link(link: Link) -> list[Tensor]:
    ids = [] if link.ids_BS is None else [link.ids_BS]
    return [link.keys, link.values, link.mask_BS, *link.written, *ids, *flat_links(link.parts)]


def _vectors(part: Past) -> int:
    if isinstance(part, RecurrentPast):
        return len(part.vectors)
    if isinstance(part, KeyValueCache):
        return CACHE
    raise StateError("a past has no flat form", expected="a cache, or vectors", got=type(part).__name__)
