"""Runs the graphs of a model in onnxruntime, step by step under our search.

B row, S source position, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from isthmus.core.errors import StateError
from isthmus.core.padded import Padded
from isthmus.core.runtime import Runtime
from isthmus.engines.engine import Engine, EngineState
from isthmus.engines.onnx.folder import ENCODE, STEP, require

Arrays = tuple[NDArray[Any], ...]
SLOTS = 16
ROWS = 4
"""Caches have four axes: row, head, slot, size."""


@final
@dataclass(frozen=True, slots=True)
class OnnxState(EngineState):
    """Where the rows stand.

    Attributes:
        position: the position that the next token takes; the same for every row.
        past: what the decoder remembers; caches may have more slots than positions.
        links: what it reads of its source, one a row.
    """

    position: int
    past: Arrays
    links: Arrays

    def select(self, rows: Tensor) -> OnnxState:
        """The given rows, in that order."""
        index = rows.cpu().numpy()
        return OnnxState(
            self.position, tuple(each[index] for each in self.past), tuple(each[index] for each in self.links)
        )


@final
class OnnxEngine(Engine):
    """The two graphs of a folder as an engine.

    Args:
        folder: has the graphs.
        start_ids: what every output begins with.
        written: whether decoding writes into links, so that the second graph gives them back.
        runtime: how many threads; the device is the CPU.

    Raises:
        InputError: onnxruntime is not installed.
    """

    def __init__(
        self, folder: Path, start_ids: tuple[int, ...], written: Sequence[int], runtime: Runtime | None = None
    ) -> None:
        require()
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = Runtime().threads if runtime is None else runtime.threads
        options.inter_op_num_threads = 1
        self._encode, self._step = (
            onnxruntime.InferenceSession(str(folder / name), options, providers=["CPUExecutionProvider"])
            for name in (ENCODE, STEP)
        )
        self._start_ids, self._written = start_ids, tuple(written)
        self._inputs = self._step.get_inputs()
        self._past = [one for one in self._inputs if one.name.startswith("past")]

    @property
    def start_ids(self) -> tuple[int, ...]:
        """The ids that every output begins with."""
        return self._start_ids

    @property
    def device(self) -> str:
        """Where the tensors live."""
        return "cpu"

    @contextmanager
    def running(self) -> Iterator[None]:
        """The threads are the sessions' own."""
        yield

    def start(self, source: Padded) -> OnnxState:
        """Read the sources: one row a source."""
        given = {"ids": source.ids_BT.cpu().numpy(), "lengths": source.lengths_B.cpu().numpy()}
        found = self._encode.run(None, given)
        links = len(self._inputs) - len(self._past) - 2
        rows = source.ids_BT.shape[0]
        vectors = iter(found[links:])
        past = tuple(
            np.zeros((rows, one.shape[1], SLOTS, one.shape[3]), np.float32) if len(one.shape) == ROWS else next(vectors)
            for one in self._past
        )
        return OnnxState(0, past, tuple(found[:links]))

    def step(
        self, tokens_BT: Tensor, state: EngineState, weights: bool = False
    ) -> tuple[Tensor, OnnxState, Tensor | None]:
        """Log-probabilities of the next piece [B, V], the state, and with `weights` the attention [B, S].

        Raises:
            StateError: the state is another engine's.
        """
        if not isinstance(state, OnnxState):
            raise StateError("an engine goes on from its own states", expected="an OnnxState", got=type(state).__name__)
        log_probs_BV, looked_BS = torch.empty(0), torch.empty(0)
        for token_B in tokens_BT.unbind(dim=1):
            log_probs_BV, looked_BS, state = self._one(token_B, state)
        return log_probs_BV, state, looked_BS if weights and bool(looked_BS.any()) else None

    def read(self, source: Padded, target_in: Padded) -> Tensor:
        """Log-probabilities [B, T, V] of what follows each position of given targets."""
        state = self.start(source)
        found = []
        for token_B in target_in.ids_BT.unbind(dim=1):
            log_probs_BV, _, state = self._one(token_B, state)
            found.append(log_probs_BV)
        return torch.stack(found, dim=1)

    def _one(self, token_B: Tensor, state: OnnxState) -> tuple[Tensor, Tensor, OnnxState]:
        """Read one token a row."""
        past = tuple(_with_room(each, state.position) for each in state.past)
        token_B1 = token_B.cpu().numpy()[:, None]
        position_B = np.full(token_B1.shape[0], state.position, np.int64)
        given = zip((one.name for one in self._inputs), (token_B1, position_B, *past, *state.links), strict=True)
        log_probs, looked, *rest = self._step.run(None, dict(given))
        links = self._after(state.links, rest[len(past) :])
        return (
            torch.from_numpy(log_probs),
            torch.from_numpy(looked),
            OnnxState(state.position + 1, tuple(rest[: len(past)]), links),
        )

    def _after(self, links: Arrays, written: Sequence[NDArray[Any]]) -> Arrays:
        """The links with what was written into them."""
        if not written:
            return links
        found: list[NDArray[Any]] = []
        new, place = iter(written), 0
        for count in self._written:
            found += [*links[place : place + 3], *(next(new) for _ in range(count))]
            place += 3 + count
        return tuple(found)


def _with_room(part: NDArray[Any], position: int) -> NDArray[Any]:
    """A cache with a slot for the position; vectors need none."""
    if part.ndim != ROWS or position < part.shape[2]:
        return part
    return np.pad(part, ((0, 0), (0, 0), (0, part.shape[2]), (0, 0)))
