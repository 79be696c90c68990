"""Which sentences to search together."""

from __future__ import annotations

from collections.abc import Sequence

PIECES = 64
"""Up to this length a sentence counts as one; longer ones count for more."""


def batches(lengths: Sequence[int], batch: int) -> list[list[int]]:
    """Divide sentences of given lengths into batches of similar length, the longest first.

    At most `batch` sentences stand in one, and at most `batch` x 64 pieces with the padding; a sentence longer than
    that stands alone.

    Returns:
        The places in `lengths`, each once; which neighbours a sentence gets never changes its output.
    """
    order = sorted(range(len(lengths)), key=lambda place: -lengths[place])
    found: list[list[int]] = []
    room = 0
    for place in order:
        if room == 0:
            found.append([])
            room = max(1, min(batch, batch * PIECES // max(1, lengths[place])))
        found[-1].append(place)
        room -= 1
    return found
