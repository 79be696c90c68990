"""How many steps fit into so many minutes: measured once before training, so that the clock never enters training itself."""

from __future__ import annotations

import copy
import math
import statistics
import tempfile
import time
from dataclasses import replace
from itertools import count
from pathlib import Path

from isthmus.core.config import parse
from isthmus.core.errors import InputError
from isthmus.train.config import TrainingConfig
from isthmus.train.job import Job, Place
from isthmus.train.trainer import train
from isthmus.workflows.recipe import Recipe, plain

WARM_UP, MEASURED = 3, 12
RESERVE = 0.95
VALIDATIONS = 12
"""How often a run with a time limit is validated."""


def check_minutes(minutes: float) -> None:
    """Raise an InputError unless the time for training is a positive number."""
    if not 0 < minutes < math.inf:
        raise InputError(
            "the time for training must be positive", expected="minutes > 0", got=str(minutes), where="--minutes"
        )


def within(recipe: Recipe, steps: int) -> Recipe:
    """The recipe with a number of steps, and validations and warm-up to match."""
    table = plain(recipe)
    schedule = dict(table["train"]["schedule"])
    schedule["warmup"] = max(1, min(int(schedule["warmup"]), steps // 10))
    every = max(1, -(-steps // VALIDATIONS))
    timed = {**table["train"], "steps": steps, "validate_every": every, "schedule": schedule}
    return parse(Recipe, {**table, "train": timed}, "recipe")


def steps_for(job: Job, minutes: float) -> int:
    """How many steps (with `VALIDATIONS` validations) take so many minutes on this machine, measured on a copy of the model.

    Raises:
        InputError: the time is not positive, or too short for anything.
    """
    check_minutes(minutes)
    begun = time.perf_counter()
    model = copy.deepcopy(job.model)
    with tempfile.TemporaryDirectory() as folder:
        step = _step_seconds(replace(job, model=model, validators=(), place=Place(Path(folder))))
    validation = _validation_seconds(job)
    spent = time.perf_counter() - begun
    left = minutes * 60 * RESERVE - spent - VALIDATIONS * validation
    steps = int(left / step)
    if steps < 1:
        raise InputError(
            "the time is too short to train this model on this machine",
            expected=f"more than {(spent + VALIDATIONS * validation + step) / 60:.1f} minutes",
            got=f"{minutes:g} minutes",
            where="--minutes",
            fix="give more time, or take a smaller model",
        )
    return steps


def _step_seconds(job: Job) -> float:
    """The mean time of a step, from a few with batches of every length, the slowest and fastest left out."""
    total = WARM_UP + MEASURED
    length = {"steps": total, "validate_every": total + 1, "checkpoint_every": None}
    config = parse(TrainingConfig, {**job.config.model_dump(), **length}, "train")
    marks: list[float] = []
    for event, _ in zip(train(replace(job, config=config)), count(), strict=False):
        del event
        marks.append(time.perf_counter())
        if len(marks) > total:
            break
    times = sorted(later - earlier for earlier, later in zip(marks[WARM_UP:], marks[WARM_UP + 1 :], strict=False))
    return statistics.fmean(times[1:-1])


def _validation_seconds(job: Job) -> float:
    """How long one validation takes, with a model that knows nothing yet (it generates longer outputs than a trained one)."""
    begun = time.perf_counter()
    job.model.eval()
    with job.runtime.fast():
        for validator in job.validators:
            validator(job.model)
    job.model.train()
    return time.perf_counter() - begun
