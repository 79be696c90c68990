"""Whether the lines of the two sides drift apart: do lengths fit better at another offset?

The lengths of a text and of its translation go together (Gale & Church, Computational Linguistics 1993). If, in a block of
lines, the lengths of the sources go together with those of the targets some lines further on, and not with those beside
them, lines were lost or added on one side.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

Lengths = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

BLOCK = 400
REACH = 8
_MARGIN = 6.0
"""By how many standard errors another offset must be better."""


@dataclass(frozen=True, slots=True)
class Shift:
    """Rows whose target stands some lines further on.

    Attributes:
        start: the first row, counted from 0, to within a few lines.
        rows: how many rows are shifted in the same way.
        offset: the source of row i goes with the target of row i + offset.
        fit: the correlation of the lengths at that offset.
        fit_beside: the correlation without an offset.
    """

    start: int
    rows: int
    offset: int
    fit: float
    fit_beside: float


def shifts(source: Lengths, target: Lengths) -> list[Shift]:
    """The runs of shifted rows.

    Args:
        source: the length of each source in characters [N].
        target: the length of each target [N].
    """
    count = len(source)
    if count < BLOCK // 2:
        return []
    left, right = np.log1p(source), np.log1p(target)
    edges = np.linspace(0, count, max(1, count // BLOCK) + 1, dtype=np.int64).tolist()
    fits = np.array([_fits(left, right, start, stop) for start, stop in pairwise(edges)])
    best = np.argmax(fits, axis=1) - REACH
    height, beside = fits.max(axis=1), fits[:, REACH]
    margin = _MARGIN / np.sqrt(np.diff(edges))
    best[(height - beside < margin) | (beside > height / 2)] = 0
    return _runs(left, right, edges, best, fits)


def _fits(left: Floats, right: Floats, start: int, stop: int) -> list[float]:
    """The correlation of a block of sources with the targets at each offset from -REACH to REACH."""
    found = []
    for offset in range(-REACH, REACH + 1):
        first, last = max(start, -offset), min(stop, len(right) - offset)
        found.append(_correlation(left[first:last], right[first + offset : last + offset]))
    return found


def _correlation(left: Floats, right: Floats) -> float:
    left, right = left - left.mean(), right - right.mean()
    scale = float(np.sqrt((left @ left) * (right @ right)))
    return float(left @ right) / scale if scale > 1e-9 else 0.0


def _runs(left: Floats, right: Floats, edges: list[int], best: Lengths, fits: Floats) -> list[Shift]:
    """Join neighbouring blocks with the same offset."""
    found: list[Shift] = []
    number = 0
    while number < len(best):
        first, offset = number, int(best[number])
        while number < len(best) and best[number] == offset:
            number += 1
        if offset:
            before, after = edges[max(0, first - 1)], edges[min(number + 1, len(edges) - 1)]
            start = before + int(np.argmax(_gain(left, right, before, edges[first + 1], offset)[::-1].cumsum()[::-1]))
            stop = after
            if number < len(best):
                stop = edges[number - 1] + 1
                stop += int(np.argmax(_gain(left, right, edges[number - 1], after, offset).cumsum()))
            fit, beside = fits[first:number, offset + REACH].mean(), fits[first:number, REACH].mean()
            found.append(Shift(start, stop - start, offset, float(fit), float(beside)))
    return found


def _gain(left: Floats, right: Floats, low: int, high: int, offset: int) -> Floats:
    """For each row from `low` to before `high`, how much better the offset explains its length; 0 beyond the ends."""
    gain = np.zeros(high - low)
    first, last = max(low, -offset), min(high, len(right) - offset, len(right))
    source = left[first:last] - left[first:last].mean()
    moved, beside = right[first + offset : last + offset], right[first:last]
    gain[first - low : last - low] = source * ((moved - moved.mean()) - (beside - beside.mean()))
    return gain
