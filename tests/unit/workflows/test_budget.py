"""How many steps a time has: measured with what will be trained, not with something like it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from isthmus.train.config import TrainingConfig
from isthmus.train.events import Event
from isthmus.train.job import Job
from isthmus.train.muon import OrthogonalMomentum
from isthmus.train.optimiser import Muon
from isthmus.train.trainer import train
from isthmus.workflows import budget
from tests.unit.train.toy import toy_config, toy_job


def test_steps_are_timed_with_the_optimiser_and_the_average_of_the_recipe(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    timed: list[TrainingConfig] = []
    multiplied: list[int] = []

    def watched(job: Job) -> Iterator[Event]:
        timed.append(job.config)
        return train(job)

    def stepped(self: OrthogonalMomentum) -> float | None:
        multiplied.append(1)
        return step(self)

    step = OrthogonalMomentum.step
    monkeypatch.setattr(OrthogonalMomentum, "step", stepped)
    monkeypatch.setattr(budget, "train", watched)
    changes = {"optimiser": {"kind": "muon"}, "average": {"kind": "ema"}, "accumulate": 2, "checkpoint_every": 1}
    job = toy_job(tmp_path / "run", toy_config(**changes))
    assert budget.steps_for(job, 1.0) > 1
    (config,) = timed
    assert isinstance(config.optimiser, Muon)
    assert (config.average, config.accumulate) == (job.config.average, 2)
    assert len(multiplied) == config.steps == budget.WARM_UP + budget.MEASURED
    assert not (tmp_path / "run").exists()
