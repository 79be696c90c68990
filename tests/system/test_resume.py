"""Going on with a run on the command line: as if it had never been killed, and with nothing else than it was."""

from __future__ import annotations

import json
import random
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.resume import Run, differing, killed, left, plan, write_data
from isthmus.core.runtime import Runtime
from isthmus.train.checkpoint import Checkpoint, Checkpoints
from tests.system.command import last_step, write_pairs
from tests.unit.cli.calling import Done, called

STEPS = 60


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of an uninterrupted training."""
    folder = tmp_path_factory.mktemp("resume")
    write_data(folder, STEPS)
    Run(folder / "whole").finish()
    return folder / "whole"


@pytest.mark.slow
def test_a_run_killed_at_random_moments_leaves_the_same_bytes(whole: Path) -> None:
    run = Run(whole.parent / "killed", slowness=0.02)
    kills = [killed(run, *moment) for moment in plan(3, STEPS, random.Random(4))]
    assert sum(where is not None for where in kills) > 1
    Run(run.out).finish()
    assert differing(whole, run.out) == []
    lines = [json.loads(line) for line in (run.out / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]
    digests = [line["seen"] for line in lines if line["event"] == "stepped"]
    assert len(set(digests)) == STEPS
    assert len(left(whole)) > 30


@pytest.mark.slow
def test_two_processes_either_of_which_is_killed_leave_the_same_bytes(tmp_path: Path) -> None:
    """The second at any step, the first while it writes a checkpoint."""
    write_data(tmp_path, STEPS)
    whole = Run(tmp_path / "whole", processes=2)
    whole.finish()
    run = replace(whole, out=tmp_path / "killed", slowness=0.02)
    assert killed(run, "step", 20, 0.03, victim=1) is not None
    assert killed(run, "write", 40, 0.2, victim=0) is not None
    replace(run, slowness=0.0).finish()
    assert differing(whole.out, run.out) == []
    assert len(left(whole.out)) > 30


@pytest.mark.slow
@pytest.mark.parametrize(
    "hook",
    [
        "import isthmus.train.trainer as t; t.seed_step = lambda *arguments: None",
        "import isthmus.train.optimiser as o; o.Optimiser.load = lambda self, tensors: None",
    ],
)
def test_a_part_left_out_shows(whole: Path, hook: str) -> None:
    """Negative controls on the real command line; tests/unit/train has one for every part of the state."""
    run = Run(whole.parent / "control", hook)
    shutil.rmtree(run.out, ignore_errors=True)
    assert killed(Run(run.out), "step", 35, 0.0) is not None
    run.finish()
    assert "metrics.jsonl" in differing(whole, run.out)


def train(folder: Path, *more: str) -> Done:
    """Train, or go on training, in the folder of a recipe."""
    arguments = ["train", folder / "recipe.toml", "train.steps=4", "validation.metrics=[]", *more]
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("ISTHMUS_DATA", raising=False)
        return called(patch, *arguments, "--threads", "1", "--out", folder / "run")


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a finished training of a few steps in `run`."""
    folder = tmp_path_factory.mktemp("changes")
    write_pairs(folder)
    done = train(folder)
    assert done.code == 0, done.err
    return folder


@pytest.fixture
def folder(finished: Path, tmp_path: Path) -> Path:
    """The same, for one test to change."""
    shutil.copytree(finished, tmp_path / "copy")
    return tmp_path / "copy"


def test_a_changed_recipe_is_refused_by_its_fields_unless_each_is_allowed(folder: Path) -> None:
    changes = ("train.clip_norm=2.0", "train.steps=6")
    done = train(folder, *changes)
    assert (done.code, done.out) == (2, "")
    assert "other values of train.clip_norm, train.steps" in done.err
    assert "--allow-changed train.clip_norm --allow-changed train.steps" in done.err
    done = train(folder, *changes, "--allow-changed", "train.clip_norm")
    assert done.code == 2
    assert "other values of train.steps\n" in done.err
    done = train(folder, *changes, "--allow-changed", "train.clip_norm", "--allow-changed", "train.steps")
    assert done.code == 0, done.err
    assert "going on from step 4" in done.err
    assert last_step(folder / "run") == 6


def test_another_precision_is_two_changes_and_is_computed_in(folder: Path) -> None:
    changes = ["train.precision=bfloat16", "train.steps=6", "--allow-changed", "train"]
    done = train(folder, *changes)
    assert done.code == 2
    assert "differs from the one it would resume: `runtime.precision`" in done.err
    done = train(folder, *changes, "--allow-changed", "runtime.precision")
    assert done.code == 0, done.err
    state = json.loads((folder / "run" / "checkpoints" / "step-00000006" / "state.json").read_text(encoding="utf-8"))
    assert state["identity"]["runtime.precision"] == "bfloat16"


@pytest.mark.parametrize(("file", "field"), [("train.names", "data.train"), ("dev.tsv", "data.dev")])
def test_changed_data_is_refused_unless_it_is_allowed(folder: Path, file: str, field: str) -> None:
    path = folder / file
    path.write_text(path.read_text(encoding="utf-8").replace("seven", "six", 1), encoding="utf-8")
    before = left(folder / "run" / "checkpoints")
    done = train(folder)
    assert (done.code, done.out) == (2, "")
    assert f"this run differs from the one it would resume: `{field}`\n" in done.err
    assert f"--allow-changed {field}" in done.err
    assert left(folder / "run" / "checkpoints") == before
    assert train(folder, "--allow-changed", field).code == 0


def test_another_torch_and_a_device_that_is_not_there_are_refused_by_name(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = Runtime.choices
    with monkeypatch.context() as patch:
        patch.setattr(Runtime, "choices", lambda self: real(self) | {"torch": "1.0", "instructions": "none"})
        done = train(folder)
    assert done.code == 2
    assert "differs from the one it would resume: `runtime.instructions`, `runtime.torch`" in done.err
    latest = Checkpoints.latest

    def elsewhere(self: Checkpoints) -> Checkpoint | None:
        found = latest(self)
        return found and replace(found, identity={**found.identity, "runtime.device": "cuda:93"})

    monkeypatch.setattr(Checkpoints, "latest", elsewhere)
    done = train(folder)
    assert done.code == 2
    assert "this device cannot be used" in done.err
    assert "got: cuda:93" in done.err


def test_a_run_of_before_a_field_was_there_goes_on(folder: Path) -> None:
    note = folder / "run" / "request.json"
    asked = json.loads(note.read_text(encoding="utf-8"))
    del asked["recipe"]["train"]["objective"], asked["recipe"]["train"]["clip_norm"]
    note.write_text(json.dumps(asked), encoding="utf-8")
    done = train(folder)
    assert done.code == 0, done.err
