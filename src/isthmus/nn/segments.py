"""A sequence read in segments, each of which remembers the states of earlier ones (Dai et al. 2019, section 3.2).

B batch, T position, D model, N segment, L position in a segment, M remembered position, W = M + L what a segment sees.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, slots=True)
class Segments:
    """How a sequence is divided, and how much each segment sees of what is before it.

    Attributes:
        length: positions of a segment, L.
        memory: remembered positions before it, M.
    """

    length: int
    memory: int

    def remembered(self, query_position: Tensor, key_position: Tensor) -> Tensor:
        """Whether a key is late enough to be seen: in the query's segment, or at most M before it begins."""
        return key_position >= query_position // self.length * self.length - self.memory


@dataclass(frozen=True, slots=True)
class Divided:
    """A sequence of T positions in segments that are rows of one batch, so that all of them are read at once.

    A layer's input at earlier positions is known before the layer is read, so there is nothing to wait for: the recurrence runs from
    layer to layer.

    Attributes:
        segments: how it is divided.
        size: T.
        query_NL: int64, the positions of each segment; the last may stand beyond T.
        key_NW: int64, the positions that each segment sees; negative where there is nothing yet.
    """

    segments: Segments
    size: int
    query_NL: Tensor
    key_NW: Tensor

    @classmethod
    def of(cls, segments: Segments, size: int, device: torch.device) -> Divided:
        """Divide T = `size` positions."""
        length, memory = segments.length, segments.memory
        count = (size + length - 1) // length + torch.compiler.is_compiling()  # a graph for any width has two or more
        start_N1 = torch.arange(count, device=device)[:, None] * length
        window_W = torch.arange(memory + length, device=device)
        return cls(segments, size, start_N1 + window_W[:length], start_N1 - memory + window_W)

    def own(self, x_BTD: Tensor) -> Tensor:
        """The states of each segment, [B·N, L, D]."""
        N, L = self.query_NL.shape
        padded_BTD = torch.nn.functional.pad(x_BTD, (0, 0, 0, 2 * L))
        own_BPD = padded_BTD.index_select(1, self.query_NL.flatten())
        return own_BPD.reshape(x_BTD.shape[0] * N, L, x_BTD.shape[2])

    def earlier(self, x_BTD: Tensor) -> Tensor:
        """The remembered states before each segment, [B·N, M, D], whose gradients stop here."""
        memory = self.segments.memory
        place_P = self.key_NW[:, :memory].clamp(0, max(self.size - 1, 0)).flatten()
        rows = x_BTD.shape[0] * self.key_NW.shape[0]
        return x_BTD.detach().index_select(1, place_P).view(rows, memory, x_BTD.shape[2])

    def allowed(self, allowed: Tensor, rows: int) -> Tensor:
        """A mask [1 or B, 1, 1 or T, T] as the segments see it, [B·N, 1, 1 or L, W]."""
        N, W = self.key_NW.shape
        key_NW = self.key_NW.clamp(0, max(self.size - 1, 0))
        if allowed.shape[2] == 1:
            seen_BNQW = allowed[:, 0, 0][:, key_NW][:, :, None]
        else:
            query_NL = self.query_NL.clamp(max=max(self.size - 1, 0))
            seen_BNQW = allowed[:, 0][:, query_NL[:, :, None], key_NW[:, None]]
        real_NW = (self.key_NW >= 0) & (self.key_NW < self.size)
        seen_BNQW = seen_BNQW & real_NW[:, None]
        return seen_BNQW.expand(rows, -1, -1, -1).reshape(rows * N, 1, seen_BNQW.shape[2], W)

    def joined(self, y_CLD: Tensor, rows: int) -> Tensor:
        """States of segments [B·N, L, D] as one sequence [B, T, D] again."""
        N, L = self.query_NL.shape
        place_T = torch.arange(self.size, device=y_CLD.device)
        return y_CLD.reshape(rows, N * L, y_CLD.shape[2]).index_select(1, place_T)
