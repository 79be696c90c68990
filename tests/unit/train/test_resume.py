"""Resumed = uninterrupted, bit for bit (law 8)."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from isthmus.core.errors import CheckpointError
from isthmus.core.runtime import Runtime
from isthmus.model.encoder_decoder import EncoderDecoder
from isthmus.train.events import Stepped, Stopped
from isthmus.train.trainer import resumed_runtime, train
from tests.unit.train.toy import RUNTIME, toy_config, toy_job

EVERYTHING: dict[str, Any] = {
    "accumulate": 2,
    "validate_every": 3,
    "checkpoint_every": 7,
    "log_every": 2,
    "average": {"kind": "ema", "decay": 0.8},
    "optimiser": {"kind": "adamw", "learning_rate": 0.01},
}


def files(folder: Path, step: int) -> dict[str, bytes]:
    found = {path.name: path.read_bytes() for path in (folder / "checkpoints" / f"step-{step:08d}").iterdir()}
    assert set(found) == {
        "model.safetensors",
        "optimiser.safetensors",
        "average.safetensors",
        "state.json",
        "manifest.json",
    }
    return found | {"metrics.jsonl": (folder / "metrics.jsonl").read_bytes()}


def everything(folder: Path) -> dict[str, bytes]:
    """Every byte of a run, but for what the clock said."""
    paths = [path for path in folder.rglob("*") if path.is_file() and path.name != "timing.jsonl"]
    return {str(path.relative_to(folder)): path.read_bytes() for path in paths}


def run(folder: Path, config: dict[str, Any], die_at: int | None = None) -> EncoderDecoder:
    """Train from scratch or from the newest checkpoint, in fresh objects; drop everything right after an update if asked."""
    torch.manual_seed(len(str(folder)))  # whatever happened before in the process must not matter
    job = toy_job(folder, toy_config(**config))
    for event in train(job):
        if isinstance(event, Stepped) and event.step == die_at:
            break
    return job.model


@pytest.mark.parametrize(
    "average", [{"kind": "none"}, {"kind": "ema", "decay": 0.8}, {"kind": "last"}, {"kind": "best", "count": 2}]
)
def test_a_run_killed_and_resumed_is_the_run_that_was_not(tmp_path: Path, average: dict[str, Any]) -> None:
    config = EVERYTHING | {"average": average}
    whole = run(tmp_path / "whole", config)
    for die_at in (5, 10, 13, 20, None):
        resumed = run(tmp_path / "resumed", config, die_at)
    assert all(torch.equal(value, whole.state_dict()[name]) for name, value in resumed.state_dict().items())
    assert files(tmp_path / "whole", 20) == files(tmp_path / "resumed", 20)


def test_the_precision_does_not_matter_to_that(tmp_path: Path) -> None:
    for name, deaths in (("whole", [None]), ("resumed", [9, None])):
        for die_at in deaths:
            job = toy_job(tmp_path / name, toy_config(**EVERYTHING))
            for event in train(replace(job, runtime=Runtime("cpu", "bfloat16"))):
                if isinstance(event, Stepped) and event.step == die_at:
                    break
    assert files(tmp_path / "whole", 20) == files(tmp_path / "resumed", 20)


def test_early_stopping_remembers(tmp_path: Path) -> None:
    config = {"steps": 200, "validate_every": 2, "patience": 4, "optimiser": {"kind": "adam", "learning_rate": 0.3}}
    ends = []
    for name, deaths in (("whole", [None]), ("resumed", [5, 6, 7, 9, None])):
        for die_at in deaths:
            for event in train(toy_job(tmp_path / name, toy_config(**config))):
                if isinstance(event, Stepped) and event.step == die_at:
                    break
        ends.append(event)
    assert ends[0] == ends[1]
    assert isinstance(ends[0], Stopped)
    assert ends[0].reason == "early-stopping"
    assert files(tmp_path / "whole", ends[0].step) == files(tmp_path / "resumed", ends[0].step)


def test_lines_after_the_checkpoint_are_cut_even_a_torn_one(tmp_path: Path) -> None:
    run(tmp_path / "whole", EVERYTHING)
    run(tmp_path / "resumed", EVERYTHING, die_at=12)
    with (tmp_path / "resumed" / "metrics.jsonl").open("ab") as file:
        file.write(b'{"event": "stepped", "st')
    run(tmp_path / "resumed", EVERYTHING)
    assert files(tmp_path / "whole", 20) == files(tmp_path / "resumed", 20)


def test_a_changed_recipe_is_refused_field_by_field_and_can_be_allowed(tmp_path: Path) -> None:
    list(train(toy_job(tmp_path, toy_config(), identity={"data": {"hash": "a"}, "model": {"layers": 1}})))
    other = {"data": {"hash": "b"}, "model": {"layers": 1}}
    changed = toy_config(steps=23, clip_norm=2.0)
    message = (
        r"(?s)`data.hash`, `train.clip_norm`, `train.steps`.*--allow-changed data.hash --allow-changed train.clip_norm"
    )
    with pytest.raises(CheckpointError, match=message):
        list(train(toy_job(tmp_path, changed, identity=other)))
    allow = frozenset({"train.steps", "data"})
    with pytest.raises(CheckpointError, match=r"resume: `train\.clip_norm`\n") as caught:
        list(train(toy_job(tmp_path, changed, identity=other, allow=allow)))
    assert "steps" not in str(caught.value)
    events = list(train(toy_job(tmp_path, changed, identity=other, allow=allow | {"train.clip_norm"})))
    assert events[-1] == Stopped(23, "finished")


def test_another_machine_or_other_choices_are_refused(tmp_path: Path) -> None:
    list(train(toy_job(tmp_path, toy_config())))
    assert resumed_runtime(tmp_path) == RUNTIME
    assert resumed_runtime(tmp_path / "nowhere") is None
    job = toy_job(tmp_path, toy_config())
    other = replace(job, runtime=Runtime(threads=2))
    with pytest.raises(CheckpointError, match=r"(?s)`runtime.threads`.*runtime.threads = 1.*runtime.threads = 2"):
        list(train(other))


SCRIPT = """
import sys
from pathlib import Path
from isthmus.train.interrupt import interruptible

from isthmus.train.trainer import train
from tests.unit.train.test_resume import EVERYTHING
from tests.unit.train.toy import toy_config, toy_job

with interruptible() as interruption:
    for event in train(toy_job(Path(sys.argv[1]), toy_config(**{**EVERYTHING, "steps": 400})), interruption):
        sys.stdout.write(type(event).__name__ + "\\n")
        sys.stdout.flush()
"""


@pytest.mark.slow
def test_a_process_killed_at_any_moment_goes_on_as_if_nothing_had_happened(tmp_path: Path) -> None:
    root = Path(__file__).parents[3]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(root / "src"), str(root)]), "OMP_NUM_THREADS": "1"}

    def start(name: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-c", SCRIPT, str(tmp_path / name)]
        return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment, cwd=root)

    assert start("whole").communicate()[0].endswith("Stopped\n")
    for number, lines in ((signal.SIGKILL, 40), (signal.SIGKILL, 61), (signal.SIGTERM, 80), (signal.SIGKILL, 20)):
        process = start("resumed")
        assert process.stdout is not None
        for _ in range(lines):
            process.stdout.readline()
        process.send_signal(number)
        rest = process.communicate()[0]
        assert process.returncode == (0 if number == signal.SIGTERM else -signal.SIGKILL)
        assert rest.endswith("Stopped\n") == (number == signal.SIGTERM)
    assert start("resumed").communicate()[0].endswith("Stopped\n")
    assert files(tmp_path / "whole", 400) == files(tmp_path / "resumed", 400)
    timing = (tmp_path / "resumed" / "timing.jsonl").read_text().splitlines()
    assert sum(json.loads(line)["event"] == "started" for line in timing) == 5
