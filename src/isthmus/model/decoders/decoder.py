"""The interface of every decoder.

B row, T target position, D model.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

from torch import Tensor, nn

from isthmus.model.connections.connection import Reading
from isthmus.model.memory import Memory
from isthmus.model.state import DecoderState


@dataclass(frozen=True, slots=True)
class Decoded:
    """What a decoder makes of a block of tokens.

    Attributes:
        features_BTD: the state from which a head predicts the next token, at each position.
        readings: what each layer's connection read.
    """

    features_BTD: Tensor
    readings: tuple[Reading, ...]

    def select(self, rows: Tensor) -> Decoded:
        """The features and readings of the given rows (int64 indices), in that order."""
        return Decoded(self.features_BTD[rows], tuple(reading.select(rows) for reading in self.readings))

    def looked(self, layer: int, head: int | None) -> Tensor | None:
        """Where a head looked from the last position [B, S], or the mean over a layer's heads; `None` where there are no weights."""
        weights_BHTS = self.readings[layer].weights_BHTS if self.readings else None
        if weights_BHTS is None:
            return None
        last_BHS = weights_BHTS[:, :, -1].float()
        return last_BHS.mean(dim=1) if head is None else last_BHS[:, head]


class Decoder(nn.Module, ABC):
    """From a memory and the tokens so far to features of the next."""

    @abstractmethod
    def start(self, memory: Memory, remember: bool = True) -> DecoderState:
        """The state before the first token, one row a source.

        Args:
            memory: what to read from.
            remember: whether more than one block will be read; without, no cache is kept.
        """

    @abstractmethod
    def forward(
        self, tokens_BT: Tensor, state: DecoderState, attend_BTT: Tensor | None = None, weights: bool = False
    ) -> tuple[Decoded, DecoderState]:
        """Read a block of tokens behind what the state remembers.

        Args:
            tokens_BT: int64 ids; token t sees the tokens before it and itself.
            state: with room for the block (see `DecoderState.reserve`).
            attend_BTT: narrows which token of the block may see which; only where nothing is remembered.
            weights: whether readings carry their weights.
        """
