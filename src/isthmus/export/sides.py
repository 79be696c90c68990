"""What is compared when a model is exported: two sides that score targets and search, ids in and ids out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, final

from isthmus.engines.engine import Engine
from isthmus.generate.delegate import Delegation
from isthmus.generate.jobs import Job, Target, length_limit, search_jobs
from isthmus.generate.options import GenerationOptions
from isthmus.generate.score import token_scores
from isthmus.generate.state import Hypothesis

Ids = Sequence[int]


class Side(Protocol):
    """A model in some form."""

    def token_scores(self, pairs: Sequence[tuple[Ids, Ids]]) -> list[tuple[float, ...]]:
        """The log-probability of each id of each target after those before it.

        Args:
            pairs: ids of a source and of a target, each with its end.
        """

    def outputs(self, sources: Sequence[Ids], options: GenerationOptions) -> list[tuple[Hypothesis, ...] | None]:
        """All beams of each source, best first; None where this form does not search as asked.

        Args:
            sources: each with its end.
            options: of the search.
        """


@final
@dataclass(frozen=True, slots=True)
class Stepping(Side):
    """An engine that our search drives.

    Attributes:
        engine: runs the model.
        target: what a search must know of the target side.
        size: of the target vocabulary.
        first: ids that every output begins with.
    """

    engine: Engine
    target: Target
    size: int
    first: tuple[int, ...] = ()

    def token_scores(self, pairs: Sequence[tuple[Ids, Ids]]) -> list[tuple[float, ...]]:
        """By teacher forcing; see `Side`."""
        return token_scores(self.engine, pairs, self.size)

    def outputs(self, sources: Sequence[Ids], options: GenerationOptions) -> list[tuple[Hypothesis, ...] | None]:
        """By our search; see `Side`."""
        jobs = [Job(tuple(source), self.first) for source in sources]
        return [one.hypotheses for one in search_jobs(self.engine, jobs, self.target, options)]


@final
@dataclass(frozen=True, slots=True)
class Searching(Side):
    """What searches by itself.

    Attributes:
        delegation: has the searcher.
        target: what a search must know of the target side.
        first: ids that every output begins with.
    """

    delegation: Delegation
    target: Target
    first: tuple[int, ...] = ()

    def token_scores(self, pairs: Sequence[tuple[Ids, Ids]]) -> list[tuple[float, ...]]:
        """As the searcher says; see `Side`."""
        return self.delegation.searcher.token_scores([source for source, _ in pairs], [target for _, target in pairs])

    def outputs(self, sources: Sequence[Ids], options: GenerationOptions) -> list[tuple[Hypothesis, ...] | None]:
        """By the searcher alone; see `Side`."""
        jobs = [Job(tuple(source), self.first) for source in sources]
        limits = [length_limit(job, 1, self.target.positions, options) for job in jobs]
        found = self.delegation.found(jobs, limits, self.target, options)
        return [found[place].hypotheses if place in found else None for place in range(len(jobs))]
