"""An engine that is made when it is first needed: beside one that searches by itself, it often never is."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from threading import Lock
from typing import final

from torch import Tensor

from isthmus.core.padded import Padded
from isthmus.engines.engine import Engine, EngineState


@final
class LazyEngine(Engine):
    """Another engine, once it is needed.

    Args:
        start_ids: what every output begins with.
        device: where the tensors will live.
        make: makes the engine.
    """

    def __init__(self, start_ids: tuple[int, ...], device: str, make: Callable[[], Engine]) -> None:
        self._start_ids, self._device, self._make = start_ids, device, make
        self._made: Engine | None = None
        self._lock = Lock()

    @property
    def engine(self) -> Engine:
        """The engine, made now if it was not before."""
        with self._lock:
            if self._made is None:
                self._made = self._make()
            return self._made

    @property
    def start_ids(self) -> tuple[int, ...]:
        """The ids that every output begins with."""
        return self._start_ids

    @property
    def device(self) -> str:
        """Where the tensors live."""
        return self._device

    def running(self) -> AbstractContextManager[None]:
        """The engine's settings."""
        return self.engine.running()

    def start(self, source: Padded) -> EngineState:
        """Read the sources."""
        return self.engine.start(source)

    def step(
        self, tokens_BT: Tensor, state: EngineState, weights: bool = False
    ) -> tuple[Tensor, EngineState, Tensor | None]:
        """What may come next, as the engine says."""
        return self.engine.step(tokens_BT, state, weights)

    def read(self, source: Padded, target_in: Padded) -> Tensor:
        """What may follow each position of given targets."""
        return self.engine.read(source, target_in)
