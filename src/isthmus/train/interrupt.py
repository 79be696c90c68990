"""Ctrl-C and SIGTERM as a wish to stop between two steps."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType


@dataclass(slots=True)
class Interruption:
    """Whether somebody asked to stop; calling it tells.

    Attributes:
        signal: the number of the first signal, or 0.
    """

    signal: int = 0

    def __call__(self) -> bool:
        """Whether training should stop after this step."""
        return self.signal != 0


@contextmanager
def interruptible() -> Iterator[Interruption]:
    """Turn SIGINT and SIGTERM into a flag inside the body; the second signal raises `KeyboardInterrupt` at once.

    Outside the main thread, where Python takes no signals, the flag is never set.
    """
    interruption = Interruption()
    if threading.current_thread() is not threading.main_thread():
        yield interruption
        return

    def handle(number: int, frame: FrameType | None) -> None:  # noqa: ARG001 - the signature of a signal handler
        if interruption():
            raise KeyboardInterrupt
        interruption.signal = number

    before = {number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield interruption
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
