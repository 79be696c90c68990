"""The state of training, but for its tensors: counters, position in the data, memory of the best."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from isthmus.train.config import TrainingConfig
from isthmus.train.events import StopReason


@dataclass(frozen=True, slots=True)
class Position:
    """Which batch is read next: with the seed of the data, all there is to know of where one stands in it."""

    epoch: int = 0
    batch: int = 0


@dataclass(frozen=True, slots=True)
class Best:
    """The best validation so far."""

    step: int
    score: float


@dataclass(frozen=True, slots=True)
class TrainingState:
    """Where training stands; each update returns a new one.

    Attributes:
        step: updates made, the skipped ones included.
        position: the next batch.
        source_tokens: real source tokens read so far.
        target_tokens: real target tokens read so far.
        skipped: updates skipped because something was not finite.
        skipped_in_a_row: those since the last good one.
        best: the best validation.
        stale: validations since the best.
        seen: a digest of the examples read so far, in their order (`seen_after`).
    """

    step: int = 0
    position: Position = Position()
    source_tokens: int = 0
    target_tokens: int = 0
    skipped: int = 0
    skipped_in_a_row: int = 0
    best: Best | None = None
    stale: int = 0
    seen: str = ""

    def plain(self) -> dict[str, Any]:
        """The state as plain values for JSON."""
        return asdict(self)

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> TrainingState:
        """The state again from what `plain` gave."""
        best = values["best"]
        return cls(
            **{
                **values,
                "position": Position(**values["position"]),
                "best": None if best is None else Best(**best),
            }
        )


def mark(examples: bytes) -> int:
    """24 bits of a digest of a batch's examples: a number that float32 holds exactly, so that processes can tell it with their sums.

    Args:
        examples: their numbers.
    """
    return int.from_bytes(hashlib.blake2b(examples, digest_size=3).digest(), "little")


def seen_after(seen: str, marks: Sequence[float]) -> str:
    """The digest of all batches read, once those of one more update were: equal where they had the same examples in the same order.

    Args:
        seen: the digest before.
        marks: of the update's batches, in their order.
    """
    told = ",".join(str(int(one)) for one in marks)
    return hashlib.blake2b(f"{seen}:{told}".encode(), digest_size=16).hexdigest()


def stop_reason(state: TrainingState, config: TrainingConfig, interrupted: bool) -> StopReason | None:
    """Why training should not go on, if it should not; but for the interruption a pure function of the state."""
    if state.step >= config.steps:
        return "finished"
    if config.patience is not None and state.stale >= config.patience:
        return "early-stopping"
    return "interrupted" if interrupted else None
