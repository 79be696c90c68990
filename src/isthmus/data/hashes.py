"""Hashes that are the same on every machine and in every run, and a compact set of them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

Hashes = npt.NDArray[np.uint64]

_GOLDEN = 0x9E3779B97F4A7C15
_WORD = (1 << 64) - 1


def text_hash(*texts: str) -> int:
    """A 64-bit hash of texts (BLAKE2b); NUL, which no corpus holds, divides them."""
    return int.from_bytes(hashlib.blake2b("\0".join(texts).encode(), digest_size=8).digest(), "little")


def text_hashes(texts: Iterable[tuple[str, ...]]) -> Hashes:
    """`text_hash` of each tuple of texts, as an array."""
    digests = (hashlib.blake2b("\0".join(parts).encode(), digest_size=8).digest() for parts in texts)
    return np.frombuffer(b"".join(digests), dtype="<u8").astype(np.uint64)


def mix(values: npt.ArrayLike, *salts: int) -> Hashes:
    """A random-looking 64-bit number for each value and salt: splitmix64 (Steele, Lea & Flood, OOPSLA 2014), vectorised."""
    state = np.asarray(values).astype(np.uint64)
    with np.errstate(over="ignore"):  # arithmetic is modulo 2**64
        for salt in (*salts, 0):
            state = _finish(state + np.uint64(((salt + 1) * _GOLDEN) & _WORD))
    return state


def _finish(state: Hashes) -> Hashes:
    state = (state ^ (state >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    state = (state ^ (state >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return state ^ (state >> np.uint64(31))


class Seen:
    """The set of hashes met so far: 8 bytes each, 16 for a moment while sorted runs are merged.

    Two different texts share a 64-bit hash with a probability of about n²/2⁶⁵: 3e-6 for ten million.
    """

    def __init__(self) -> None:
        self._runs: list[Hashes] = []

    def __len__(self) -> int:
        return sum(len(run) for run in self._runs)

    def add(self, hashes: Hashes) -> npt.NDArray[np.bool_]:
        """Add hashes; tell for each whether it was new (of equal ones in one call, the first is)."""
        distinct, first = np.unique(hashes, return_index=True)
        unseen = ~self.holds(distinct)
        new = np.zeros(len(hashes), dtype=np.bool_)
        new[first[unseen]] = True
        run = distinct[unseen]
        while self._runs and len(self._runs[-1]) <= 2 * len(run):
            run = np.sort(np.concatenate([self._runs.pop(), run]), kind="stable")
        self._runs.append(run)
        return new

    def holds(self, hashes: Hashes) -> npt.NDArray[np.bool_]:
        """Tell for each hash whether it was added before."""
        found = np.zeros(len(hashes), dtype=np.bool_)
        for run in self._runs:
            if len(run):
                at = np.minimum(np.searchsorted(run, hashes), len(run) - 1)
                found |= run[at] == hashes
        return found
