"""Training with divided weights does what training with whole ones does; here with one process, in tests/system with two."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor, distributed
from torch._C._distributed_c10d import HashStore
from torch.distributed.tensor import DTensor

from isthmus.core.team import Team
from isthmus.train.checkpoint import Checkpoints
from isthmus.train.events import Validated
from isthmus.train.job import Job
from isthmus.train.trainer import train
from tests.unit.train.toy import toy_config, toy_job, toy_model

SHARDED = Team(shards=True)
AVERAGES = ({"kind": "ema", "decay": 0.9}, {"kind": "last", "count": 2}, {"kind": "best", "count": 2})


@pytest.fixture(scope="module", autouse=True)
def group() -> Iterator[None]:
    """A group of this process alone, as `torchrun --nproc-per-node 1` makes it."""
    distributed.init_process_group("gloo", store=HashStore(), rank=0, world_size=1)
    yield
    distributed.destroy_process_group()


def job_of(folder: Path, sharded: bool, steps: int = 12, average: object = AVERAGES[0], **changes: object) -> Job:
    job = toy_job(folder, toy_config(steps=steps, accumulate=2, average=average, **changes), toy_model(seed=3))
    return replace(job, team=SHARDED) if sharded else job


def saved(folder: Path) -> dict[str, Tensor]:
    """Every tensor of the newest checkpoint."""
    checkpoint = Checkpoints(folder / "checkpoints").latest()
    assert checkpoint is not None
    parts = {"model": checkpoint.model, "optimiser": checkpoint.optimiser, "average": checkpoint.average}
    return {f"{part} {name}": tensor for part, tensors in parts.items() for name, tensor in tensors.items()}


@pytest.mark.parametrize("average", AVERAGES, ids=lambda average: str(average["kind"]))
def test_the_checkpoint_is_that_of_whole_weights(tmp_path: Path, average: object) -> None:
    for folder, sharded in (("whole", False), ("sharded", True)):
        list(train(job_of(tmp_path / folder, sharded, average=average)))
    whole, sharded_ = saved(tmp_path / "whole"), saved(tmp_path / "sharded")
    assert whole.keys() == sharded_.keys()
    for name, tensor in whole.items():
        torch.testing.assert_close(sharded_[name], tensor, rtol=1e-5, atol=1e-6, msg=name)


def test_muon_orthogonalises_divided_weights_as_whole_ones(tmp_path: Path) -> None:
    for folder, sharded in (("whole", False), ("sharded", True)):
        list(train(job_of(tmp_path / folder, sharded, optimiser={"kind": "muon", "learning_rate": 0.01})))
    whole, sharded_ = saved(tmp_path / "whole"), saved(tmp_path / "sharded")
    assert any("momentum_buffer" in name for name in whole)
    for name, tensor in whole.items():
        torch.testing.assert_close(sharded_[name], tensor, rtol=1e-5, atol=1e-6, msg=name)


@pytest.mark.parametrize("first", [False, True], ids=["whole first", "sharded first"])
def test_either_goes_on_from_the_checkpoint_of_the_other(tmp_path: Path, first: bool) -> None:
    list(train(job_of(tmp_path / "whole", sharded=False)))
    half = job_of(tmp_path / "changed", first)
    list(train(half, interrupted=iter([False] * 6 + [True]).__next__))
    list(train(job_of(tmp_path / "changed", not first)))
    found = saved(tmp_path / "changed")
    for name, tensor in saved(tmp_path / "whole").items():
        torch.testing.assert_close(found[name], tensor, rtol=1e-5, atol=1e-6, msg=name)


def test_weights_are_divided_while_training_and_whole_while_they_are_judged(tmp_path: Path) -> None:
    job = job_of(tmp_path, sharded=True)
    judged = 0
    for event in train(job):
        divided = {isinstance(parameter, DTensor) for parameter in job.model.parameters()}
        assert divided == {not isinstance(event, Validated)}
        judged += isinstance(event, Validated)
        if isinstance(event, Validated):
            names = set(dict(job.model.named_parameters(remove_duplicate=False)))
            assert names - set(dict(job.model.named_parameters()))  # tied weights are one still
    assert judged == 3
