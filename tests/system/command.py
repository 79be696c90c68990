"""The real command line in a process of its own, and a small set of pairs to try it on: digits and their names."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

NAMES = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"]

RECIPE = """
about = "Digits to their names."
[data]
train = [{ source = "train.digits", target = "train.names" }]
dev = { source = "dev.tsv" }
batch = { tokens = 512 }
[tokenizer]
joint = false
source = { kind = "symbols" }
target = { kind = "symbols" }
[codec]
max_source_length = 31
max_target_length = 31
[model]
d_model = 32
embedding = { tied = "none", positions = { maximum = 32 } }
encoder = { layers = 1, layer = { heads = 2, feed_forward = 64, dropout = 0.1 } }
connection = { kind = "multi-head-attention", heads = 2 }
decoder = { layers = 1, layer = { heads = 2, feed_forward = 64, dropout = 0.1 } }
[train]
steps = 180
optimiser = { kind = "adam", learning_rate = 1e-2 }
schedule = { kind = "linear", warmup = 18 }
validate_every = 30
log_every = 5
precision = "float32"
[validation]
metrics = ["word-error"]
sentences = 50
"""


@dataclass(frozen=True, slots=True)
class Done:
    """A command that has ended."""

    code: int
    out: str
    err: str


def environment() -> dict[str, str]:
    """One thread, and nothing of the settings of whoever runs the tests."""
    kept = {name: value for name, value in os.environ.items() if name != "ISTHMUS_DATA"}
    return {**kept, "OMP_NUM_THREADS": "1", "COLUMNS": "200"}


def started(arguments: Sequence[object], folder: Path) -> subprocess.Popen[bytes]:
    """Start a command in a folder."""
    # a process started in the background of a shell without job control has Ctrl-C switched off; Python keeps it so
    program = (
        "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); import isthmus.cli.main as m; m.run()"
    )
    return subprocess.Popen(
        [sys.executable, "-c", program, *map(str, arguments)],
        cwd=folder,
        env=environment(),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def ended(process: subprocess.Popen[bytes], stdin: bytes = b"") -> Done:
    """Wait for the end of a command."""
    out, err = process.communicate(stdin, timeout=240)
    return Done(process.returncode, out.decode(), err.decode())


def isthmus(*arguments: object, folder: Path, stdin: bytes = b"") -> Done:
    """Run a command to its end."""
    return ended(started(arguments, folder), stdin)


def stopped_at(step: int, number: signal.Signals, arguments: Sequence[object], folder: Path, out: Path) -> Done:
    """Run a training, and send it a signal as soon as its log has reached a step."""
    process = started(arguments, folder)
    while process.poll() is None and last_step(out) < step:
        time.sleep(0.005)
    process.send_signal(number)
    return ended(process)


def last_step(out: Path) -> int:
    """The last step that the log of a run has a whole line of; 0 if there is none."""
    log = out / "metrics.jsonl"
    lines = log.read_text(encoding="utf-8").splitlines() if log.is_file() else []
    return max((int(line.split('"step": ')[1].split(",")[0]) for line in lines if line.endswith("}")), default=0)


def write_pairs(folder: Path) -> None:
    """Write about a thousand different pairs and the recipe."""
    generator = random.Random(7)
    texts = {" ".join(generator.choices("0123456789", k=generator.randint(2, 7))) for _ in range(1000)}
    pairs = [(text, " ".join(NAMES[int(digit)] for digit in text.split())) for text in sorted(texts)]
    generator.shuffle(pairs)
    (folder / "dev.tsv").write_text("".join(f"{one}\t{other}\n" for one, other in pairs[:53]), encoding="utf-8")
    (folder / "test.tsv").write_text("".join(f"{one}\t{other}\n" for one, other in pairs[53:113]), encoding="utf-8")
    (folder / "train.digits").write_text("".join(f"{one}\n" for one, _ in pairs[113:]), encoding="utf-8")
    (folder / "train.names").write_text("".join(f"{other}\n" for _, other in pairs[113:]), encoding="utf-8")
    (folder / "recipe.toml").write_text(RECIPE, encoding="utf-8")
