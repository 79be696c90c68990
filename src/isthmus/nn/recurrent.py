"""Recurrent layers that read a sequence whole or step by step, and the vectors that they remember.

B row, T position, I input, D state, G gates (4·D of an LSTM, 3·D of a GRU).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

CellKind = Literal["lstm", "gru"]
Vectors = tuple[Tensor, ...]


@dataclass(frozen=True, slots=True)
class RecurrentPast:
    """A few vectors a row [B, D] that stand for all positions read so far; they are replaced, never written into."""

    vectors: Vectors

    def reserved(self, positions: int) -> RecurrentPast:  # noqa: ARG002
        """The same: vectors need no room."""
        return self

    def select(self, rows: Tensor) -> RecurrentPast:
        """The given rows, in that order."""
        return RecurrentPast(tuple(vector_BD.index_select(0, rows) for vector_BD in self.vectors))

    def fork(self) -> RecurrentPast:
        """The same: nothing here is ever written into."""
        return self

    def detached(self) -> RecurrentPast:
        """The same vectors, through which no gradient flows."""
        return RecurrentPast(tuple(vector_BD.detach() for vector_BD in self.vectors))

    def join(self, others: tuple[RecurrentPast, ...]) -> RecurrentPast:
        """The rows of several pasts, one after the other."""
        every = (self, *others)
        return RecurrentPast(tuple(torch.cat(parts) for parts in zip(*(past.vectors for past in every), strict=True)))


class RecurrentLayer(nn.Module):
    """One LSTM (Hochreiter and Schmidhuber 1997, with forget gates) or GRU (Cho et al. 2014, section 2.3).

    Its state is a tuple of vectors [B, D]: (h, c) of an LSTM, (h,) of a GRU; h is also its output. The GRU is that of
    `torch.nn`: the reset gate acts on U·h.

    Args:
        cell: which of the two.
        inputs: size I of the inputs.
        size: size D of the state.
    """

    def __init__(self, cell: CellKind, inputs: int, size: int) -> None:
        super().__init__()
        self.cell, self.size = cell, size
        kind = nn.LSTM if cell == "lstm" else nn.GRU
        self.recurrence: nn.LSTM | nn.GRU = kind(inputs, size, batch_first=True)

    @property
    def vectors(self) -> int:
        """How many vectors a state has."""
        return 2 if self.cell == "lstm" else 1

    @property
    def gates(self) -> int:
        """Size G of what `project` gives."""
        return (4 if self.cell == "lstm" else 3) * self.size

    def over(self, x_BTI: Tensor, state: Vectors | None = None) -> tuple[Tensor, Vectors]:
        """Read a sequence [B, T, I] at once: outputs [B, T, D], and the state after the last position.

        Without a state it begins with zeros.
        """
        if x_BTI.shape[1] == 0:
            zero_BD = x_BTI.new_zeros(x_BTI.shape[0], self.size)
            return zero_BD[:, None][:, :0], (zero_BD,) * self.vectors if state is None else state
        first = () if state is None else tuple(vector_BD.to(x_BTI.dtype)[None] for vector_BD in state)
        if self.cell == "gru":
            output_BTD, hidden_1BD = self.recurrence(x_BTI, *first)
            return output_BTD, (hidden_1BD[0],)
        output_BTD, (hidden_1BD, cell_1BD) = self.recurrence(x_BTI, first or None)
        return output_BTD, (hidden_1BD[0], cell_1BD[0])

    def project(self, x_BTI: Tensor) -> Tensor:
        """What the inputs [B, T, I] add to the gates [B, T, G]: the part of a step that needs no state."""
        weight_GI, _, bias_G, _ = self.recurrence.all_weights[0]
        return functional.linear(x_BTI, weight_GI, bias_G)

    def step(self, gates_BG: Tensor, state: Vectors) -> Vectors:
        """The state after one more position, whose input was projected to the gates."""
        _, weight_GD, _, bias_G = self.recurrence.all_weights[0]
        own_BG = functional.linear(state[0], weight_GD, bias_G)
        if self.cell == "lstm":
            enter, forget, new, leave = (gates_BG + own_BG).chunk(4, dim=-1)
            cell_BD = forget.sigmoid() * state[1] + enter.sigmoid() * new.tanh()
            return leave.sigmoid() * cell_BD.tanh(), cell_BD
        reset, update, new = gates_BG.chunk(3, dim=-1)
        own_reset, own_update, own_new = own_BG.chunk(3, dim=-1)
        new_BD = (new + (reset + own_reset).sigmoid() * own_new).tanh()
        return (new_BD + (update + own_update).sigmoid() * (state[0] - new_BD),)
