"""The interface between a model that runs somewhere and the search that uses it.

An ensemble, a model in another format or a table in a test is one more engine; the search knows none of them.
B rows, T positions, S source, V vocabulary.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Protocol

from torch import Tensor

from isthmus.core.padded import Padded


class EngineState(Protocol):
    """Everything that an engine remembers about the rows being decoded; `step` and `select` consume it."""

    def select(self, rows: Tensor) -> EngineState:
        """The state of the given rows (int64 indices), in that order, repeated or left out as named."""


class Engine(Protocol):
    """Something that gives the log-probabilities of the next piece."""

    @property
    def start_ids(self) -> tuple[int, ...]:
        """The ids that every output begins with; they are fed first and never reported."""

    @property
    def device(self) -> str:
        """Where the tensors live, as torch names it."""

    def running(self) -> AbstractContextManager[None]:
        """The settings (threads, precision) that hold while the engine works; restored afterwards."""

    def start(self, source: Padded) -> EngineState:
        """Read the sources and get ready to decode: one row a source."""

    def step(
        self, tokens_BT: Tensor, state: EngineState, weights: bool = False
    ) -> tuple[Tensor, EngineState, Tensor | None]:
        """Feed one position or a block of them and say what may come next.

        Args:
            tokens_BT: int64, the next ids of each row.
            state: consumed by the call.
            weights: also say where the decoder looked.

        Returns:
            log-probabilities of the next piece [B, V] in float32, which the caller may write over; the state; with `weights`, the
            attention over the source [B, S] from the last position fed (of one head, or the mean over heads of a layer), else None.
        """

    def read(self, source: Padded, target_in: Padded) -> Tensor:
        """Read whole targets at once and say what may follow each position.

        Args:
            source: one row a target.
            target_in: the start ids, and the target without its last id.

        Returns:
            log-probabilities [B, T, V] in float32: those that `step` gives position by position.
        """
