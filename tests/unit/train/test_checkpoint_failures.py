"""A disk that fails at any moment leaves a checkpoint that can be loaded."""

from __future__ import annotations

import errno
import io
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import pytest

from isthmus.core.errors import TrainingError
from isthmus.train import log
from isthmus.train.checkpoint import Checkpoints
from isthmus.train.trainer import train
from tests.unit.train.test_checkpoint import checkpoint, same
from tests.unit.train.test_resume import EVERYTHING, everything
from tests.unit.train.toy import toy_config, toy_job

Kind = Literal["full", "error", "short", "slow"]


@pytest.fixture(autouse=True)
def fast_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """No test here pulls the plug, so nothing needs to be synced in earnest."""
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)


class Disk:
    """Whatever puts something on the disk passes here, and goes wrong at one of the operations.

    `full`: no space, from then on. `error`: an input/output error, once. `short`: half of a write, then no space.
    `slow`: nothing fails, but a write takes only a few bytes at a time.
    """

    def __init__(self, kind: Kind, fails_at: int, patch: pytest.MonkeyPatch) -> None:
        self.kind, self.fails_at, self.operations = kind, fails_at, 0
        for owner, name in (
            (Path, "replace"), (Path, "chmod"), (Path, "mkdir"),
            (tempfile, "mkstemp"), (tempfile, "mkdtemp"), (os, "fsync"),
        ):  # fmt: skip
            patch.setattr(owner, name, self._passing(vars(owner)[name]))
        real_open = Path.open

        def opened(path: Path, *arguments: Any, **named: Any) -> Any:
            if (*arguments, *named.values()) != ("wb",):
                return real_open(path, *arguments, **named)
            self.check()
            return io.BufferedWriter(Raw(self, path))

        patch.setattr(os, "fdopen", lambda descriptor, mode: io.BufferedWriter(Raw(self, descriptor)))
        patch.setattr(Path, "open", opened)

    @property
    def failed(self) -> bool:
        return self.operations > self.fails_at

    def check(self) -> None:
        self.operations += 1
        if self.kind == "error" and self.operations == self.fails_at + 1:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        if self.kind in ("full", "short") and self.failed:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def _passing(self, real: Callable[..., Any]) -> Callable[..., Any]:
        def passing(*arguments: Any, **named: Any) -> Any:
            self.check()
            return real(*arguments, **named)

        return passing


class Raw(io.FileIO):
    """A file on such a disk."""

    def __init__(self, disk: Disk, file: int | Path) -> None:
        super().__init__(file, "wb")
        self.disk = disk

    def write(self, data: Any, /) -> int:
        view = memoryview(data)
        if self.disk.kind == "slow":
            return super().write(view[:7])
        if self.disk.kind == "short" and self.disk.operations == self.disk.fails_at:
            self.disk.operations += 1
            return super().write(view[: len(view) // 2])
        self.disk.check()
        return super().write(view)


@pytest.mark.parametrize("kind", ["full", "error", "short"])
def test_any_write_that_fails_leaves_the_checkpoint_before_it(
    tmp_path: Path, kind: Kind, monkeypatch: pytest.MonkeyPatch
) -> None:
    outcomes: list[str] = []
    for fails_at in range(100):
        checkpoints = Checkpoints(tmp_path / str(fails_at), keep=1)
        checkpoints.save(checkpoint(5))
        error = ""
        with monkeypatch.context() as patch:
            disk = Disk(kind, fails_at, patch)
            try:
                checkpoints.save(checkpoint(10))
            except TrainingError as caught:
                error = str(caught)
        found = checkpoints.latest()
        outcomes.append("new" if same(found, checkpoint(10)) else "old")
        assert outcomes[-1] == "new" or (error and same(found, checkpoint(5)))
        checkpoints.save(checkpoint(15))
        assert same(checkpoints.latest(), checkpoint(15))
        assert sorted(path.name for path in checkpoints.folder.iterdir()) == ["latest", "step-00000015"]
        if not disk.failed:
            break
    assert not error
    assert 25 < len(outcomes) < 100
    assert "new" in outcomes[outcomes.index("old") :]


def test_writes_that_take_a_few_bytes_at_a_time_write_everything(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        Disk("slow", 10**6, patch)
        Checkpoints(tmp_path / "slow").save(checkpoint(5))
    Checkpoints(tmp_path / "usual").save(checkpoint(5))
    for path in (tmp_path / "usual").rglob("*"):
        if path.is_file():
            assert path.read_bytes() == (tmp_path / "slow" / path.relative_to(tmp_path / "usual")).read_bytes()


def test_a_log_that_cannot_be_written_ends_training_and_the_resumed_run_mends_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def run(name: str) -> None:
        list(train(toy_job(tmp_path / name, toy_config(**EVERYTHING))))

    class Full(io.FileIO):
        def write(self, data: Any, /) -> int:
            lines.append(bytes(data))
            if len(lines) in fails_at:
                return super().write(data[: len(data) // 2])
            return super().write(data)

    lines: list[bytes] = []
    fails_at = (1, 9, 27)  # the first line; the lines of metrics and of timing take turns
    run("whole")
    with monkeypatch.context() as patch:
        patch.setattr(log, "_opened", lambda path: Full(path, "ab"))
        for _ in fails_at:
            with pytest.raises(TrainingError, match=r"(?s)log of a run could not be written.*then resume"):
                run("broken")
    run("broken")
    assert everything(tmp_path / "whole") == everything(tmp_path / "broken")
