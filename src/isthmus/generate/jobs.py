"""From ids to hypotheses: many sources searched in batches of similar length, and given back in order."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import zip_longest

import torch

from isthmus.core.errors import InputError
from isthmus.core.padded import Padded
from isthmus.engines.engine import Engine
from isthmus.generate.alternatives import Runners
from isthmus.generate.batches import batches
from isthmus.generate.noise import request_seed
from isthmus.generate.options import GenerationOptions
from isthmus.generate.repair import Repair
from isthmus.generate.rules import rules_of
from isthmus.generate.search import Rules, Step, run
from isthmus.generate.state import Hypothesis, Requests, SearchState


@dataclass(frozen=True, slots=True)
class Job:
    """One source to generate from.

    Attributes:
        source: its ids, with the end.
        prefix: ids that the output must begin with.
        translates: whether the output is in another language.
    """

    source: tuple[int, ...]
    prefix: tuple[int, ...] = ()
    translates: bool = False


@dataclass(frozen=True, slots=True)
class Found:
    """What was found for a job.

    Attributes:
        hypotheses: best first; samples in the order of their drawing.
        seconds: how long the batches took that the job was part of.
        repairs: what the guards did about each hypothesis, if anything; empty where they did nothing.
        alternatives: what else could have come in each hypothesis; empty if that was not asked for.
    """

    hypotheses: tuple[Hypothesis, ...]
    seconds: float
    repairs: tuple[Repair | None, ...] = ()
    alternatives: tuple[Runners, ...] = ()


@dataclass(frozen=True, slots=True)
class Target:
    """What a search must know of the target side.

    Attributes:
        end: the id that ends an output.
        never: ids that are not to be produced.
        positions: the most ids that start and output together may have; None if there is no limit.
    """

    end: int
    never: Collection[int]
    positions: int | None = None


SearchJobs = Callable[[Sequence[Job], Target, GenerationOptions], list[Found]]
"""Searches jobs, whoever runs the engine: the result of each is the same in whatever company."""


def search_jobs(engine: Engine, jobs: Sequence[Job], target: Target, options: GenerationOptions) -> list[Found]:
    """Search all jobs; the result of each is the same in whatever company.

    Raises:
        InputError: the maximum length is more than the model can produce.
    """
    for job in jobs:
        length_limit(job, len(engine.start_ids), target.positions, options)
    found: dict[int, Found] = {}
    for places in batches([len(job.source) for job in jobs], max(1, options.batch // options.rows)):
        began = time.perf_counter()
        with engine.running():
            several = _search(engine, [jobs[i] for i in places], target, options)
        spent = time.perf_counter() - began
        found.update({place: Found(one, spent) for place, one in zip(places, several, strict=True)})
    return [found[place] for place in range(len(jobs))]


def length_limit(job: Job, start: int, positions: int | None, options: GenerationOptions) -> int:
    """The most pieces to produce: as asked for, or 2 x source + 10 as far as the model has positions.

    Args:
        job: its source counts without the end; by default its prefix on top.
        start: how many ids an output begins with.
        positions: the most ids that start and output together may have.
        options: what was asked for.

    Raises:
        InputError: more was asked for than the model has positions.
    """
    room = None if positions is None else positions - start
    if room is not None and options.limit is not None and options.limit > room:
        raise InputError(
            "the maximum length is more than the model can produce",
            expected=f"at most {room}",
            got=str(options.limit),
            where="max_length",
            fix=f"set it to {room} or less, or divide the input",
        )
    usual = max(2 * _pieces(job) + 10 + len(job.prefix), options.shortest(_pieces(job)))
    wanted = options.longest(_pieces(job)) or usual
    return wanted if room is None else min(wanted, room)


def _pieces(job: Job) -> int:
    """How long a source is, without its end."""
    return len(job.source) - 1


def prepared(
    engine: Engine, jobs: Sequence[Job], target: Target, options: GenerationOptions
) -> tuple[Step, SearchState, Rules]:
    """What `search` needs for one batch; the samples of a job stand together.

    Args:
        engine: runs the model.
        jobs: the batch.
        target: what a search must know of the target side.
        options: how to generate.

    Raises:
        InputError: the maximum length is more than the model can produce.
    """
    requests = requests_of(jobs, len(engine.start_ids), target, options)
    return (
        partial(engine.step, weights=needs_weights(options)),
        begun(engine, jobs, requests, options.rows),
        rules_of(options, target.end, target.never, engine.device),
    )


def requests_of(jobs: Sequence[Job], start: int, target: Target, options: GenerationOptions) -> Requests:
    """What the search of each job must know; the samples of a job stand together.

    Args:
        jobs: to search together.
        start: how many ids an output begins with.
        target: what a search must know of the target side.
        options: how to generate.

    Raises:
        InputError: the maximum length is more than the model can produce.
    """
    limits = [length_limit(job, start, target.positions, options) for job in jobs]
    seed = 0 if options.seed is None else options.seed
    return Requests.of(
        limits,
        min_length=[min(options.shortest(_pieces(job)), limit) for job, limit in zip(jobs, limits, strict=True)],
        seeds=[request_seed(seed, job.source) for job in jobs],
        samples=options.rows,
        prefixes=[job.prefix or options.beginning for job in jobs],
        sources=[job.source for job in jobs],
        constraints=[options.required] * len(jobs),
    )


def begun(engine: Engine, jobs: Sequence[Job], requests: Requests, rows: int) -> SearchState:
    """The state before the first step.

    Args:
        engine: reads the sources.
        jobs: to search together.
        requests: `rows` for each job, in their order.
        rows: how many sentences of the search one job becomes.
    """
    cache = engine.start(Padded.of([job.source for job in jobs]))
    if rows > 1:
        cache = cache.select(torch.arange(len(jobs), device=engine.device).repeat_interleave(rows))
    return SearchState.begin(cache, engine.start_ids, requests.to(engine.device))


def needs_weights(options: GenerationOptions) -> bool:
    """Whether the engine must say where it looked."""
    return options.attention or options.alignment or options.coverage_penalty > 0


@torch.inference_mode()
def _search(
    engine: Engine, jobs: Sequence[Job], target: Target, options: GenerationOptions
) -> list[tuple[Hypothesis, ...]]:
    """Search one batch."""
    finished = run(*prepared(engine, jobs, target, options))
    of_job = [finished[first : first + options.rows] for first in range(0, len(finished), options.rows)]
    return [outputs_of(job, group, options) for job, group in zip(jobs, of_job, strict=True)]


def outputs_of(job: Job, several: Sequence[Sequence[Hypothesis]], options: GenerationOptions) -> tuple[Hypothesis, ...]:
    """The outputs to give of what the sentences of a job found.

    Args:
        job: what was searched for.
        several: what each of its samples, or groups of beams, found.
        options: what was asked for.
    """
    return tuple(_trimmed(one, len(job.source)) for one in _chosen(several, options))


def _chosen(several: Sequence[Sequence[Hypothesis]], options: GenerationOptions) -> list[Hypothesis]:
    """The outputs to give: of samples all; of groups of beams the best of each, then the second of each, ...

    What two groups found alike is given once. Those of groups then stand best first.
    """
    if options.do_sample or len(several) == 1:
        return [one for group in several for one in group][: options.num_return_sequences]
    in_turn = [one for turn in zip_longest(*several) for one in turn if one is not None]
    different = {(one.ids, one.stop): one for one in reversed(in_turn)}
    chosen = [one for one in in_turn if different[one.ids, one.stop] is one][: options.num_return_sequences]
    return sorted(chosen, key=lambda one: (one.stop != "end", -one.normalised))


def _trimmed(hypothesis: Hypothesis, length: int) -> Hypothesis:
    """The hypothesis with its attention over real source positions only."""
    if hypothesis.attention_TS is None:
        return hypothesis
    return replace(hypothesis, attention_TS=hypothesis.attention_TS[:, :length])
