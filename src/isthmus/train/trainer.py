"""Training, from top to bottom: read batches, add up gradients, step, validate, save, and tell of it.

`train` is a generator of events. Nothing in it looks at the clock; everything that the next update depends on is in the model, the
optimiser, the average and one `TrainingState`, so that a run that was killed and resumed is the run that was not, bit for bit.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor, nn

from isthmus.core.errors import CheckpointError, ConfigError, TrainingError
from isthmus.core.runtime import Runtime, seed_step
from isthmus.data.batches import Batch
from isthmus.data.prefetch import prefetch
from isthmus.train.checkpoint import Checkpoint, Checkpoints, load_model, model_tensors, refuse_changes
from isthmus.train.events import Event, Saved, Started, Stepped, Stopped
from isthmus.train.feed import BatchSource, on_device
from isthmus.train.job import Job, Parts, parts_of
from isthmus.train.judge import validate
from isthmus.train.lanes import Lanes, onwards
from isthmus.train.log import RunLog
from isthmus.train.schedule import factor
from isthmus.train.shard import divided, put_together, whole
from isthmus.train.state import Position, TrainingState, mark, seen_after, stop_reason

BAD_IN_A_ROW = 10


Feed = Iterator[tuple[Position, Batch | None]]
"""Batches, with the position after each; `None` stands for one that another process has."""
TOLD = 4
"""So many numbers are told of a batch: source tokens, target tokens, the mark of its examples, its epoch."""


def never() -> bool:
    """Nobody interrupts."""
    return False


def train(job: Job, interrupted: Callable[[], bool] = never) -> Generator[Event, None, None]:
    """Train a model, or go on training it, telling each event as it happens.

    Args:
        job: what to train on what.
        interrupted: asked between steps; `True` stops after a checkpoint. See `interruptible`.

    Raises:
        CheckpointError: the checkpoint is damaged or belongs to another run.
        ConfigError: the metric that selects is none of the validators', or processes cannot share an update evenly.
        TrainingError: ten updates in a row were not finite, or a checkpoint could not be written.
    """
    _check_shares(job)
    parts, team = parts_of(job), job.team
    state = _restore(job, parts)
    saved_at, config = state.step, job.config
    numbers = sum(parameter.numel() for parameter in parts.parameters.values())
    with (
        _feed(job.batches, state.position) as feed,
        RunLog(job.place.folder if team.first else None, state.step) as log,
    ):
        yield Started(state.step, config.steps, numbers, job.runtime.choices())
        while (reason := stop_reason(state, config, team.any(interrupted()))) is None:
            state, stepped = update(job, parts, state, feed)
            log.stepped(stepped, write=state.step % config.log_every == 0 or state.step == config.steps)
            yield stepped
            _check_finite(state)
            best_before = state.best
            if _due(state.step, config.validate_every, config.steps):
                state = yield from validate(job, parts, state, log)
            if (
                _due(state.step, config.checkpoint_every or config.validate_every, config.steps)
                or state.best != best_before
            ):
                yield from _save(parts, job, state, log)
                saved_at = state.step
        if saved_at != state.step:
            yield from _save(parts, job, state, log)
        yield Stopped(state.step, reason)


def update(job: Job, parts: Parts, state: TrainingState, feed: Feed) -> tuple[TrainingState, Stepped]:
    """Make one update: the gradient of the mean loss over all tokens of `accumulate` batches.

    Sums are accumulated and divided once by the whole count, so that n small batches are one large batch. The three numbers that
    decide (loss, count, norm) are fetched from the device together, with what is told of each batch. Where several processes train,
    each computes its share of the batches, and needs no more than what is told of the others.
    """
    config, step, position = job.config, state.step + 1, state.position
    with job.runtime.fast():
        sums = torch.zeros(2, device=job.runtime.device)
        told = torch.zeros(config.accumulate, TOLD)
        for micro in range(config.accumulate):
            position, batch = next(feed)
            if batch is not None and job.team.mine(micro):
                tokens = batch.source.lengths_B.sum(), batch.target.lengths_B.sum()
                told[micro] = torch.tensor([*tokens, mark(batch.index_B.numpy().tobytes()), position.epoch])
                seed_step(config.seed, position.epoch, step, micro)
                sums += _gradients(job, parts, batch, step / config.steps)
        gradients, told = _added_up(job, parts, sums, told)
        norm = whole(nn.utils.get_total_norm(gradients))
        loss, count, length = torch.cat([sums, norm.view(1)]).tolist()
        numbers = told.view(-1).tolist()
        source_tokens, target_tokens = int(sum(numbers[0::TOLD])), int(sum(numbers[1::TOLD]))
        position, seen = replace(position, epoch=int(numbers[-1])), seen_after(state.seen, numbers[2::TOLD])
        loss, length = (loss / count, length / count) if count else (math.nan, math.nan)
        skipped = not (math.isfinite(loss) and math.isfinite(length))
        rate = 0.0
        if not skipped:
            _scale(gradients, length, count, config.clip_norm)
            rate = parts.optimiser.step(step, factor(config.schedule, step, config.steps))
            parts.average.after_step(parts.parameters)
        parts.optimiser.clear()
    state = replace(
        state,
        step=step,
        position=position,
        source_tokens=state.source_tokens + source_tokens,
        target_tokens=state.target_tokens + target_tokens,
        skipped=state.skipped + skipped,
        skipped_in_a_row=state.skipped_in_a_row + 1 if skipped else 0,
        seen=seen,
    )
    return state, Stepped(step, position.epoch, loss, source_tokens, target_tokens, rate, length, skipped, seen)


def _gradients(job: Job, parts: Parts, batch: Batch, progress: float) -> Tensor:
    """Add the gradient of one batch's summed loss to the parameters; return (sum, count) [2]."""
    with job.runtime.autocast():
        total, count = parts.loss(on_device(batch, job.runtime.device), progress)
    torch.autograd.backward(total)
    return torch.stack([total.detach().float(), count.float()])


def _added_up(job: Job, parts: Parts, sums: Tensor, told: Tensor) -> tuple[list[Tensor], Tensor]:
    """The gradients, and `told`; `sums` and they become those of all processes. What no batch has used has a gradient of 0."""
    gradients = [_gradient(parameter) for parameter in parts.parameters.values()]
    if job.team.size > 1:
        told = told.to(job.runtime.device)
        job.team.add_up([sums, told] if job.team.shards else [sums, told, *gradients])
    return gradients, told


def _gradient(parameter: nn.Parameter) -> Tensor:
    if parameter.grad is None:
        parameter.grad = torch.zeros_like(parameter)
    return parameter.grad


def _scale(gradients: list[Tensor], length: float, count: float, clip_norm: float) -> None:
    """From gradients of the sum to those of the mean, clipped, in one pass."""
    torch._foreach_mul_(gradients, min(1.0, clip_norm / (length + 1e-6)) / count)


def resumed_runtime(folder: Path) -> Runtime | None:
    """How the newest checkpoint of a run was computed, or `None` if there is none: what a job that resumes it must be given.

    Raises:
        CheckpointError: the checkpoint is damaged.
        InputError: this machine does not have its device.
    """
    checkpoint = Checkpoints(folder / "checkpoints").latest()
    if checkpoint is None:
        return None
    prefix = "runtime."
    return Runtime.of(
        {name.removeprefix(prefix): value for name, value in checkpoint.identity.items() if name.startswith(prefix)}
    )


def _restore(job: Job, parts: Parts) -> TrainingState:
    """Put the newest checkpoint into the parts, if there is one, and return its state."""
    checkpoint, place = parts.checkpoints.latest(), job.place
    if checkpoint is None:
        return TrainingState()
    where = parts.checkpoints.folder
    if not place.resume:
        raise CheckpointError(
            "this folder has a run already",
            expected="an empty folder",
            got="checkpoints",
            where=str(where),
            fix="resume it, or name another folder",
        )
    refuse_changes(checkpoint.identity, parts.identity, place.allow_changed, where)
    load_model(job.model, divided(checkpoint.model, parts.parameters))
    parts.optimiser.load(divided(checkpoint.optimiser, parts.parameters))
    if checkpoint.identity["train.average.kind"] == job.config.average.kind:
        parts.average.load(divided(checkpoint.average, parts.parameters))
    return checkpoint.state


def _save(parts: Parts, job: Job, state: TrainingState, log: RunLog) -> Iterator[Saved]:
    if not job.team.first and not job.team.shards:
        return
    kept = (model_tensors(job.model), parts.optimiser.tensors(), parts.average.tensors())
    tensors = [put_together(each, keep=job.team.first) for each in kept]
    if job.team.first:
        log.sync()
        yield Saved(state.step, parts.checkpoints.save(Checkpoint(state, parts.identity, *tensors)))


def _check_shares(job: Job) -> None:
    if job.config.accumulate % job.team.size:
        raise ConfigError(
            "every process must have as many batches of an update as the others",
            expected=f"a multiple of {job.team.size} processes",
            got=f"accumulate = {job.config.accumulate}",
            where="train.accumulate",
            fix=f"set it to {job.team.size}; for updates as large as before, divide data.batch.tokens by as much",
        )


def _due(step: int, every: int, steps: int) -> bool:
    return step % every == 0 or step == steps


def _check_finite(state: TrainingState) -> None:
    if state.skipped_in_a_row >= BAD_IN_A_ROW:
        raise TrainingError(
            f"{BAD_IN_A_ROW} updates in a row had a loss or gradient that was not finite",
            expected="finite numbers",
            got=f"{state.skipped} of {state.step} updates skipped",
            where=f"step {state.step}",
            fix="lower the learning rate, lengthen the warm-up, clip gradients, or use precision float32",
        )


@contextmanager
def _feed(source: BatchSource | Lanes, position: Position) -> Iterator[Feed]:
    """Batches prepared ahead on a thread, which is stopped afterwards."""
    feed = prefetch(onwards(source, position))
    try:
        yield feed
    finally:
        if isinstance(feed, Generator):
            feed.close()
