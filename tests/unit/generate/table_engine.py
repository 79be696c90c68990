"""A toy engine: the log-probabilities of the next piece are a fixed random function of source and history."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from isthmus.core.errors import StateError
from isthmus.core.padded import Padded
from isthmus.engines.engine import EngineState

END = 3


@dataclass(slots=True)
class TableState:
    """The source and the history of each row; it can be used once, like the state of a real engine."""

    sources: list[tuple[int, ...]]
    histories: list[tuple[int, ...]]
    spent: bool = field(default=False)

    def spend(self) -> None:
        if self.spent:
            raise StateError("used twice")
        self.spent = True

    def select(self, rows: Tensor) -> TableState:
        self.spend()
        chosen = rows.tolist()
        return TableState([self.sources[row] for row in chosen], [self.histories[row] for row in chosen])


class TableEngine:
    """`levels` > 0 rounds the logits to that many, which makes exact ties common."""

    start_ids = (2,)
    device = "cpu"

    def __init__(self, size: int = 7, seed: int = 0, sharpness: float = 1.5, levels: int = 0, end_bonus: float = 0.0):
        self.size, self.seed, self.sharpness, self.levels, self.end_bonus = size, seed, sharpness, levels, end_bonus
        self.rows_fed: list[int] = []
        self.selected = 0

    def log_probs(self, source: Sequence[int], history: Sequence[int]) -> Tensor:
        key = hashlib.blake2b(repr((self.seed, tuple(source), tuple(history))).encode(), digest_size=8).digest()
        logits = np.random.default_rng(int.from_bytes(key, "little")).normal(size=self.size) * self.sharpness
        if self.levels:
            logits = np.round(np.clip(logits, -1, 1) * self.levels) / self.levels
        logits[END] += self.end_bonus
        return torch.log_softmax(torch.tensor(logits, dtype=torch.float32), dim=-1)

    def running(self) -> AbstractContextManager[None]:
        return nullcontext()

    def start(self, source: Padded) -> TableState:
        rows = source.rows()
        return TableState([tuple(row) for row in rows], [()] * len(rows))

    def step(
        self, tokens_BT: Tensor, state: EngineState, weights: bool = False
    ) -> tuple[Tensor, TableState, Tensor | None]:
        assert isinstance(state, TableState)
        state.spend()
        self.rows_fed.append(tokens_BT.shape[0])
        histories = [(*past, *new) for past, new in zip(state.histories, tokens_BT.tolist(), strict=True)]
        rows = [self.log_probs(source, past) for source, past in zip(state.sources, histories, strict=True)]
        attention = None
        if weights:
            attention = torch.eye(3)[[sum(past) % 3 for past in histories]]
        return torch.stack(rows), TableState(state.sources, histories), attention

    def read(self, source: Padded, target_in: Padded) -> Tensor:
        rows = zip(source.rows(), target_in.ids_BT.tolist(), strict=True)
        return torch.stack(
            [torch.stack([self.log_probs(ids, row[: t + 1]) for t in range(len(row))]) for ids, row in rows]
        )

    def score(self, source: Sequence[int], ids: Sequence[int]) -> list[float]:
        """The log-probability of each id after those before it."""
        return [float(self.log_probs(source, (*self.start_ids, *ids[:place]))[id]) for place, id in enumerate(ids)]
