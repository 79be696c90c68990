"""What a decoder remembers of the positions it has read, whatever form that takes."""

from __future__ import annotations

from typing import Protocol, Self

from torch import Tensor


class Past(Protocol):
    """One part of a decoder's past: keys and values of every position, or a few vectors that sum them up.

    The first axis of all that it holds is the row of the search.
    """

    def reserved(self, positions: int) -> Self:
        """The same past with room for `positions` positions in all."""
        ...

    def select(self, rows: Tensor) -> Self:
        """The given rows (int64 indices), in that order and as often as named."""
        ...

    def fork(self) -> Self:
        """A past that says the same, and that writing into this one does not change."""
        ...

    def detached(self) -> Self:
        """A past that says the same, for the next segment of training: no gradient flows back through it, nor is it shared."""
        ...

    def join(self, others: tuple[Self, ...]) -> Self:
        """The rows of this one and of the others, one after the other."""
        ...
