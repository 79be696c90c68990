"""The comparison of the fast path with the reference path, as one calls it."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from tests.system.command import environment, isthmus, write_pairs

SCRIPT = Path(__file__).parents[2] / "benchmarks/quality.py"
ROW = re.compile(r"^\| (.+?) \| ([-.\d]+) \| ([-.\d]+) \| [-+.\d]+ \| [-.\d]+ \| (\w*) \|$", re.M)


WORDS = ["--steps", "12", "--every", "6", "--threads", "1", "--change", "train.schedule.warmup=3"]


def compared(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(SCRIPT), "--recipe", "recipe.toml", "--out", "out", *WORDS, *words]
    return subprocess.run(command, cwd=folder, env=environment(), capture_output=True, text=True, check=False)


def test_the_fast_path_in_float32_learns_what_the_reference_learns(tmp_path: Path) -> None:
    write_pairs(tmp_path)
    done = compared(tmp_path, "--seeds", "2", "--precision", "float32", "--change", "train.label_smoothing=0.2")
    assert done.returncode == 0, done.stderr
    rows = ROW.findall(done.stdout)
    names = [name for name, *_ in rows]
    assert names[:4] == [
        "loss of updates 1 to 6",
        "loss of updates 7 to 12",
        "validation at 6: loss",
        "validation at 12: loss",
    ]
    assert names[4].startswith("the best model: ")
    for name, fast, reference, verdict in rows:
        assert abs(float(fast) - float(reference)) < 1e-3, name
        assert verdict == "within", name


def test_a_trained_run_stands_for_the_fast_path_if_it_is_of_the_recipe_and_the_seed(tmp_path: Path) -> None:
    write_pairs(tmp_path)
    changes = ["train.steps=12", "train.validate_every=6", "train.schedule.warmup=3", "train.log_every=1"]
    assert isthmus("train", "recipe.toml", "--out", "run", "--threads", 1, *changes, folder=tmp_path).code == 0
    done = compared(tmp_path, "--seeds", "1", "--trained", "run")
    assert done.returncode == 0, done.stderr
    rows = re.findall(r"^\| (.+?) \| ([-.\d]+) \| ([-.\d]+) \|", done.stdout, re.M)
    assert len(rows) >= 5
    for name, fast, reference in rows[:4]:
        assert abs(float(fast) - float(reference)) < 1e-3, name
    assert not (tmp_path / "out/fast-1").exists()
    other = compared(tmp_path, "--seeds", "1", "--trained", "run", "--change", "train.label_smoothing=0.2")
    assert other.returncode == 1
    assert other.stderr.startswith("run is no run of this recipe")
