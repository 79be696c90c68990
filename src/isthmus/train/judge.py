"""Judging the model along the way: which weights are validated, which validation is the best."""

from __future__ import annotations

import json
import math
from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace

import torch
from torch import nn

from isthmus.core.errors import ConfigError
from isthmus.train.average import Weights
from isthmus.train.config import TrainingConfig
from isthmus.train.events import Event, Sample, Validated
from isthmus.train.job import Job, Parts
from isthmus.train.log import RunLog
from isthmus.train.state import Best, TrainingState, stop_reason


def validate(job: Job, parts: Parts, state: TrainingState, log: RunLog) -> Generator[Event, None, TrainingState]:
    """Judge the model, and at the end of training also the average that only the end has; return the state that knows."""
    average = parts.average
    average.before_validation(state.step, parts.parameters)
    merit, best = yield from _judge(job, parts, state, log, average.weights())
    average.after_validation(state.step, parts.parameters, merit)
    better = best is not None and (
        state.best is None or _signed(job.config, best.score) > _signed(job.config, state.best.score)
    )
    state = replace(state, best=best, stale=0 if better else state.stale + 1)
    if stop_reason(state, job.config, interrupted=False) is not None and (final := average.final()) is not None:
        _, best = yield from _judge(job, parts, state, log, final)
        state = replace(state, best=best)
    return state


def _judge(
    job: Job, parts: Parts, state: TrainingState, log: RunLog, weights: Weights | None
) -> Generator[Event, None, tuple[float, Best | None]]:
    """Validate some weights, and tell of it while the model holds them; return their merit and the best so far.

    Of equals the later is the best: it has learned longer. Where several processes train, all go by what the first one finds: on
    processors of other kinds a score may differ in its last bit, and with it what is the best and when to stop.
    """
    with holding(parts.parameters, weights), parts.gathered():
        judges = (
            job.team.first or job.team.shards
        )  # where weights are divided, reading them is something that all do together
        scores, samples = _scores(job) if judges else ({}, ())
        scores = json.loads(job.team.told(json.dumps(scores)))
        merit = _merit(job, scores, state.step)
        is_best = state.best is None or merit >= _signed(job.config, state.best.score)
        event = Validated(state.step, scores, samples, is_best, averaged=weights is not None)
        log.validated(event)
        yield event
    best = (
        Best(state.step, _signed(job.config, merit))
        if is_best and job.validators and math.isfinite(merit)
        else state.best
    )
    return merit, best


def _scores(job: Job) -> tuple[dict[str, float], tuple[Sample, ...]]:
    """What the validators say, dropout off, without gradients."""
    scores: dict[str, float] = {}
    samples: tuple[Sample, ...] = ()
    job.model.eval()
    try:
        with torch.no_grad(), job.runtime.fast():
            for validator in job.validators:
                result = validator(job.model)
                scores |= result.scores
                samples += result.samples
    finally:
        job.model.train()
    return scores, samples


def _merit(job: Job, scores: Mapping[str, float], step: int) -> float:
    """A number that is higher for better scores; without validators the later the better."""
    if not job.validators:
        return float(step)
    metric = job.config.select.metric
    if metric not in scores:
        raise ConfigError(
            "no validator gives the metric that selects the best model",
            expected=f"one of {', '.join(sorted(scores))}",
            got=metric,
            where="train.select.metric",
            fix="name one of them",
        )
    merit = _signed(job.config, scores[metric])
    return -math.inf if math.isnan(merit) else merit


def _signed(config: TrainingConfig, number: float) -> float:
    return number if config.select.direction == "higher" else -number


@contextmanager
def holding(parameters: Mapping[str, nn.Parameter], weights: Weights | None) -> Iterator[None]:
    """Put weights into the parameters for the body, and the former ones back afterwards, to the bit; `None` changes nothing."""
    if weights is None:
        yield
        return
    before = {name: parameters[name].detach().clone() for name in weights}
    _put(parameters, weights)
    try:
        yield
    finally:
        _put(parameters, before)


@torch.no_grad()
def _put(parameters: Mapping[str, nn.Parameter], weights: Weights) -> None:
    for name, value in weights.items():
        parameters[name].copy_(value)
