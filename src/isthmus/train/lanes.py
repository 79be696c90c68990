"""Several streams of batches side by side, each over its own part of a corpus: a process reads those that it computes, and no other."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import count
from typing import Protocol

from isthmus.data.batches import Batch
from isthmus.train.feed import BatchSource, stream
from isthmus.train.state import Position


class CountedSource(BatchSource, Protocol):
    """A source of batches that knows how many an epoch has; `data.batches.Batches` is one."""

    def batches_in(self, epoch: int) -> int:
        """How many batches an epoch has."""
        ...


class Lanes:
    """Batch `k` of every update is the next one of lane `k`, so that nothing depends on which process reads which lane.

    Each lane goes through its own epochs at its own pace: every example of it once an epoch. Where a lane stands follows from the number of
    batches that were given, so that a position is two numbers here too: `batch` counts those of all lanes since the beginning.

    Args:
        lanes: a source of batches each; `None` is read by another process.
    """

    def __init__(self, lanes: Sequence[CountedSource | None]) -> None:
        self._lanes = tuple(lanes)

    def stream(self, position: Position) -> Iterator[tuple[Position, Batch | None]]:
        """Yield batches for ever, each with the position after it, in the epoch of its lane; `None` where another process has one.

        Raises:
            DataError: a lane has no batch.
        """
        given, lanes = position.batch, len(self._lanes)
        streams = [
            None if lane is None else stream(lane, _reached(lane, len(range(number, given, lanes))))
            for number, lane in enumerate(self._lanes)
        ]
        for number in count(given):
            own = streams[number % lanes]
            at, batch = (Position(), None) if own is None else next(own)
            yield Position(at.epoch, number + 1), batch


def onwards(source: BatchSource | Lanes, position: Position) -> Iterator[tuple[Position, Batch | None]]:
    """Batches for ever from a position on, of one source or of many side by side.

    Raises:
        DataError: there is no batch.
    """
    return source.stream(position) if isinstance(source, Lanes) else stream(source, position)


def _reached(lane: CountedSource, batches: int) -> Position:
    """Where a lane stands after so many batches."""
    epoch = 0
    while batches > (held := lane.batches_in(epoch)) > 0:
        batches -= held
        epoch += 1
    return Position(epoch, batches)
