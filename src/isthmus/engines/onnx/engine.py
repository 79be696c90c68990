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
from isthmus.engines.onnx.folder import ENCODE, NEXT, STEP, require

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
        runtime: how many threads; the device is the CPU.

    Raises:
        InputError: onnxruntime is not installed.
    """

    def __init__(self, folder: Path, start_ids: tuple[int, ...], runtime: Runtime | None = None) -> None:
        require()
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = Runtime().threads if runtime is None else runtime.threads
        options.inter_op_num_threads = 1
        self._encode, self._step = (
            onnxruntime.InferenceSession(str(folder / name), options, providers=["CPUExecutionProvider"])
            for name in (ENCODE, STEP)
        )
        self._start_ids = start_ids
        self._wanted = {one.name: one.shape for one in self._step.get_inputs()}
        self._begun, self._stepped = ([one.name for one in each.get_outputs()] for each in (self._encode, self._step))

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
        found = dict(zip(self._begun, self._encode.run(None, given), strict=True))
        rows, past = source.ids_BT.shape[0], (name for name in self._wanted if name.startswith("past"))
        begun = tuple(found[name] if name in found else self._empty(rows, name) for name in past)
        return OnnxState(0, begun, tuple(found[name] for name in self._begun if name.startswith("link")))

    def _empty(self, rows: int, name: str) -> NDArray[Any]:
        """A cache before the first position."""
        _, heads, _, size = self._wanted[name]
        return np.zeros((rows, heads, SLOTS, size), np.float32)

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
        past = [_with_room(each, state.position) for each in state.past]
        given = {"token": token_B.cpu().numpy()[:, None], "position": np.full(len(token_B), state.position, np.int64)}
        given |= _numbered("past", past) | _numbered("link", state.links)
        found = dict(
            zip(self._stepped, self._step.run(None, {name: given[name] for name in self._wanted}), strict=True)
        )
        new = OnnxState(
            state.position + 1,
            tuple(found[NEXT + name] for name in _numbered("past", past)),
            tuple(found.get(NEXT + name, link) for name, link in _numbered("link", state.links).items()),
        )
        return torch.from_numpy(found["log_probs"]), torch.from_numpy(found["looked"]), new


def _numbered(name: str, parts: Sequence[NDArray[Any]]) -> dict[str, NDArray[Any]]:
    """Tensors by the names that the graphs give them."""
    return {f"{name}_{number}": part for number, part in enumerate(parts)}


def _with_room(part: NDArray[Any], position: int) -> NDArray[Any]:
    """A cache with a slot for the position; vectors need none."""
    if part.ndim != ROWS or position < part.shape[2]:
        return part
    return np.pad(part, ((0, 0), (0, 0), (0, part.shape[2]), (0, 0)))
