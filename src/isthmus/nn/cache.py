"""Keys and values of earlier positions, allocated once and written in place.

B batch, T position, S cache slot, G key/value heads, K key size.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

SLOTS = 16


@dataclass(frozen=True, slots=True)
class KeyValueCache:
    """Slots for keys and values; slot s holds position s of its row. Slots not yet written hold zeros.

    Attributes:
        keys_BGSK: keys.
        values_BGSK: values.
        used: how many slots are written, where it is known to be the same number in all rows: then blocks are written and read
            by slices.
    """

    keys_BGSK: Tensor
    values_BGSK: Tensor
    used: int | None = None

    @classmethod
    def empty(cls, rows: int, heads: int, head_size: int, like: Tensor) -> KeyValueCache:
        """A cache of no slots on the device and in the type of `like`."""
        shape = (rows, heads, 0, head_size)
        return cls(like.new_zeros(shape), like.new_zeros(shape))

    @property
    def capacity(self) -> int:
        """How many positions fit."""
        return self.keys_BGSK.shape[2]

    def slots(self, block: int = 0) -> int:
        """How many slots are read after `block` more positions were written."""
        return self.capacity if self.used is None else self.used + block

    def position_1S(self, block: int = 0) -> Tensor:
        """The position that each of these slots holds."""
        return torch.arange(self.slots(block), device=self.keys_BGSK.device)[None]

    def read(self) -> tuple[Tensor, Tensor]:
        """Keys and values [B, G, S, K] of these slots."""
        if self.used is None:
            return self.keys_BGSK, self.values_BGSK
        return self.keys_BGSK[:, :, : self.used], self.values_BGSK[:, :, : self.used]

    def write(self, key_BGTK: Tensor, value_BGTK: Tensor, position_BT: Tensor) -> KeyValueCache:
        """Write a block in place.

        Args:
            key_BGTK: keys.
            value_BGTK: values.
            position_BT: where they stand, each row at a position of its own; not read where `used` says it.

        Returns:
            the cache as the next block finds it.
        """
        if self.used is not None:
            stop = self.used + key_BGTK.shape[2]
            self.keys_BGSK[:, :, self.used : stop].copy_(key_BGTK)
            self.values_BGSK[:, :, self.used : stop].copy_(value_BGTK)
            return replace(self, used=stop)
        row_B1 = torch.arange(position_BT.shape[0], device=position_BT.device)[:, None]
        self.keys_BGSK.transpose(1, 2).index_put_(
            (row_B1, position_BT), key_BGTK.transpose(1, 2).to(self.keys_BGSK.dtype)
        )
        self.values_BGSK.transpose(1, 2).index_put_(
            (row_B1, position_BT), value_BGTK.transpose(1, 2).to(self.values_BGSK.dtype)
        )
        return self

    def grown(self, capacity: int) -> KeyValueCache:
        """The same cache with room for at least `capacity` positions."""
        more = capacity - self.capacity
        if more <= 0:
            return self
        pad = torch.nn.functional.pad
        return KeyValueCache(pad(self.keys_BGSK, (0, 0, 0, more)), pad(self.values_BGSK, (0, 0, 0, more)), self.used)

    def reserved(self, positions: int) -> KeyValueCache:
        """The same cache with room for `positions` positions; one that grows takes half as much again, so that it seldom does."""
        if positions <= self.capacity:
            return self
        return self.grown(max(positions, self.capacity + self.capacity // 2, SLOTS))

    def select(self, rows: Tensor) -> KeyValueCache:
        """The given rows, in that order; of a cache that knows what is written, no more than that is copied."""
        return KeyValueCache(
            _selected(self.keys_BGSK, rows, self.used), _selected(self.values_BGSK, rows, self.used), self.used
        )

    def fork(self) -> KeyValueCache:
        """A copy that shares no storage."""
        return KeyValueCache(self.keys_BGSK.clone(), self.values_BGSK.clone(), self.used)

    def detached(self) -> KeyValueCache:
        """A copy through which no gradient flows: what reads this one still needs it for its own."""
        return KeyValueCache(self.keys_BGSK.detach().clone(), self.values_BGSK.detach().clone(), self.used)

    def join(self, others: tuple[KeyValueCache, ...]) -> KeyValueCache:
        """The rows of several caches, one after the other, in as many slots as the widest has."""
        width = max(cache.capacity for cache in (self, *others))
        every = [cache.grown(width) for cache in (self, *others)]
        used = self.used if {cache.used for cache in every} == {self.used} else None
        return KeyValueCache(torch.cat([c.keys_BGSK for c in every]), torch.cat([c.values_BGSK for c in every]), used)


def _selected(slots_BGSK: Tensor, rows: Tensor, used: int | None) -> Tensor:
    """The given rows, with as many slots in all as before, of which only the first `used` are copied."""
    _, G, S, K = slots_BGSK.shape
    if used is None or used >= S:
        return slots_BGSK.index_select(0, rows)
    new_BGSK = slots_BGSK.new_zeros(rows.shape[0], G, S, K)
    new_BGSK[:, :, :used] = slots_BGSK[:, :, :used][rows]
    return new_BGSK
