"""How fast training is: target tokens a second in the steady state, beside other toolkits in one run.

    python benchmarks/training.py                                   # Isthmus alone: small and base, both precisions
    python benchmarks/training.py --peers FOLDER --repeats 5        # other toolkits take turns with it
    python benchmarks/training.py --sizes small --precisions bfloat16
    python benchmarks/training.py --change model.encoder.recompute=true --change model.decoder.recompute=true

Multi30k English-German (under ISTHMUS_DATA), joint vocabulary of 8,000 pieces, about 4,096 target positions a batch, dropout 0.1, label
smoothing 0.1, Adam. Padding does not count. FOLDER has scripts that install and time others (`train_hf.py`, `train_eole.py`), with their
environments under $PEERS; a system that is not installed there is left out, and said to be.

Every system runs in a process of its own, one after the other, `repeats` times round; medians are compared. The last columns
say what share of the machine's speed in matrix products (measured in the same round) the model's operations make up, and the most
memory that the process took.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from isthmus.train.job import Job
    from isthmus.train.state import TrainingState

RECIPE = """
about = "the speed of training"
[data]
train = [{ source = "multi30k/train.en.gz", target = "multi30k/train.de.gz" }]
dev = { source = "multi30k/val.en.gz", target = "multi30k/val.de.gz" }
batch = { tokens = 4096 }
[tokenizer]
joint = true
source = { kind = "sentencepiece", model = "bpe", vocabulary_size = 8000 }
[model]
preset = "SIZE"
[train]
steps = 1000000
optimiser = { kind = "adam", learning_rate = 3e-4 }
schedule = { kind = "constant" }
"""
WARM_UP = 8
PEERS = (  # name, environment, script, words for size, precision and seconds
    ("Hugging Face, bare loop", "venv-hf", "train_hf.py --size {size} --precision {hf} --reps 1 --secs {seconds}"),
    ("Hugging Face, Seq2SeqTrainer", "venv-hf", "train_hf.py --size {size} --precision {hf} --trainer"),
    ("Eole", "venv-hf", "train_eole.py {size} {eole} {minute}"),
)
NAMES = {"float32": {"hf": "fp32", "eole": "fp32"}, "bfloat16": {"hf": "autocast", "eole": "bf16"}}


def ours(size: str, precision: str, seconds: float, threads: int, changes: list[str]) -> dict[str, float]:
    """One steady-state measurement in this process."""
    from isthmus.core.memory import Gauge

    job, vocabulary = prepared(size, precision, threads, changes)
    tokens = steady(job, seconds)
    flops = operations(size, vocabulary, *tokens)
    memory, peak = Gauge("cpu").peak(), ceiling(precision)
    return {"tok_s": tokens[1], "gflops": flops / 1e9, "ceiling": peak / 1e9, "share": flops / peak, "memory": memory}


def prepared(size: str, precision: str, threads: int, changes: list[str]) -> tuple[Job, int]:
    """What is trained, and the size of its vocabulary."""
    import torch

    from isthmus.core.memory import keep_for_next_steps
    from isthmus.core.runtime import Runtime, seeded
    from isthmus.model.build import build
    from isthmus.train.job import Job, Place
    from isthmus.train.objective import CrossEntropy
    from isthmus.workflows.prepare import codec_of, corpora, prepare
    from isthmus.workflows.recipe import load_recipe

    keep_for_next_steps()
    torch.set_num_threads(threads)
    folder = Path(tempfile.gettempdir()) / "isthmus-benchmark-training"
    folder.mkdir(exist_ok=True)
    path = folder / f"{size}.toml"
    path.write_text(RECIPE.replace("SIZE", size), encoding="utf-8")
    recipe = load_recipe(path, changes)
    found = corpora(recipe, folder, folder)
    data = prepare(recipe, found, codec_of(recipe, found.train, folder), folder)
    vocabulary = data.codec.source.vocabulary.size
    with seeded(1):
        model = build(recipe.model, vocabulary, vocabulary)
    runtime = Runtime("cpu", "bfloat16" if precision == "bfloat16" else "float32", "highest", threads)
    return Job(model, CrossEntropy(0.1), data.train, (), recipe.train, runtime, Place(folder / "run")), vocabulary


def steady(job: Job, seconds: float) -> tuple[float, float]:
    """Source and target tokens a second of a job's updates, after the first ones."""
    updates = updated(job)
    for _ in range(WARM_UP):
        state = next(updates)
    sources, targets, begin = state.source_tokens, state.target_tokens, time.perf_counter()
    while (spent := time.perf_counter() - begin) < seconds:
        state = next(updates)
    return (state.source_tokens - sources) / spent, (state.target_tokens - targets) / spent


def updated(job: Job) -> Iterator[TrainingState]:
    """The state after each update of a training without end."""
    from isthmus.data.prefetch import prefetch
    from isthmus.train.job import parts_of
    from isthmus.train.lanes import onwards
    from isthmus.train.state import TrainingState
    from isthmus.train.trainer import update

    parts, state = parts_of(job), TrainingState()
    feed = prefetch(onwards(job.batches, state.position))
    while True:
        state, _event = update(job, parts, state, feed)
        yield state


def operations(size: str, vocabulary: int, source: float, target: float) -> float:
    """Operations of forward and backward for so many source and target tokens: 6 a weight and token, attention left out."""
    width, inner, layers = {"small": (256, 1024, 3), "base": (512, 2048, 6)}[size]
    encoder = layers * (4 * width * width + 2 * width * inner)
    memory = layers * 2 * width * width
    decoder = layers * (6 * width * width + 2 * width * inner) + vocabulary * width
    return 6 * ((encoder + memory) * source + decoder * target)


def ceiling(precision: str) -> float:
    """Operations a second of a large matrix product."""
    import torch

    kind = torch.bfloat16 if precision == "bfloat16" else torch.float32
    x, y = torch.randn(2048, 2048).to(kind), torch.randn(2048, 2048).to(kind)
    seconds = []
    for _ in range(12):
        begin = time.perf_counter()
        x @ y
        seconds.append(time.perf_counter() - begin)
    return 2 * 2048**3 / statistics.median(seconds)


def peer(command: str, environment: str, folder: Path, words: dict[str, str]) -> dict[str, float] | None:
    """One measurement of another toolkit, or `None` if it is not installed."""
    python = Path(os.environ.get("PEERS", Path.home() / ".cache/peers")) / environment / "bin/python"
    if not python.is_file() or ("eole" in command and not (python.parents[2] / "venv-eole").is_dir()):
        return None
    done = subprocess.run(
        [str(python), *command.format(**words).split()], cwd=folder, capture_output=True, text=True, check=False
    )
    lines = [line for line in done.stdout.splitlines() if line.startswith("{")]
    if not lines:
        sys.stderr.write(done.stderr[-800:])
        return None
    return {"tok_s": float(json.loads(lines[-1])["tok_s"])}


def itself(size: str, precision: str, arguments: argparse.Namespace) -> dict[str, float]:
    """One measurement of Isthmus in a process of its own."""
    words = [sys.executable, __file__, "--one", size, "--precisions", precision]
    words += ["--seconds", str(arguments.seconds), "--threads", str(arguments.threads)]
    words += [word for change in arguments.change for word in ("--change", change)]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def compare(arguments: argparse.Namespace, size: str, precision: str) -> None:
    """All systems in turns, and their medians."""
    found: dict[str, list[dict[str, float]]] = {}
    seconds = arguments.seconds
    words = {"size": size, "seconds": str(seconds), "minute": str(int(3 * seconds)), **NAMES[precision]}
    for _ in range(arguments.repeats):
        found.setdefault("Isthmus", []).append(itself(size, precision, arguments))
        for name, environment, command in PEERS if arguments.peers else ():
            one = peer(command, environment, arguments.peers, words)
            if one is not None:
                found.setdefault(name, []).append(one)
    mine = statistics.median(one["tok_s"] for one in found["Isthmus"])
    sys.stdout.write(f"\n{size}, {precision}, {arguments.threads} threads, {arguments.repeats} rounds\n")
    for name, runs in found.items():
        speeds = sorted(one["tok_s"] for one in runs)
        middle = statistics.median(speeds)
        line = f"{name:30} {middle:8,.0f} tokens/s [{speeds[0]:,.0f} .. {speeds[-1]:,.0f}]   x {mine / middle:.2f}"
        if name == "Isthmus":
            share, peak, memory = (
                statistics.median(one[key] for one in runs) for key in ("share", "ceiling", "memory")
            )
            line += f"   {share:.0%} of {peak:,.0f} GFLOP/s   {memory / 1e9:.2f} GB"
        sys.stdout.write(line + "\n")
    for name, _, _ in PEERS if arguments.peers else ():
        if name not in found:
            sys.stdout.write(f"{name:30} not run: not installed, or it failed\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peers", type=Path)
    parser.add_argument("--sizes", nargs="+", default=["small", "base"])
    parser.add_argument("--precisions", nargs="+", default=["float32", "bfloat16"])
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=12)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--change", action="append", default=[], metavar="KEY=VALUE", help="of the recipe of Isthmus")
    parser.add_argument("--one", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        found = ours(arguments.one, arguments.precisions[0], arguments.seconds, arguments.threads, arguments.change)
        sys.stdout.write(json.dumps(found) + "\n")
        return
    for size in arguments.sizes:
        for precision in arguments.precisions:
            compare(arguments, size, precision)


if __name__ == "__main__":
    main()
