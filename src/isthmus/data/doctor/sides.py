"""Telling the two sides of a corpus apart by their characters: naive Bayes over character trigrams.

The corpus teaches the model itself: a trigram that is common among the sources and rare among the targets speaks for
"source". A pair whose source looks like a target, and whose target looks like a source, was probably exchanged. Even lines
are judged by what the odd lines taught and the other way round, so that no line speaks for itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

_BUCKETS = 1 << 16
_EDGE = "\n\n"
_SMOOTHING = 0.5


class Sides:
    """Counts of hashed character trigrams of both sides, in two halves."""

    def __init__(self) -> None:
        self._counts = np.zeros((2, 2, _BUCKETS))  # half, side, bucket

    def learn(self, sources: Sequence[str], targets: Sequence[str], first: int) -> None:
        """Count the trigrams of some pairs, the first of which has the number `first`."""
        for side, texts in enumerate((sources, targets)):
            bucket, row = _trigrams(texts)
            half = (row + first) & 1
            counts = np.bincount(half * _BUCKETS + bucket, minlength=2 * _BUCKETS)
            self._counts[:, side] += counts.reshape(2, _BUCKETS)

    def judge(self) -> Judge:
        """What the counts teach."""
        share = self._counts + _SMOOTHING
        share /= share.sum(axis=2, keepdims=True)
        return Judge(np.log(share[:, 0]) - np.log(share[:, 1]))


@dataclass(frozen=True, slots=True)
class Judge:
    """Tells how much a text looks like a source.

    Attributes:
        odds: log-odds of each trigram being of a source, learned from the even and from the odd lines [2, buckets].
    """

    odds: Floats

    def look(self, texts: Sequence[str], first: int) -> Floats:
        """For each text, the first of which has the number `first`, the mean log-odds: below zero for a target [N]."""
        bucket, row = _trigrams(texts)
        half = 1 - ((row + first) & 1)
        total = np.bincount(row, weights=self.odds[half, bucket], minlength=len(texts))
        return np.asarray(total / np.maximum(np.bincount(row, minlength=len(texts)), 1))


def _trigrams(texts: Sequence[str]) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """The hashed trigrams of all texts, with two marks before and after each, and the number of the text of each."""
    joined = _EDGE.join(("", *texts, ""))
    codes = np.frombuffer(joined.encode("utf-32-le", "replace"), dtype="<u4").astype(np.uint64)
    mixed = codes[:-2] * np.uint64(0x9E3779B1) + codes[1:-1] * np.uint64(0x85EBCA77) + codes[2:] * np.uint64(0xC2B2AE3D)
    bucket = ((mixed * np.uint64(0x9E3779B97F4A7C15)) >> np.uint64(48)).astype(np.int64)
    row = np.repeat(np.arange(len(texts)), [len(text) + len(_EDGE) for text in texts])
    return bucket[: len(row)], row
