"""A decoding state as a list of tensors, which is what a graph takes and gives, and back again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from isthmus.core.errors import InputError, StateError
from isthmus.model.connections.connection import Link
from isthmus.model.state import DecoderState
from isthmus.nn.cache import KeyValueCache
from isthmus.nn.past import Past
from isthmus.nn.recurrent import RecurrentPast

CACHE = 0


@dataclass(frozen=True, slots=True)
class Layout:
    """What a state of a decoder is made of.

    Attributes:
        past: for each part, how many vectors it has; 0 is a cache of keys and values.
        links: for each link, how many tensors are written into it.
    """

    past: tuple[int, ...]
    links: tuple[int, ...]

    @classmethod
    def of(cls, state: DecoderState) -> Layout:
        """The layout of a state.

        Raises:
            InputError: its connections have no flat form.
            StateError: it remembers in a way that has none.
        """
        if any(link.parts or link.ids_BS is not None for link in state.links):
            raise InputError(
                "a connection that is made of others, or copies, has no flat form yet",
                expected="one that attends by itself, or a fixed vector",
                got="links inside links, or ids",
                where="model.connection",
                fix="use the engine `torch`, or export a model with another connection",
            )
        return cls(tuple(map(_vectors, state.past)), tuple(len(link.written) for link in state.links))

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
        found = []
        place = 0
        for count in self.links:
            keys, values, mask, *written = tensors[place : place + 3 + count]
            place += 3 + count
            found.append(Link(keys, values, mask, tuple(written)))
        return tuple(found)

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
    """The tensors of links."""
    return [tensor for link in links for tensor in (link.keys, link.values, link.mask_BS, *link.written)]


def _vectors(part: Past) -> int:
    if isinstance(part, RecurrentPast):
        return len(part.vectors)
    if isinstance(part, KeyValueCache):
        return CACHE
    raise StateError("a past has no flat form", expected="a cache, or vectors", got=type(part).__name__)
