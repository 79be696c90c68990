"""A batch of variable-length id sequences: padding and stacking in one place.

B batch, T position.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from isthmus.core.runtime import sent

PAD = 0


@dataclass(frozen=True, slots=True)
class Padded:
    """Id sequences of different lengths, stacked into one tensor.

    Attributes:
        ids_BT: int64, `PAD` after the end of each row.
        lengths_B: int64, the number of real positions of each row.
        attend: an optional bool mask of one's own, `True` = may attend: [B, T] hides positions from everybody,
            [B, T, T] says which position (second axis) may see which (third axis). It narrows the padding mask
            (and, in a decoder, the causal mask); it never widens them.
    """

    ids_BT: Tensor
    lengths_B: Tensor
    attend: Tensor | None = None

    @classmethod
    def of(cls, rows: Sequence[Sequence[int]]) -> Padded:
        """Stack rows of ids; an empty batch and empty rows are fine."""
        lengths_B = torch.tensor([len(row) for row in rows], dtype=torch.int64)
        width = max((len(row) for row in rows), default=0)
        ids_BT = torch.full((len(rows), width), PAD, dtype=torch.int64)
        for index, row in enumerate(rows):
            ids_BT[index, : len(row)] = torch.as_tensor(row, dtype=torch.int64)
        return cls(ids_BT, lengths_B)

    def rows(self) -> list[list[int]]:
        """The rows again, without padding: `Padded.of(xs).rows() == xs`."""
        return [row[:length] for row, length in zip(self.ids_BT.tolist(), self.lengths_B.tolist(), strict=True)]

    @property
    def mask_BT(self) -> Tensor:
        """`True` where a position is real and, if a [B, T] mask of one's own was given, not hidden by it."""
        position_T = torch.arange(self.ids_BT.shape[1], device=self.ids_BT.device)
        real_BT = position_T[None, :] < self.lengths_B[:, None]
        return real_BT & self.attend if self.attend is not None and self.attend.dim() == 2 else real_BT

    @property
    def attend_BTT(self) -> Tensor | None:
        """The mask of one's own over pairs of positions, if one was given."""
        return self.attend if self.attend is not None and self.attend.dim() == 3 else None

    def select(self, rows: Tensor) -> Padded:
        """The batch of the given rows (int64 indices), in that order, repeated as often as named."""
        return Padded(self.ids_BT[rows], self.lengths_B[rows], None if self.attend is None else self.attend[rows])

    def to(self, device: torch.device | str) -> Padded:
        """The same batch on a device."""
        attend = None if self.attend is None else sent(self.attend, device)
        return Padded(sent(self.ids_BT, device), sent(self.lengths_B, device), attend)
