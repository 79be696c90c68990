"""Calling the command line within the process of the test."""

from __future__ import annotations

import io
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path

import pytest

from isthmus.cli.main import run


@dataclass(frozen=True, slots=True)
class Done:
    """A command that has ended."""

    code: int
    out: str
    err: str


class Terminal(io.TextIOWrapper):
    """A stream that says that it is a terminal."""

    def isatty(self) -> bool:
        return True


def called(monkeypatch: pytest.MonkeyPatch, *arguments: object, stdin: bytes = b"", typed: bool = False) -> Done:
    """Run a command as the entry point would; `typed` makes standard input a terminal."""
    out, err = (io.TextIOWrapper(io.BytesIO(), "utf-8", write_through=True) for _ in range(2))
    monkeypatch.setattr("sys.stdin", (Terminal if typed else io.TextIOWrapper)(io.BytesIO(stdin), "utf-8"))
    with redirect_stdout(out), redirect_stderr(err), pytest.raises(SystemExit) as ended:
        run([str(argument) for argument in arguments])
    written = [stream.buffer.getvalue().decode() for stream in (out, err)]
    assert isinstance(ended.value.code, int)
    return Done(ended.value.code, *written)


def tree(folder: Path) -> dict[str, bytes]:
    """Everything below a folder, files with their bytes."""
    return {str(path): path.read_bytes() if path.is_file() else b"" for path in folder.rglob("*")}
