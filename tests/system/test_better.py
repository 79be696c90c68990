"""The comparison of parts of training, as one calls it."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from tests.system.command import environment, write_pairs

SCRIPT = Path(__file__).parents[2] / "benchmarks/better.py"
ROW = re.compile(r"^\| ([\w-]+) \| (\d) \| ([\d.]+)[ ±\d.]* \| ([\d.]+)[ ±\d.]* \| ([\d,]+) \| ([\w ,]+) \|", re.M)


def compared(folder: Path) -> str:
    words = ["--parts", "r-drop", "--minutes", "0.04", "--metric", "chrf", "--seeds", "2", "--threads", "1"]
    command = [sys.executable, str(SCRIPT), "--recipe", "recipe.toml", "--out", "out", *words]
    done = subprocess.run(command, cwd=folder, env=environment(), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_dearer_part_has_equal_steps_and_equal_minutes(tmp_path: Path) -> None:
    write_pairs(tmp_path)
    said = compared(tmp_path)
    rows = {name: more for name, *more in ROW.findall(said)}
    assert {name: more[0] for name, more in rows.items()} == {"baseline": "2", "r-drop": "2"}
    assert rows["baseline"][-1] == "the same"
    assert int(rows["r-drop"][-1].replace(",", "")) > 0
    developed = [float(more[1]) for more in rows.values()]
    assert developed == sorted(developed, reverse=True)
    assert compared(tmp_path) == said == (tmp_path / "out/better.md").read_text(encoding="utf-8")
