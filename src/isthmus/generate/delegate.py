"""Handing whole searches to what searches by itself, where it does exactly what was asked for.

Where it does not, the search of `search_jobs` does it: for a whole request (sampling, constraints, ...), or for single
sources whose output it did not find as asked (one that did not end in time, or has a control piece).
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import repeat

from isthmus.core.errors import InputError
from isthmus.engines.engine import Engine
from isthmus.engines.searcher import Outcome, Searcher, Wish
from isthmus.generate.batches import batches
from isthmus.generate.jobs import Found, Job, Target, length_limit, search_jobs
from isthmus.generate.options import GenerationOptions
from isthmus.generate.state import Hypothesis

DONE_BY_ALL = frozenset(
    {
        "max_length",
        "max_new_tokens",
        "max_length_ratio",
        "num_beams",
        "num_return_sequences",
        "length_penalty",
        "early_stopping",
        "batch",
        "split_sentences",
        "context_sentences",
        "guards",
        "alternatives",
        "token_scores",
        "prefix",
        "seed",
        "mbr_metric",
    }
)
"""Options that a searcher follows, or that change nothing of a search."""


def obstacle(options: GenerationOptions) -> str:
    """What of a request a searcher would do otherwise than it was asked for; empty if nothing.

    Args:
        options: settled, in ids.
    """
    values = options.model_dump()
    for name, field in type(options).model_fields.items():
        if name not in DONE_BY_ALL and values[name] != field.default:
            return f"`{name}`"
    if options.num_beams > 1 and options.early_stopping is not True:
        return f"`early_stopping` = {str(options.early_stopping).lower()}"
    if options.num_return_sequences > 1 and options.length_penalty <= 0:
        return "several outputs with a `length_penalty` of 0 or less"
    return ""


@dataclass(frozen=True, slots=True)
class Delegation:
    """A searcher beside an engine.

    Attributes:
        searcher: searches by itself.
        strict: whether a request that it cannot do exactly is an error, and not done by the engine.
    """

    searcher: Searcher
    strict: bool = False

    def check(self, options: GenerationOptions) -> None:
        """Raise an InputError if the searcher must do a request, and cannot."""
        if self.strict and (reason := obstacle(options)):
            fix = "set `early_stopping` to true" if "early_stopping" in reason else "leave it out"
            raise InputError(
                f"{self.searcher.name} cannot do exactly what is asked for",
                expected="greedy or beam search that stops when as many outputs as beams have ended",
                got=reason,
                where="generation options",
                fix=f"{fix}, or use the engine `auto`, which takes PyTorch then",
            )

    def search(self, engine: Engine, jobs: Sequence[Job], target: Target, options: GenerationOptions) -> list[Found]:
        """Search all jobs: as `search_jobs`, but by the searcher where that is exact.

        Args:
            engine: does the rest.
            jobs: what to generate from.
            target: what a search must know of the target side.
            options: how to generate, settled, in ids.

        Raises:
            InputError: the maximum length is more than the model can produce.
        """
        limits = [length_limit(job, len(engine.start_ids), target.positions, options) for job in jobs]
        found = {} if obstacle(options) else self.found(jobs, limits, target, options)
        left = [place for place in range(len(jobs)) if place not in found]
        found.update(zip(left, search_jobs(engine, [jobs[place] for place in left], target, options), strict=True))
        return [found[place] for place in range(len(jobs))]

    def found(
        self, jobs: Sequence[Job], limits: Sequence[int], target: Target, options: GenerationOptions
    ) -> dict[int, Found]:
        """What the searcher alone finds as asked, by the place of its job.

        Args:
            jobs: what to generate from.
            limits: the most pieces of an output of each.
            target: what a search must know of the target side.
            options: how to generate, settled, in ids, and without an `obstacle`.
        """
        places = [place for place, job in enumerate(jobs) if len(job.source) > 1 and not job.prefix]
        groups = [[places[i] for i in one] for one in batches([len(jobs[p].source) for p in places], options.batch)]
        wish = Wish(options.num_beams, options.num_return_sequences, options.length_penalty)
        began = time.perf_counter()
        several = self.searcher.search(
            [[jobs[place].source for place in group] for group in groups],
            [max(limits[place] for place in group) for group in groups],
            wish,
        )
        spent = time.perf_counter() - began
        never = frozenset(target.never)
        right = {
            place: outcomes
            for group, found in zip(groups, several, strict=True)
            for place, outcomes in zip(group, found, strict=True)
            if len(outcomes) == wish.outputs and all(_as_asked(one, limits[place], never) for one in outcomes)
        }
        both = [(jobs[place].source, one) for place, outcomes in right.items() for one in outcomes]
        scores: Iterator[tuple[float, ...]] = repeat(())
        if options.token_scores:
            targets = [[*one.ids, target.end] for _, one in both]
            scores = iter(self.searcher.token_scores([source for source, _ in both], targets))
        return {
            place: Found(tuple(_hypothesis(one, next(scores)) for one in outcomes), spent)
            for place, outcomes in right.items()
        }


def _as_asked(one: Outcome, limit: int, never: frozenset[int]) -> bool:
    return one.ended and len(one.ids) <= limit and never.isdisjoint(one.ids)


def _hypothesis(one: Outcome, scores: tuple[float, ...]) -> Hypothesis:
    return Hypothesis(one.ids, scores, one.score, one.normalised, "end")
