"""The exercise of CONTRIBUTING.md, done to a copy of the package: a connection of one's own trains, generates, saves and loads."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[3]

PROGRAM = """
from pathlib import Path
import torch
from isthmus.core.padded import Padded
from isthmus.model.build import ModelConfig, build
from isthmus.model.bundle import load_weights, save_weights

layer = {"heads": 2, "feed_forward": 19, "dropout": 0.0}
table = {"d_model": 14, "encoder": {"layers": 1, "layer": layer}, "decoder": {"layers": 2, "layer": layer},
         "connection": {"kind": "uniform"}}
torch.manual_seed(1)
model = build(ModelConfig.of(table), 17, 17)
source, target = Padded.of([[5, 6, 7, 3], [8, 3]]), Padded.of([[5, 6, 3], [8, 3]])
target_in = Padded.of([[2, 5, 6], [2, 8]])
optimiser = torch.optim.Adam(model.parameters(), lr=0.01)
losses = []
for _ in range(30):
    loss, count = model.head.nll(model.read(source, target_in)[1], target)
    optimiser.zero_grad()
    loss.backward()
    optimiser.step()
    losses.append(float(loss / count))
assert losses[-1] < losses[0] / 2, losses
model.eval()
with torch.no_grad():
    memory, decoded = model.read(source, target_in, weights=True)
    whole = model.head.log_probs(decoded)
    weights = decoded.readings[-1].weights_BHTS
    assert torch.equal(weights[1, 0], torch.tensor([[0.5, 0.5, 0, 0]] * 3)), weights
    state = model.start(model.encode(source)).select(torch.tensor([0, 0, 1, 1]))
    for t in range(3):
        step, state = model.step(target_in.ids_BT[[0, 0, 1, 1], t : t + 1], state)
        torch.testing.assert_close(model.head.log_probs(step)[::2, 0], whole[:, t])
    other = build(ModelConfig.of(table), 17, 17).eval()
    save_weights(model, Path("w"))
    load_weights(other, Path("w"))
    assert torch.equal(other(source, target_in), model(source, target_in))
print("done")
"""


def copied(folder: Path) -> Path:
    """A copy of the package with what the exercise adds to it."""
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8").split("*An exercise*")[1]
    file, lines = re.findall(r"```python\n(.*?)```", text, flags=re.DOTALL)[:2]
    package = folder / "src" / "isthmus"
    shutil.copytree(ROOT / "src" / "isthmus", package, ignore=shutil.ignore_patterns("__pycache__"))
    (package / "model" / "connections" / "uniform.py").write_text(file, encoding="utf-8")
    imported, member = lines.splitlines()
    build = (package / "model" / "build.py").read_text(encoding="utf-8")
    for after, added in (
        ("from isthmus.core.errors import ConfigError\n", imported + "\n"),
        ("ConnectionConfig = Annotated[\n    MultiHeadAttentionConfig\n", member + "\n"),
    ):
        assert build.count(after) == 1, after
        build = build.replace(after, after + added)
    (package / "model" / "build.py").write_text(build, encoding="utf-8")
    return folder / "src"


def test_a_connection_of_ones_own(tmp_path: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": str(copied(tmp_path)), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (0, "done\n"), done.stderr
