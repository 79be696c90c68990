"""A training that is killed ends as the one that is not: kill -9 at random moments, the same command again, until it ends.

With accumulation, bfloat16, subword regularisation, dropout and a moving average of the weights. Every file that a run leaves must be
the same to the byte: weights, optimiser, average, counters, `metrics.jsonl` (which holds a digest of the examples read at each step),
the best bundle. Only `timing.jsonl` has the clock. Prints a row for each kill, and exits with 1 if any run differs:

    python benchmarks/resume.py                          # 50 kills of runs of 400 steps, 10 kills a run
    python benchmarks/resume.py --kills 3 --steps 60
    python benchmarks/resume.py --processes 2            # a training of two processes, either of which is killed
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

POLL = 0.004  # seconds between looks at a run
KINDS = ("step", "step", "write", "write", "start")
NAMES = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")

RECIPE = """
about = "Numbers to the names of their digits, with everything on that a resumed run could get wrong."
[data]
train = [{{ source = "train.tsv", weight = 1.5 }}]
dev = {{ source = "dev.tsv" }}
batch = {{ tokens = 256, pool = 512 }}
[tokenizer]
source = {{ kind = "sentencepiece", vocabulary_size = 448, sampling = 0.2 }}
[model]
d_model = 32
encoder = {{ layers = 1, layer = {{ heads = 2, feed_forward = 64, dropout = 0.2 }} }}
connection = {{ kind = "multi-head-attention", heads = 2 }}
decoder = {{ layers = 1, layer = {{ heads = 2, feed_forward = 64, dropout = 0.2 }} }}
[train]
steps = {steps}
accumulate = 2
precision = "bfloat16"
optimiser = {{ kind = "adamw", learning_rate = 3e-3 }}
schedule = {{ kind = "cosine", warmup = 20 }}
average = {{ kind = "ema", decay = 0.98 }}
validate_every = 20
checkpoint_every = 15
log_every = 1
"""

# The command itself, but for two things: measured speeds do not choose how products are computed (two runs are compared), and the disk is
# slow, so that a kill can hit every moment of a write.
PROGRAM = """
import os, pathlib, time
from isthmus.core import runtime
import isthmus.cli.main
runtime.MEDIUM_GAIN = 0.0
def slow(work):
    def slowed(*arguments, **named):
        time.sleep({slowness})
        return work(*arguments, **named)
    return slowed
def write_bytes(path, data):
    with path.open("wb") as file:
        for half in (data[: len(data) // 2], data[len(data) // 2 :]):
            file.write(half)
            file.flush()
            time.sleep({slowness})
if {slowness}:
    os.fsync, os.unlink, os.rmdir = slow(os.fsync), slow(os.unlink), slow(os.rmdir)
    pathlib.Path.write_bytes = write_bytes
{hook}
isthmus.cli.main.run()
"""


@dataclass(frozen=True, slots=True)
class Run:
    """A training in a folder.

    Attributes:
        out: the folder of the run; the recipe stands beside it.
        hook: Python that is run before the command; empty but for experiments.
        slowness: seconds that each operation of the disk takes longer.
        processes: how many train together.
    """

    out: Path
    hook: str = ""
    slowness: float = 0.0
    processes: int = 1

    def start(self) -> subprocess.Popen[bytes]:
        program = self.out.parent / f"{self.out.name}.py"
        program.write_text(PROGRAM.format(hook=self.hook, slowness=self.slowness), encoding="utf-8")
        torchrun = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(self.processes)]
        words = [program.name, "train", "recipe.toml", "--out", self.out.name, "--threads", "1"]
        environment = {name: value for name, value in os.environ.items() if name != "ISTHMUS_DATA"}
        return subprocess.Popen(
            [sys.executable, *(torchrun if self.processes > 1 else []), *words],
            cwd=self.out.parent,
            env=environment | {"OMP_NUM_THREADS": "1"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=(self.out.parent / f"{self.out.name}.txt").open("wb"),
        )

    def finish(self) -> None:
        """Run the command to its end."""
        if code := self.start().wait():
            said = (self.out.parent / f"{self.out.name}.txt").read_text(encoding="utf-8")
            raise SystemExit(f"the training ended with code {code}:\n{said}")


def write_data(folder: Path, steps: int) -> None:
    """Write the pairs and the recipe."""
    numbers = random.Random(5).sample(range(1_000_000), 1100)
    lines = [f"{number}\t{' '.join(NAMES[int(digit)] for digit in str(number))}\n" for number in numbers]
    (folder / "train.tsv").write_text("".join(lines[100:]), encoding="utf-8")
    (folder / "dev.tsv").write_text("".join(lines[:100]), encoding="utf-8")
    (folder / "recipe.toml").write_text(RECIPE.format(steps=steps), encoding="utf-8")


def killed(run: Run, kind: str, step: int, delay: float, victim: int = 0) -> str | None:
    """Start a run, kill it, and say where it was; `None` if it ended before.

    Args:
        run: the run.
        kind: `start`: so many seconds after its start; `step`: as soon as the log has the step, and so many seconds; `write`: as soon as
            a checkpoint of the step or a later one is being written, and so many seconds.
        step: see there.
        delay: the seconds.
        victim: which of several processes is killed; the others see that it is gone.
    """
    checkpoints = run.out / "checkpoints"
    starts, before = started(run.out), set(checkpoints.glob(".step-*"))
    process = run.start()
    while process.poll() is None and kind != "start":
        if started(run.out) > starts:
            new = {path for path in checkpoints.glob(".step-*") if number(path) >= step} - before
            if new or (kind == "step" and last_step(run.out) >= step):
                break
        time.sleep(POLL)
    time.sleep(delay)
    kill(process, run.processes, victim)
    return place(run.out) if process.wait() == (1 if run.processes > 1 else -signal.SIGKILL) else None


def kill(process: subprocess.Popen[bytes], processes: int, victim: int) -> None:
    """Kill a training, or one of its processes as soon as all are there."""
    if processes == 1:
        return process.send_signal(signal.SIGKILL)
    while process.poll() is None:
        found = subprocess.run(["ps", "-o", "pid=", "--ppid", str(process.pid)], capture_output=True, check=False)
        if len(workers := sorted(map(int, found.stdout.split()))) == processes:
            with suppress(ProcessLookupError):
                os.kill(workers[victim], signal.SIGKILL)
            return None
        time.sleep(POLL)
    return None


def place(out: Path) -> str:
    """Where a killed run was, by what it left."""
    checkpoints = out / "checkpoints"
    pointer = checkpoints / "latest"
    last = number(Path(pointer.read_text(encoding="utf-8").split()[0])) if pointer.is_file() else 0
    for path in checkpoints.glob(".step-*"):
        if number(path) > last:
            return f"writing checkpoint {number(path)}: {len(list(path.iterdir()))} of 5 files"
    for path in checkpoints.glob("step-*"):
        if number(path) > last:
            return f"checkpoint {number(path)} in its place, {last} pointed to"
        if len(list(path.iterdir())) < 5:
            return f"checkpoint {last} pointed to, removing checkpoint {number(path)}"
    return f"step {last_step(out)}, checkpoint {last}" if started(out) else "before training"


def number(path: Path) -> int:
    """The step in the name of a checkpoint, whole or not."""
    return int(path.name.split("step-")[1].split(".")[0])


def started(out: Path) -> int:
    """How often training began in a folder."""
    timing = out / "timing.jsonl"
    return timing.read_bytes().count(b'"started"') if timing.is_file() else 0


def last_step(out: Path) -> int:
    """The last step that the log has a whole line of."""
    log = out / "metrics.jsonl"
    if not log.is_file():
        return 0
    with log.open("rb") as file:
        file.seek(max(0, log.stat().st_size - 2000))
        lines = file.read().split(b"\n")[:-1]
    return int(json.loads(lines[-1])["step"]) if lines and lines[-1].startswith(b"{") else 0


def left(out: Path) -> dict[str, bytes]:
    """Every file of a run, but for the clock's and what a killed write left under a hidden name."""
    paths = [path for path in out.rglob("*") if path.is_file() and path.name != "timing.jsonl"]
    names = {path: path.relative_to(out) for path in paths}
    return {
        str(name): path.read_bytes() for path, name in names.items() if not any(p.startswith(".") for p in name.parts)
    }


def differing(one: Path, other: Path) -> list[str]:
    """The files in which two runs differ."""
    a, b = left(one), left(other)
    return sorted(name for name in {*a, *b} if a.get(name) != b.get(name))


def plan(kills: int, steps: int, chance: random.Random, processes: int = 1) -> Iterator[tuple[str, int, float, int]]:
    """Random moments in the order of a run: how, at which step, the seconds after it, and which process."""
    for step in sorted(chance.sample(range(1, steps - 20), kills)):
        kind = chance.choice(KINDS)
        delay = {"step": 0.1, "write": 0.7, "start": 5.0}[kind] * chance.random()
        yield kind, step, delay, chance.randrange(processes) if processes > 1 else 0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--kills-a-run", type=int, default=10)
    parser.add_argument("--steps", type=int, default=400)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--processes", type=int, choices=(1, 2), default=1)
    arguments = parser.parse_args()
    chance, begin, differ, done, runs = random.Random(arguments.seed), time.perf_counter(), 0, 0, 0
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_data(folder, arguments.steps)
        whole = Run(folder / "whole", processes=arguments.processes)
        whole.finish()
        files = left(whole.out)
        print(f"uninterrupted: {len(files)} files, {sum(map(len, files.values())):,} bytes", flush=True)
        while done < arguments.kills:
            runs += 1
            run = replace(whole, out=folder / f"killed-{runs}", slowness=0.02)
            rows, kills = [], min(arguments.kills_a_run, arguments.kills - done)
            for moment in plan(kills, arguments.steps, chance, arguments.processes):
                if (where := killed(run, *moment)) is not None:
                    done += 1
                    rows.append(f"{done:4}  run {runs:2}  {moment[0]:5}  process {moment[3]}  {where}")
            replace(run, slowness=0.0).finish()
            names = differing(whole.out, run.out)
            differ += bool(names)
            for row in rows:
                print(f"{row:85}  {'DIFFERENT: ' + ', '.join(names) if names else 'identical'}", flush=True)
    minutes = (time.perf_counter() - begin) / 60
    print(f"{done} kills in {runs} runs of {arguments.steps} steps: {differ} runs differ; {minutes:.1f} minutes")
    raise SystemExit(1 if differ else 0)


if __name__ == "__main__":
    main()
