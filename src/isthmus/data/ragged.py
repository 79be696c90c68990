"""Rows of numbers of different lengths, in memory and on disk."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
import numpy.typing as npt

Numbers = npt.NDArray[Any]
Offsets = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Ragged:
    """Rows end to end in one array.

    Attributes:
        flat: all the numbers [sum of the lengths].
        offsets: where each row starts, and at the end where the last one stops [rows + 1].
    """

    flat: Numbers
    offsets: Offsets

    @classmethod
    def of(cls, rows: Sequence[Sequence[int]]) -> Ragged:
        """Stack rows; the numbers are int64."""
        flat = np.fromiter(chain.from_iterable(rows), dtype=np.int64)
        return cls(flat, _offsets(np.array([len(row) for row in rows], dtype=np.int64)))

    @classmethod
    def join(cls, parts: Sequence[Ragged]) -> Ragged:
        """The rows of all the parts, in order; there is at least one part."""
        lengths = np.concatenate([part.lengths for part in parts])
        return cls(np.concatenate([part.flat for part in parts]), _offsets(lengths))

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @property
    def lengths(self) -> Offsets:
        """The length of each row [rows]."""
        return np.diff(self.offsets)

    def row(self, number: int) -> Numbers:
        """One row."""
        return self.flat[self.offsets[number] : self.offsets[number + 1]]

    def padded(self, rows: Offsets) -> tuple[npt.NDArray[np.int64], Offsets]:
        """Some rows stacked with zeros after their ends [N, longest], and their lengths [N]."""
        starts = self.offsets[rows]
        lengths = self.offsets[rows + 1] - starts
        place = np.arange(int(lengths.max(initial=0)))
        real = place[None, :] < lengths[:, None]
        stacked = np.zeros(real.shape, dtype=np.int64)
        stacked[real] = self.flat[(starts[:, None] + place[None, :])[real]]
        return stacked, lengths


@dataclass(frozen=True, slots=True)
class RaggedFile:
    """Rows in the two files `<path>.flat` and `<path>.offsets`, read a range of rows at a time.

    Attributes:
        path: the two files without their endings.
        dtype: of the numbers; the offsets are int64.
        rows: how many there are.
    """

    path: Path
    dtype: np.dtype[Any]
    rows: int

    def read(self, start: int, stop: int) -> Ragged:
        """The rows from `start` to before `stop`."""
        offsets = self.offsets(start, stop)
        flat = _read(self.path.with_suffix(".flat"), self.dtype, int(offsets[0]), int(offsets[-1]))
        return Ragged(flat, offsets - offsets[0])

    def offsets(self, start: int, stop: int) -> Offsets:
        """Where these rows start in the file, and where the last one stops [stop - start + 1]."""
        return _read(self.path.with_suffix(".offsets"), np.dtype(np.int64), start, stop + 1)


class RaggedWriter:
    """Writes a `RaggedFile` by appending; a context manager.

    Args:
        path: the two files without their endings.
        dtype: of the numbers.

    Attributes:
        total: numbers written so far.
    """

    def __init__(self, path: Path, dtype: npt.DTypeLike) -> None:
        self._dtype = np.dtype(dtype)
        self.total = 0
        self._flat = path.with_suffix(".flat").open("wb")
        self._offsets = path.with_suffix(".offsets").open("wb")
        np.zeros(1, dtype=np.int64).tofile(self._offsets)

    def append(self, rows: Sequence[Sequence[int]]) -> None:
        """Add rows of numbers (bytes are numbers below 256) at the end."""
        numbers = np.fromiter(chain.from_iterable(rows), dtype=self._dtype)
        numbers.tofile(self._flat)
        ends = self.total + np.cumsum([len(row) for row in rows], dtype=np.int64)
        ends.tofile(self._offsets)
        self.total += len(numbers)

    def __enter__(self) -> RaggedWriter:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._flat.close()
        self._offsets.close()


def _read(path: Path, dtype: np.dtype[Any], start: int, stop: int) -> Numbers:
    """Some numbers of a file."""
    return np.fromfile(path, dtype, count=stop - start, offset=start * dtype.itemsize)


def _offsets(lengths: Offsets) -> Offsets:
    return np.concatenate([np.zeros(1, dtype=np.int64), np.cumsum(lengths, dtype=np.int64)])
