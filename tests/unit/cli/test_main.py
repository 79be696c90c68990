"""The entry point: help, version, speed of starting, signals."""

from __future__ import annotations

import subprocess
import sys

import pytest

from isthmus import __version__
from tests.unit.cli.calling import called

COMMANDS = ("train", "generate", "evaluate", "compare", "doctor")


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself_in_lines_that_fit(command: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    done = called(monkeypatch, command, "--help")
    assert done.code == 0
    assert f"isthmus {command}" in done.out
    assert max(map(len, done.out.splitlines())) <= 80


def test_help_shows_the_main_options_of_generate_first(monkeypatch: pytest.MonkeyPatch) -> None:
    shown = called(monkeypatch, "generate", "--help").out
    places = [
        shown.index(word) for word in ("─ Options", "─ Length", "─ Search", "─ Sampling", "─ Wording", "─ Machine")
    ]
    assert places == sorted(places)


def test_the_program_lists_its_commands(monkeypatch: pytest.MonkeyPatch) -> None:
    done = called(monkeypatch, "--help")
    assert done.code == 0
    assert all(command in done.out for command in COMMANDS)
    assert called(monkeypatch, "--version").out == f"isthmus {__version__}\n"


def test_help_loads_nothing_heavy() -> None:
    program = (
        "import sys\ntry:\n    import isthmus.cli.main as m; m.run(['--help'])\nfinally:\n"
        "    heavy = {'torch', 'numpy', 'pydantic', 'sentencepiece', 'sacrebleu'} & set(sys.modules)\n"
        "    sys.stderr.write(' '.join(sorted(heavy)))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True)
    assert done.stderr == b""


def test_ctrl_c_is_code_130(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(text: object, path: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("isthmus.cli.reading.texts", interrupted)
    done = called(monkeypatch, "generate", "model", "ab")
    assert done.code == 130
    assert "Traceback" not in done.err
