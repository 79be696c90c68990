"""Keys and values of earlier positions, allocated once and written in place.

B batch, T position, S cache slot, G key/value heads, K key size.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

SLOTS = 16


@dataclass(frozen=True, slots=True)
class KeyValueCache:
    """Slots for keys and values; slot s holds position s of its row. Slots not yet written hold zeros."""

    keys_BGSK: Tensor
    values_BGSK: Tensor

    @classmethod
    def empty(cls, rows: int, heads: int, head_size: int, like: Tensor) -> KeyValueCache:
        """A cache of no slots on the device and in the type of `like`."""
        shape = (rows, heads, 0, head_size)
        return cls(like.new_zeros(shape), like.new_zeros(shape))

    @property
    def capacity(self) -> int:
        """How many positions fit."""
        return self.keys_BGSK.shape[2]

    @property
    def position_1S(self) -> Tensor:
        """The position that each slot holds."""
        return torch.arange(self.capacity, device=self.keys_BGSK.device)[None]

    def write(self, key_BGTK: Tensor, value_BGTK: Tensor, position_BT: Tensor) -> None:
        """Write a block in place; rows may stand at different positions."""
        row_B1 = torch.arange(position_BT.shape[0], device=position_BT.device)[:, None]
        self.keys_BGSK.transpose(1, 2).index_put_(
            (row_B1, position_BT), key_BGTK.transpose(1, 2).to(self.keys_BGSK.dtype)
        )
        self.values_BGSK.transpose(1, 2).index_put_(
            (row_B1, position_BT), value_BGTK.transpose(1, 2).to(self.values_BGSK.dtype)
        )

    def grown(self, capacity: int) -> KeyValueCache:
        """The same cache with room for at least `capacity` positions."""
        more = capacity - self.capacity
        if more <= 0:
            return self
        pad = torch.nn.functional.pad
        return KeyValueCache(pad(self.keys_BGSK, (0, 0, 0, more)), pad(self.values_BGSK, (0, 0, 0, more)))

    def reserved(self, positions: int) -> KeyValueCache:
        """The same cache with room for `positions` positions; one that grows takes half as much again, so that it seldom does."""
        if positions <= self.capacity:
            return self
        return self.grown(max(positions, self.capacity + self.capacity // 2, SLOTS))

    def select(self, rows: Tensor) -> KeyValueCache:
        """The given rows, in that order."""
        return KeyValueCache(self.keys_BGSK.index_select(0, rows), self.values_BGSK.index_select(0, rows))

    def fork(self) -> KeyValueCache:
        """A copy that shares no storage."""
        return KeyValueCache(self.keys_BGSK.clone(), self.values_BGSK.clone())

    def detached(self) -> KeyValueCache:
        """A copy through which no gradient flows: what reads this one still needs it for its own."""
        return KeyValueCache(self.keys_BGSK.detach().clone(), self.values_BGSK.detach().clone())

    def join(self, others: tuple[KeyValueCache, ...]) -> KeyValueCache:
        """The rows of several caches, one after the other, in as many slots as the widest has."""
        width = max(cache.capacity for cache in (self, *others))
        every = [cache.grown(width) for cache in (self, *others)]
        return KeyValueCache(torch.cat([c.keys_BGSK for c in every]), torch.cat([c.values_BGSK for c in every]))
