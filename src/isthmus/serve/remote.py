"""An engine that runs in the decoder's thread."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from functools import partial
from typing import final

from torch import Tensor

from isthmus.core.padded import Padded
from isthmus.engines.engine import Engine, EngineState
from isthmus.serve.decoder import Decoder
from isthmus.serve.watch import Watch


@final
class RemoteEngine(Engine):
    """The same engine, for one client: each call waits for its turn, and none is made when nobody waits any more.

    Args:
        engine: runs the model.
        decoder: has the thread.
        watch: whether somebody waits for the answer.
    """

    def __init__(self, engine: Engine, decoder: Decoder, watch: Watch) -> None:
        self.engine, self._decoder, self._watch = engine, decoder, watch

    @property
    def start_ids(self) -> tuple[int, ...]:
        """The ids that every output begins with."""
        return self.engine.start_ids

    @property
    def device(self) -> str:
        """Where the tensors live."""
        return self.engine.device

    def running(self) -> AbstractContextManager[None]:
        """Nothing here: the settings hold in the decoder's thread."""
        return nullcontext()

    def start(self, source: Padded) -> EngineState:
        """Read the sources, when it is time."""
        return self._decoder.call(self._watch, self.engine, partial(self.engine.start, source))

    def step(
        self, tokens_BT: Tensor, state: EngineState, weights: bool = False
    ) -> tuple[Tensor, EngineState, Tensor | None]:
        """Feed a block, when it is time."""
        return self._decoder.call(self._watch, self.engine, partial(self.engine.step, tokens_BT, state, weights))

    def read(self, source: Padded, target_in: Padded) -> Tensor:
        """Read whole targets, when it is time."""
        return self._decoder.call(self._watch, self.engine, partial(self.engine.read, source, target_in))
