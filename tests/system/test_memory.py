"""Batches as large as the memory holds: chosen once a run, said, and kept when it goes on."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from tests.system.command import environment, isthmus, write_pairs

pytestmark = pytest.mark.slow


def tokens(out: Path) -> object:
    return tomllib.loads((out / "recipe.toml").read_text(encoding="utf-8"))["data"]["batch"]["tokens"]


def test_auto_is_resolved_once_and_kept(tmp_path: Path) -> None:
    write_pairs(tmp_path)
    train = ("train", "recipe.toml", "--out", "run", "data.batch.tokens=auto")
    done = isthmus(*train, "train.steps=6", folder=tmp_path)
    assert done.code == 0, done.err
    assert "memory: " in done.err
    assert tokens(tmp_path / "run") == 512
    again = isthmus(*train, "train.steps=9", "--allow-changed", "train.steps", folder=tmp_path)
    assert again.code == 0, again.err
    assert "memory: " not in again.err
    assert tokens(tmp_path / "run") == 512


def test_a_size_in_words_is_refused(tmp_path: Path) -> None:
    write_pairs(tmp_path)
    done = isthmus("train", "recipe.toml", "--out", "run", "data.batch.tokens=most", folder=tmp_path)
    assert done.code == 2
    assert "data.batch.tokens" in done.err
    assert not (tmp_path / "run").exists()


PROGRAM = """
import atexit, pathlib
def said():
    lines = pathlib.Path("/proc/self/status").read_text().splitlines()
    print("taken", next(line.split()[1] for line in lines if line.startswith("VmHWM")))
atexit.register(said)
import isthmus.cli.main
isthmus.cli.main.run()
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="only Linux says how much a process took")
def test_a_run_takes_no_more_than_was_said_before(tmp_path: Path) -> None:
    """Sixty updates with batches of ever other shapes; what was tried before the first is part of what was taken."""
    write_pairs(tmp_path)
    words = ["train", "recipe.toml", "--out", "run", "data.batch.tokens=4096", "train.steps=60", "model.d_model=64"]
    command = [sys.executable, "-c", PROGRAM, *words]
    done = subprocess.run(command, cwd=tmp_path, env=environment(), capture_output=True, text=True, check=True)
    said = re.search(r"memory: about ([\d.]+) GB", done.stderr)
    taken = re.search(r"taken (\d+)", done.stdout)
    assert said
    assert taken
    assert 0.3 < int(taken[1]) * 1024 / 1e9 <= float(said[1])
