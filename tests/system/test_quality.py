"""The comparison of the fast path with the reference path, as one calls it."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from tests.system.command import environment, write_pairs

SCRIPT = Path(__file__).parents[2] / "benchmarks/quality.py"
ROW = re.compile(r"^\| (.+?) \| ([-.\d]+) \| ([-.\d]+) \| [-+.\d]+ \| [-.\d]+ \| (\w*) \|$", re.M)


def test_the_fast_path_in_float32_learns_what_the_reference_learns(tmp_path: Path) -> None:
    write_pairs(tmp_path)
    words = ["--steps", "12", "--every", "6", "--seeds", "2", "--precision", "float32", "--threads", "1"]
    words += ["--change", "train.schedule.warmup=3", "--change", "train.label_smoothing=0.2"]
    command = [sys.executable, str(SCRIPT), "--recipe", "recipe.toml", "--out", "out", *words]
    done = subprocess.run(command, cwd=tmp_path, env=environment(), capture_output=True, text=True, check=False)
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
