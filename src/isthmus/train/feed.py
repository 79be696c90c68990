"""The endless stream of batches that training reads, from any position on."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

from isthmus.core.errors import DataError
from isthmus.core.runtime import sent
from isthmus.data.batches import Batch
from isthmus.train.state import Position


class BatchSource(Protocol):
    """Gives the batches of an epoch in an order that is a pure function of its number; `data.batches.Batches` is one."""

    def epoch(self, epoch: int, start: int = 0) -> Iterator[Batch]:
        """Yield the batches of an epoch, without the first `start` ones."""
        ...


def stream(source: BatchSource, position: Position) -> Iterator[tuple[Position, Batch]]:
    """Yield batches for ever, epoch after epoch, each with the position *after* it.

    Raises:
        DataError: an epoch has no batch.
    """
    epoch, start = position.epoch, position.batch
    while True:
        number = start
        for number, batch in enumerate(source.epoch(epoch, start), start + 1):
            yield Position(epoch, number), batch
        if number == 0:
            raise DataError(
                "there is nothing to train on", expected="one batch an epoch or more", got=f"none in epoch {epoch}"
            )
        epoch, start = epoch + 1, 0


def on_device(batch: Batch, device: str) -> Batch:
    """The same batch on a device."""
    if device == "cpu":
        return batch
    return Batch(
        batch.source.to(device),
        batch.target_in.to(device),
        batch.target.to(device),
        sent(batch.weight_B, device),
        sent(batch.index_B, device),
    )
