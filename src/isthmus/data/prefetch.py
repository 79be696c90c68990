"""Preparing what comes next on a background thread."""

from __future__ import annotations

import queue
import threading
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from typing import TypeVar

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class _End:
    """The iterator is exhausted, or it raised."""

    error: BaseException | None


def prefetch(iterator: Iterator[T], depth: int = 4) -> Iterator[T]:
    """Yield what `iterator` yields, in the same order, computed up to `depth` items ahead on one thread.

    An exception of the iterator is raised here when its turn comes. Closing the returned generator (or leaving the loop
    and dropping it) stops the thread and closes the iterator; at most one item is computed in vain.
    """
    ready: queue.Queue[T | _End] = queue.Queue(maxsize=max(1, depth))
    stop = threading.Event()
    thread = threading.Thread(target=_work, args=(iterator, ready, stop), name="isthmus-prefetch", daemon=True)
    thread.start()
    try:
        while True:
            item = ready.get()
            if isinstance(item, _End):
                if item.error is not None:
                    raise item.error
                return
            yield item
    finally:
        stop.set()
        while thread.is_alive():
            _drain(ready)
            thread.join(timeout=0.01)


def _work(iterator: Iterator[T], ready: queue.Queue[T | _End], stop: threading.Event) -> None:
    error: BaseException | None = None
    try:
        for item in iterator:
            ready.put(item)
            if stop.is_set():
                break
    except BaseException as caught:  # noqa: BLE001 - it is raised again on the thread that reads
        error = caught
    if isinstance(iterator, Generator):
        iterator.close()
    ready.put(_End(error))


def _drain(ready: queue.Queue[T | _End]) -> None:
    while not ready.empty():
        ready.get_nowait()
