"""The sizes that neighbouring parts must agree on."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Sizes:
    """What a part's `build` must know of its neighbours.

    Attributes:
        d_model: size of the decoder's states.
        d_memory: size of the memory's states and summary.
        kept: how many states of lower layers the memory has (see `Encoder.kept`).
        sources: how many sources the memory is of.
    """

    d_model: int
    d_memory: int
    kept: int = 0
    sources: int = 1
