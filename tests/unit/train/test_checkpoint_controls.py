"""Negative controls: a run that goes on without any one part of its state does not end as the run that was not killed.

The parts are the fields of the classes themselves, so that a new one without a control fails.
"""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from isthmus.core.runtime import Runtime
from isthmus.data.batches import Batch
from isthmus.model.encoder_decoder import EncoderDecoder
from isthmus.train import trainer
from isthmus.train.checkpoint import Checkpoint, Checkpoints
from isthmus.train.events import Stepped
from isthmus.train.objective import CrossEntropy
from isthmus.train.state import TrainingState
from isthmus.train.trainer import train
from tests.unit.train.test_resume import everything
from tests.unit.train.toy import ToyBatches, toy_config, toy_job, toy_model

SKIPPED = range(12, 24)
"""Batches whose loss is not finite: those of updates 7 to 12, with the checkpoints of updates 8 and 12."""
CONFIG = {
    "steps": 14,
    "accumulate": 2,
    "validate_every": 3,
    "checkpoint_every": 4,
    "keep_checkpoints": 9,
    "log_every": 1,
    "patience": 9,
    "average": {"kind": "ema", "decay": 0.8},
    "select": {"metric": "loss", "direction": "higher"},  # the first validation stays the best one
}


@dataclass(frozen=True)
class Numbered(ToyBatches):
    """Batches whose examples have numbers of their own, counted on over the epochs."""

    def epoch(self, epoch: int, start: int = 0) -> Iterator[Batch]:
        for number, batch in enumerate(super().epoch(epoch, start), epoch * self.batches + start):
            yield replace(batch, index_B=number * self.rows + torch.arange(self.rows))


@dataclass(frozen=True)
class Broken(CrossEntropy):
    """Not finite on some batches."""

    def __call__(self, model: EncoderDecoder, batch: Batch, progress: float = 0.0) -> tuple[Tensor, Tensor]:
        total, count = CrossEntropy.__call__(self, model, batch, progress)
        broken = int(batch.index_B[0]) // len(batch.index_B) in SKIPPED
        return total * (float("nan") if broken else 1.0), count


def run(folder: Path, die_at: int | None = None) -> dict[str, bytes]:
    """Train in fresh objects in bfloat16 until the end or a death; what is in the folder then."""
    torch.manual_seed(len(str(folder)))
    job = toy_job(folder, toy_config(**CONFIG), objective=Broken(0.1))
    for event in train(replace(job, batches=Numbered(), runtime=Runtime("cpu", "bfloat16"))):
        if isinstance(event, Stepped) and event.step == die_at:
            break
    return everything(folder)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    return run(tmp_path_factory.mktemp("whole"))


@pytest.fixture(scope="module")
def killed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that died at update 11; its newest checkpoint is of update 8."""
    folder = tmp_path_factory.mktemp("killed")
    run(folder, die_at=11)
    assert sorted(path.name for path in folder.glob("checkpoints/step-*"))[-1] == "step-00000008"
    return folder


def without(checkpoint: Checkpoint, part: str) -> Checkpoint:
    """The checkpoint as if a part of it had never been saved."""
    fresh = {name: value.detach() for name, value in toy_model().named_parameters()}
    tensors: dict[str, Any] = {
        "model": fresh,
        "optimiser": {},
        "average": {"updates": torch.tensor(0)},
        "steps of the optimiser": {
            name: torch.zeros_like(value) if name.startswith("step/") else value
            for name, value in checkpoint.optimiser.items()
        },
    }
    if part in tensors:
        return replace(checkpoint, **{part.rpartition(" ")[2]: tensors[part]})
    default = {field.name: field.default for field in dataclasses.fields(TrainingState)}
    values: dict[str, Any] = {part: default[part]}
    if part == "position":
        values = {part: replace(checkpoint.state.position, batch=0)}
    assert getattr(checkpoint.state, part) != values[part], "a control that changes nothing controls nothing"
    return replace(checkpoint, state=replace(checkpoint.state, **values))


PARTS = [
    *(field.name for field in dataclasses.fields(TrainingState)),
    *(field.name for field in dataclasses.fields(Checkpoint) if field.name not in ("state", "identity")),
    "steps of the optimiser",
]


def test_with_every_part_it_ends_as_if_nothing_had_happened(
    whole: dict[str, bytes], killed: Path, tmp_path: Path
) -> None:
    assert run(shutil.copytree(killed, tmp_path / "run")) == whole


@pytest.mark.parametrize("part", [*PARTS, "seed of a step"])
def test_without_a_part_it_does_not(
    whole: dict[str, bytes], killed: Path, part: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = Checkpoints.latest
    if part == "seed of a step":
        monkeypatch.setattr(trainer, "seed_step", lambda *arguments: None)
    else:
        monkeypatch.setattr(Checkpoints, "latest", lambda self: without(found, part) if (found := real(self)) else None)
    assert run(shutil.copytree(killed, tmp_path / "run")) != whole
