"""The interface of what searches by itself: it is given whole sources and returns whole outputs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Wish:
    """A search that every searcher can do: greedy or by beams that stop when as many outputs as beams have ended.

    Attributes:
        beams: how many; 1 is greedy.
        outputs: how many of each source; at most as many as beams.
        length_penalty: outputs are compared by score / length ** length_penalty, where the length counts the end.
    """

    beams: int
    outputs: int = 1
    length_penalty: float = 1.0


@dataclass(frozen=True, slots=True)
class Outcome:
    """One output of a search.

    Attributes:
        ids: the produced pieces, without start and end.
        score: the model's log-probability of them, and of the end if it came.
        normalised: what the search ranked by.
        ended: whether the end came.
    """

    ids: tuple[int, ...]
    score: float
    normalised: float
    ended: bool


class Searcher(Protocol):
    """Something that searches by itself."""

    @property
    def name(self) -> str:
        """What it is called, for example `ctranslate2 int8`."""

    def search(self, batches: Sequence[Sequence[Sequence[int]]], longest: Sequence[int], wish: Wish) -> list[Outcomes]:
        """Search batches of sources, several at a time where there are threads for them.

        Args:
            batches: the ids of sources, each with its end.
            longest: for each batch, the most pieces of an output without its end; what has not ended there is returned as it is.
            wish: how to search.

        Returns:
            for each batch, the outputs of each of its sources, best first.
        """

    def token_scores(
        self, sources: Sequence[Sequence[int]], targets: Sequence[Sequence[int]]
    ) -> list[tuple[float, ...]]:
        """The log-probability of each id of each target, given its source.

        Args:
            sources: each with its end.
            targets: each with its end.
        """


Outcomes = list[list[Outcome]]
