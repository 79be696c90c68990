"""What training needs, and what it makes of it before the first step."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from isthmus.core.runtime import Runtime
from isthmus.core.team import ALONE, Team
from isthmus.data.batches import Batch
from isthmus.model.encoder_decoder import EncoderDecoder
from isthmus.train.average import Average, build_average
from isthmus.train.checkpoint import Checkpoints, flat
from isthmus.train.config import TrainingConfig
from isthmus.train.feed import BatchSource
from isthmus.train.lanes import Lanes
from isthmus.train.objective import Objective
from isthmus.train.optimiser import Optimiser
from isthmus.train.shard import Sharded
from isthmus.train.validate import Validator


@dataclass(frozen=True, slots=True)
class Place:
    """Where a run lives, and what it is.

    Attributes:
        folder: takes `checkpoints/`, `metrics.jsonl` and `timing.jsonl`.
        identity: whatever else a resumed run must have in common with the first: model, data, hashes of files. Nested plain values.
        resume: go on from the newest checkpoint if there is one; otherwise a folder with checkpoints is an error.
        allow_changed: fields that may differ from the checkpoint: dotted names, a table's name for all in it.
    """

    folder: Path
    identity: Mapping[str, Any] = field(default_factory=dict)
    resume: bool = True
    allow_changed: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Job:
    """All that training needs.

    Attributes:
        model: is trained in place.
        objective: what is made small.
        batches: the training data.
        validators: what judges the model along the way.
        config: how it is trained.
        runtime: how it is computed; a resumed run must have that of the first (`resumed_runtime`).
        place: where the run lives.
        team: the processes that train together.
    """

    model: EncoderDecoder
    objective: Objective
    batches: BatchSource | Lanes
    validators: tuple[Validator, ...]
    config: TrainingConfig
    runtime: Runtime
    place: Place
    team: Team = ALONE


@dataclass(frozen=True, slots=True)
class Parts:
    """What a job is worked with; the model, the optimiser and the average change in place.

    Attributes:
        parameters: what is trained, by name.
        optimiser: how it changes.
        average: what is kept of it along the way.
        checkpoints: where the state goes.
        identity: what a resumed run must have in common with this one.
        loss: (batch, progress) -> (sum of the loss, count).
        gathered: the context in which the model has all its weights.
    """

    parameters: dict[str, nn.Parameter]
    optimiser: Optimiser
    average: Average
    checkpoints: Checkpoints
    identity: dict[str, Any]
    loss: Callable[[Batch, float], tuple[Tensor, Tensor]]
    gathered: Callable[[], AbstractContextManager[None]] = nullcontext


def parts_of(job: Job) -> Parts:
    """Move the model to the device, divide its weights where processes share them, and make what it is trained with."""
    job.model.to(job.runtime.device).train()
    sharded = Sharded(job.model, job.objective, job.team) if job.team.shards else None
    loss = partial(job.objective, job.model) if sharded is None else sharded
    config = job.config.model_dump(mode="json")
    return Parts(
        parameters={name: parameter for name, parameter in job.model.named_parameters() if parameter.requires_grad},
        optimiser=Optimiser(job.config.optimiser, job.model, job.runtime.precision),
        average=build_average(job.config.average),
        checkpoints=Checkpoints(job.place.folder / "checkpoints", job.config.keep_checkpoints),
        identity=flat({"train": config, "runtime": job.runtime.choices(), **job.place.identity}),
        loss=torch.compile(loss, dynamic=True) if job.config.compile else loss,
        gathered=nullcontext if sharded is None else sharded.gathered,
    )
