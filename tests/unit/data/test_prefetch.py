from __future__ import annotations

import threading
from collections.abc import Generator, Iterator
from itertools import count

import pytest

from isthmus.data.prefetch import prefetch


def threads() -> int:
    return sum(thread.name == "isthmus-prefetch" for thread in threading.enumerate())


@pytest.mark.parametrize("depth", [0, 1, 3, 100])
def test_the_same_items_in_the_same_order(depth: int) -> None:
    assert list(prefetch(iter(range(37)), depth)) == list(range(37))
    assert threads() == 0


def test_an_exception_comes_in_its_turn() -> None:
    def failing() -> Iterator[int]:
        yield 1
        yield 2
        raise KeyError("three")

    stream = prefetch(failing(), 7)
    assert [next(stream), next(stream)] == [1, 2]
    with pytest.raises(KeyError, match="three"):
        next(stream)
    assert threads() == 0


def test_closing_stops_the_thread_and_closes_the_iterator() -> None:
    made, closed = [], []

    def endless() -> Iterator[int]:
        try:
            for number in count():
                made.append(number)
                yield number
        finally:
            closed.append(True)

    stream = prefetch(endless(), 3)
    assert next(stream) == 0
    assert isinstance(stream, Generator)
    stream.close()
    assert threads() == 0
    assert closed == [True]
    assert len(made) <= 8
