"""Where a training step goes: the operations and bytes of its parts, what this machine could do them in, and what they take.

    python -m benchmarks.step                                        # small and base, both precisions
    python -m benchmarks.step --sizes small --precisions bfloat16 --threads 1

Trained is what `benchmarks/training.py` trains, first for `--warm-up` updates, so that most shapes of its batches have been seen. Then
`--steps` updates are timed, as many are profiled (for the shares of the parts: a profiler makes every call a little dearer, so its own
times are not shown), and one is counted: the operations of products by torch's counter, and the bytes of the tensors that every
operation reads and writes. "Could be" is the larger of operations over the machine's speed in a large product and bytes over its speed
of copying large tensors. Tensors that are still in a cache come faster than that.
"""

from __future__ import annotations

import argparse
import math
import re
import sys
import time
from collections import Counter
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor
from torch.profiler import ProfilerActivity, profile
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.training import ceiling, prepared, updated
from isthmus.train.state import TrainingState

PARTS = {  # what is said of an operation, by its name; the first that matches
    "matrix products": r"mm|addmm|bmm|baddbmm",
    "copies between types and layouts": r"copy|_to_copy|clone|cat|stack|constant_pad_nd|contiguous",
    "random numbers": r"random|bernoulli",
    "optimiser and the gradient's norm": r"_fused_.*|_foreach_.*|linalg_vector_norm",
    "norms": r"native_layer_norm.*",
    "exponentials, logarithms, softmax": r"exp|log|_softmax.*|reciprocal|amax",
    "relu": r"relu|clamp_min|threshold_backward",
    "look-ups": r"embedding.*|index.*|_index_put_impl|gather|scatter.*",
    "sums": r"sum|mean",
    "other arithmetic on numbers": r"mul|add|sub|div|addcmul|neg|where|masked_fill|fill|zero|clamp|bitwise.*|eq|ge|le|lt|gt|__.*__",
}
REST = "the rest: views, memory, Python"


def part_of(operation: str) -> str:
    """`aten::addmm` or `copy_` to the part that it belongs to."""
    name = operation.removeprefix("aten::").rstrip("_")
    return next((part for part, pattern in PARTS.items() if re.fullmatch(pattern, name)), REST)


class Bytes(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Adds up what operations read and write, by part. Of a table that is only looked up in, nothing is counted."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.by_part: Counter[str] = Counter()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        if (part := part_of(func.overloadpacket.__name__)) != REST:
            sizes = sorted(bytes_of(one) for one in tree_leaves((args, kwargs, out)) if isinstance(one, Tensor))
            table = sizes[-1] if part == "look-ups" else 0
            self.by_part[part] += sum(one for one in sizes if one != table)
        return out


def bytes_of(tensor: Tensor) -> int:
    """Bytes, of what is repeated once."""
    return math.prod(n for n, step in zip(tensor.shape, tensor.stride(), strict=True) if step) * tensor.element_size()


def copying() -> float:
    """Bytes a second, read and written, of copying a tensor larger than all caches."""
    x, y = torch.zeros(1 << 26), torch.ones(1 << 26)
    seconds = []
    for _ in range(8):
        begin = time.perf_counter()
        x.copy_(y)
        seconds.append(time.perf_counter() - begin)
    return 2 * bytes_of(x) / min(seconds)


def timed(updates: Iterator[TrainingState], steps: int) -> tuple[float, float]:
    """Seconds and target tokens of an update."""
    before, begin = next(updates).target_tokens, time.perf_counter()
    for _ in range(steps):
        state = next(updates)
    return (time.perf_counter() - begin) / steps, (state.target_tokens - before) / steps


def shares(updates: Iterator[TrainingState], steps: int) -> dict[str, float]:
    """What part of an update's time each part takes, the dearest first."""
    with profile(activities=[ProfilerActivity.CPU]) as profiled:
        for _ in range(steps):
            next(updates)
    found: Counter[str] = Counter()
    for event in profiled.key_averages():
        found[part_of(event.key)] += event.self_cpu_time_total
    return {part: spent / found.total() for part, spent in found.most_common()}


def table(size: str, precision: str, arguments: argparse.Namespace) -> list[str]:
    """Markdown, the dearest part first."""
    threads, steps = arguments.threads, arguments.steps
    job, _vocabulary = prepared(size, precision, threads, [])
    updates = updated(job)
    for _ in range(arguments.warm_up):
        next(updates)
    seconds, tokens = timed(updates, steps)
    share = shares(updates, steps)
    before = next(updates).target_tokens
    with Bytes() as moved, FlopCounterMode(display=False) as counted:
        scale = tokens / (next(updates).target_tokens - before)  # of the batch that is counted to the mean batch
    operations = {"matrix products": counted.get_total_flops() * scale}
    peak, memory = ceiling(precision), copying()
    lines = [
        f"`{size}`, {precision}, threads: {threads}. {tokens:,.0f} target tokens an update, {seconds * 1e3:,.0f} ms; "
        f"products make {peak / 1e9:,.0f} GFLOP/s, copying {memory / 1e9:.1f} GB/s.",
        "",
        "| part | GFLOP | MB | could be, ms | is, ms | share |",
        "|---|---|---|---|---|---|",
    ]
    total = 0.0
    for part, portion in share.items():
        flops, read = operations.get(part, 0.0), moved.by_part[part] * scale
        least = max(flops / peak, read / memory)
        total += least
        done = f"{flops / 1e9:,.0f}" if flops else ""
        cost = f"{read / 1e6:,.0f} | {least * 1e3:,.0f}" if read else " | "
        lines.append(f"| {part} | {done} | {cost} | {portion * seconds * 1e3:,.0f} | {portion:.0%} |")
    return [*lines, f"| all | | | {total * 1e3:,.0f} | {seconds * 1e3:,.0f} | |", ""]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", nargs="+", default=["small", "base"])
    parser.add_argument("--precisions", nargs="+", default=["float32", "bfloat16"])
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--warm-up", type=int, default=120)
    parser.add_argument("--steps", type=int, default=12)
    arguments = parser.parse_args()
    for size in arguments.sizes:
        for precision in arguments.precisions:
            sys.stdout.write("\n".join([*table(size, precision, arguments), ""]))


if __name__ == "__main__":
    main()
