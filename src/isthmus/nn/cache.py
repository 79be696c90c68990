"""Keys and values of earlier positions, allocated once and written in place.

B batch, T position, S cache slot, G key/value heads, K key size.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from isthmus.core.errors import StateError
from isthmus.nn.masks import causal_TT

SLOTS = 16
SHARING = 16  # so many rows at most share slots: each of them attends to those of all


@dataclass(frozen=True, slots=True)
class KeyValueCache:
    """Slots for keys and values; slot s holds position s of its row. Slots not yet written hold zeros.

    Where rows may share slots, a beam search that reorders rows within groups (the beams of a sentence) copies nothing: the k rows of
    a group have one row here, in which all that they have read stands in the order in which it was written, and `seen_BS`
    says which slots are the past of which row. `rowwise` is the naive twin.

    Attributes:
        keys_BGSK: keys; the first axis is the row, or the group.
        values_BGSK: values.
        used: how many positions are written, where it is known to be the same number in all rows: then blocks are written and
            read by slices.
        sharing: whether rows may share slots, once `used` is known.
        seen_BS: bool, one a row, over the slots written so far, where rows share them.
    """

    keys_BGSK: Tensor
    values_BGSK: Tensor
    used: int | None = None
    sharing: bool = False
    seen_BS: Tensor | None = None

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
    def group(self) -> int:
        """How many rows share slots."""
        return 1 if self.seen_BS is None else self.seen_BS.shape[0] // max(self.keys_BGSK.shape[0], 1)

    def slots(self, block: int = 0) -> int:
        """How many slots are read after `block` more positions were written."""
        if self.seen_BS is not None:
            return self.seen_BS.shape[1] + self.group * block
        return self.capacity if self.used is None else self.used + block

    def position_1S(self, block: int = 0) -> Tensor:
        """The position that each of these slots holds."""
        return torch.arange(self.slots(block), device=self.keys_BGSK.device)[None]

    def read(self) -> tuple[Tensor, Tensor]:
        """Keys and values [B, G, S, K] of these slots."""
        if self.used is None:
            return self.keys_BGSK, self.values_BGSK
        return self.keys_BGSK[:, :, : self.slots()], self.values_BGSK[:, :, : self.slots()]

    def visible(self, block: int) -> Tensor:
        """Which slots each position of a block will see, where rows share slots: bool [B / k, 1, k x block, S]."""
        if self.seen_BS is None:
            raise StateError("slots are shared", expected="rows that share slots", got="rows with slots of their own")
        k, (B, S), device = self.group, self.seen_BS.shape, self.seen_BS.device
        own_QQ = torch.eye(k, dtype=torch.bool, device=device)[:, None, :, None] & causal_TT(block, device)[:, None, :]
        past_NQS = self.seen_BS.view(B // k, k, 1, S).expand(-1, -1, block, -1).reshape(B // k, k * block, S)
        return torch.cat([past_NQS, own_QQ.reshape(k * block, -1).expand(B // k, -1, -1)], dim=2)[:, None]

    def write(
        self, key_BGTK: Tensor, value_BGTK: Tensor, position_BT: Tensor, visible: Tensor | None = None
    ) -> KeyValueCache:
        """Write a block in place.

        Args:
            key_BGTK: keys; the rows of a group that share slots one after the other along T.
            value_BGTK: values.
            position_BT: where they stand, each row at a position of its own; not read where `used` says it.
            visible: what `visible` gave, where rows share slots.

        Returns:
            the cache as the next block finds it.
        """
        if self.used is not None:
            start, block = self.slots(), key_BGTK.shape[2] // self.group
            stop = start + key_BGTK.shape[2]
            self.keys_BGSK[:, :, start:stop].copy_(key_BGTK)
            self.values_BGSK[:, :, start:stop].copy_(value_BGTK)
            seen_BS = (
                None if visible is None else visible.reshape(-1, block, stop)[:, -1]
            )  # the last sees all of its row
            return replace(self, used=self.used + block, seen_BS=seen_BS)
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
        return replace(
            self, keys_BGSK=pad(self.keys_BGSK, (0, 0, 0, more)), values_BGSK=pad(self.values_BGSK, (0, 0, 0, more))
        )

    def reserved(self, positions: int) -> KeyValueCache:
        """The same cache with room for `positions` positions; one that grows takes half as much again, so that it seldom does."""
        wanted = positions if self.used is None else self.slots(positions - self.used)
        if wanted <= self.capacity:
            return self
        return self.grown(max(wanted, self.capacity + self.capacity // 2, SLOTS))

    def select(self, rows: Tensor) -> KeyValueCache:
        """The given rows, in that order; of a cache that knows what is written, no more than that is copied.

        Rows that stay within their group, or become a group, share slots from now on.
        """
        if self.sharing and self.used and (groups := self._groups(rows)) is not None:
            return self._shared(rows, groups, self.used)
        own = self.rowwise()
        return replace(
            own,
            keys_BGSK=_selected(own.keys_BGSK, rows, own.used),
            values_BGSK=_selected(own.values_BGSK, rows, own.used),
        )

    def rowwise(self) -> KeyValueCache:
        """The same past with slots of its own for each row, in the order of the positions."""
        if self.seen_BS is None or self.used is None:
            return self
        slot_BP = self.seen_BS.nonzero()[:, 1].view(-1, self.used)
        group_B1 = torch.arange(slot_BP.shape[0], device=slot_BP.device)[:, None] // self.group
        return replace(
            self,
            keys_BGSK=self.keys_BGSK[group_B1, :, slot_BP].transpose(1, 2),
            values_BGSK=self.values_BGSK[group_B1, :, slot_BP].transpose(1, 2),
            seen_BS=None,
        )

    def _groups(self, rows: Tensor) -> Tensor | None:
        """The groups of the given rows, if each has as many of them, more than one, and they stand together; else `None`."""
        group_B = torch.div(rows, self.group, rounding_mode="floor")
        kept_N: Tensor = torch.unique_consecutive(group_B)
        width, rest = divmod(rows.shape[0], max(kept_N.shape[0], 1))
        if rest or not 1 < width <= SHARING or not torch.equal(kept_N.repeat_interleave(width), group_B):
            return None
        return kept_N

    def _shared(self, rows: Tensor, kept_N: Tensor, used: int) -> KeyValueCache:
        """The given rows of the kept groups, which share slots; copied are whole groups, and only when one has left."""
        seen_BS = rows.new_ones(rows.shape[0], used).bool() if self.seen_BS is None else self.seen_BS[rows]
        count, written = self.keys_BGSK.shape[0], self.slots()
        if kept_N.shape[0] == count and torch.equal(kept_N, torch.arange(count, device=rows.device)):
            return replace(self, seen_BS=seen_BS)
        return replace(
            self,
            keys_BGSK=_selected(self.keys_BGSK, kept_N, written),
            values_BGSK=_selected(self.values_BGSK, kept_N, written),
            seen_BS=seen_BS,
        )

    def fork(self) -> KeyValueCache:
        """A copy that shares no storage."""
        return replace(self, keys_BGSK=self.keys_BGSK.clone(), values_BGSK=self.values_BGSK.clone())

    def detached(self) -> KeyValueCache:
        """A copy through which no gradient flows: what reads this one still needs it for its own."""
        return replace(self, keys_BGSK=self.keys_BGSK.detach().clone(), values_BGSK=self.values_BGSK.detach().clone())

    def join(self, others: tuple[KeyValueCache, ...]) -> KeyValueCache:
        """The rows of several caches, one after the other, in as many slots as the widest has."""
        own = [cache.rowwise() for cache in (self, *others)]
        width = max(cache.capacity for cache in own)
        every = [cache.grown(width) for cache in own]
        used = self.used if {cache.used for cache in every} == {self.used} else None
        keys_BGSK, values_BGSK = (torch.cat([c.keys_BGSK for c in every]), torch.cat([c.values_BGSK for c in every]))
        return KeyValueCache(keys_BGSK, values_BGSK, used, all(cache.sharing for cache in every))


def _selected(slots_BGSK: Tensor, rows: Tensor, used: int | None) -> Tensor:
    """The given rows, with as many slots in all as before, of which only the first `used` are copied."""
    _, G, S, K = slots_BGSK.shape
    if used is None or used >= S:
        return slots_BGSK.index_select(0, rows)
    new_BGSK = slots_BGSK.new_zeros(rows.shape[0], G, S, K)
    new_BGSK[:, :, :used] = slots_BGSK[:, :, :used][rows]
    return new_BGSK
