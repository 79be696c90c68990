"""The log of a run: what is the same in every run of the same recipe, and apart from it what the clock said.

`metrics.jsonl` has one JSON object a line, of the events `stepped` and `validated`; a resumed run leaves the same bytes
there as an uninterrupted one.
`timing.jsonl` has seconds and tokens a second, and the start of each process.
"""

from __future__ import annotations

import json
import math
import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from io import FileIO
from pathlib import Path
from typing import Any

from isthmus.core.errors import TrainingError
from isthmus.core.files import write_bytes
from isthmus.train.events import Stepped, Validated

METRICS, TIMING = "metrics.jsonl", "timing.jsonl"


class RunLog:
    """Appends to the log of a run, from a step on; a context manager that closes the files.

    Args:
        folder: where the two files are; `None` for a process that writes nothing.
        step: the step of the checkpoint that the run goes on from; lines of later steps are cut off.
        clock: seconds since any moment.

    Every method raises `TrainingError` where the disk refuses a line.
    """

    def __init__(self, folder: Path | None, step: int, clock: Callable[[], float] = time.perf_counter) -> None:
        with _said(folder):
            if folder is not None:
                folder.mkdir(parents=True, exist_ok=True)
                _cut(folder / METRICS, step)
            nowhere = Path(os.devnull)
            self._metrics = _opened(nowhere if folder is None else folder / METRICS)
            self._timing = _opened(nowhere if folder is None else folder / TIMING)
        self._clock, self._start = clock, clock()
        self._last, self._tokens = self._start, 0
        _line(self._timing, {"event": "started", "step": step})

    def __enter__(self) -> RunLog:
        return self

    def __exit__(self, *_: object) -> None:
        self._metrics.close()
        self._timing.close()

    def stepped(self, event: Stepped, write: bool) -> None:
        """Count an update; write a line of it and one of the speed since the last line."""
        self._tokens += event.target_tokens
        if write:
            _line(self._metrics, {"event": "stepped", **asdict(event)})
            self._time("stepped", event.step, {"target_tokens_per_second": self._tokens})

    def validated(self, event: Validated) -> None:
        """Write a validation, and how long it took."""
        _line(self._metrics, {"event": "validated", **asdict(event)})
        self._time("validated", event.step, {})

    def sync(self) -> None:
        """Put the lines on the disk, so that a checkpoint never knows more than the log."""
        with _said(self._metrics.name):
            os.fsync(self._metrics.fileno())

    def _time(self, name: str, step: int, per_second: Mapping[str, float]) -> None:
        now = self._clock()
        passed = max(now - self._last, 1e-9)
        rates = {key: round(value / passed, 1) for key, value in per_second.items()}
        _line(
            self._timing,
            {"event": name, "step": step, "seconds": round(now - self._start, 3), "took": round(passed, 3), **rates},
        )
        self._last, self._tokens = now, 0


def _plain(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, (list, tuple)) else value


def json_line(values: Mapping[str, Any]) -> str:
    """One line of JSON; numbers that are not finite become null."""
    return json.dumps(_plain(values), ensure_ascii=False, allow_nan=False) + "\n"


def _opened(path: Path) -> FileIO:
    return FileIO(path, "ab")


def _line(file: FileIO, values: Mapping[str, Any]) -> None:
    """Add a line in one write, so that only a crash or a full disk can tear it."""
    line = json_line(values).encode()
    with _said(file.name):
        written = file.write(line)
    if written != len(line):
        raise _refused(file.name, f"{written} of {len(line)} bytes")


@contextmanager
def _said(where: object) -> Iterator[None]:
    """Say plainly that the disk has refused."""
    try:
        yield
    except OSError as error:
        raise _refused(where, str(error)) from error


def _refused(where: object, got: str) -> TrainingError:
    return TrainingError(
        "the log of a run could not be written",
        expected="a whole line",
        got=got,
        where=str(where),
        fix="make room or mend the disk, then resume: what is torn is cut off",
    )


def _cut(path: Path, step: int) -> None:
    """Cut a log after the last line of a step; a line that a crash has torn, or filled with zeros, is the end too."""
    if not path.exists():
        return
    data = path.read_bytes()
    kept = 0
    for line in data.splitlines(keepends=True):
        if not line.startswith(b"{") or not line.endswith(b"}\n") or json.loads(line)["step"] > step:
            break
        kept += len(line)
    if kept < len(data):
        write_bytes(path, data[:kept])
