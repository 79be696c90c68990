"""Where and how the numbers are computed: device, precision, threads, and the seeds of a training step.

Speeds are measured on the machine at hand, never assumed: bfloat16 is several times faster than float32 on some
processors and slower on others that advertise it, and one library of products may be twice as fast as another.
"""

from __future__ import annotations

import hashlib
import math
import struct
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional

from isthmus.core.errors import InputError

Precision = Literal["float32", "bfloat16"]
Matmul = Literal["highest", "medium"]
Setting = tuple[Precision, Matmul]

SHAPE = (2048, 256, 1024)  # rows, inputs, outputs: a feed-forward layer over a batch of two thousand tokens
REPEATS = 7
MEDIUM_ERROR = 1e-5  # "medium" may round its inputs to bfloat16; above this relative error it is not float32 any more
MEDIUM_GAIN = 1.5  # below this gain a noisy measurement could choose differently from one start to the next
BUSY = 1.25  # so much faster must one thread be than all to be taken
BFLOAT16_GAIN = 1.25  # below this gain the casts around the products eat what the products win


@dataclass(frozen=True, slots=True)
class Runtime:
    """How tensors are computed in one run.

    Attributes:
        device: a name that torch understands: `cpu`, `cuda`, `cuda:1`, `mps`.
        precision: what the matrix products of a forward pass are computed in, and with them the logits and attention scores; weights,
            norms, a target's own logit and all sums of the loss stay in float32.
        matmul: the setting of `torch.set_float32_matmul_precision`; `medium` is chosen only where it is as exact as float32.
        threads: processor threads within one operation.
        gflops: what was measured: billions of operations a second of `float32`, `float32-medium` and `bfloat16`.
            It explains the choice and is no part of it: two runtimes that choose the same are equal.
    """

    device: str = "cpu"
    precision: Precision = "float32"
    matmul: Matmul = "highest"
    threads: int = 1
    gflops: Mapping[str, float] = field(default_factory=dict, compare=False)

    def __str__(self) -> str:
        speeds = ", ".join(f"{name} {value:.0f}" for name, value in self.gflops.items())
        chosen = f"{self.device}, {self.threads} threads, {self.precision}, products {self.matmul}"
        return f"{chosen} (GFLOP/s: {speeds})" if speeds else chosen

    @contextmanager
    def fast(self) -> Iterator[None]:
        """Set torch's global settings (threads, precision of products), and put them back afterwards.

        Denormal numbers are not flushed: torch flushes them only in the calling thread and in threads started later,
        so that a result would depend on what the process did before. The optimiser keeps them out of its state instead.
        """
        threads, matmul = torch.get_num_threads(), torch.get_float32_matmul_precision()
        try:
            if threads != self.threads:
                torch.set_num_threads(self.threads)
            torch.set_float32_matmul_precision(self.matmul)
            yield
        finally:
            if threads != self.threads:
                torch.set_num_threads(threads)
            torch.set_float32_matmul_precision(matmul)

    def autocast(self) -> AbstractContextManager[object]:
        """The context of a forward pass: `torch.autocast` in bfloat16, nothing in float32."""
        if self.precision == "float32":
            return nullcontext()
        return torch.autocast(torch.device(self.device).type, dtype=torch.bfloat16)

    def choices(self) -> dict[str, str | int]:
        """What was chosen, and what else the bits of a result hang on, as plain values for a checkpoint."""
        return {
            "device": self.device,
            "precision": self.precision,
            "matmul": self.matmul,
            "threads": self.threads,
            "torch": torch.__version__,
            "instructions": _instructions(),
        }

    @classmethod
    def of(cls, choices: Mapping[str, str | int]) -> Runtime:
        """The runtime again from what `choices` gave.

        Raises:
            InputError: this machine does not have the device.
        """
        precision: Precision = "bfloat16" if choices["precision"] == "bfloat16" else "float32"
        matmul: Matmul = "medium" if choices["matmul"] == "medium" else "highest"
        return cls(_device(str(choices["device"])), precision, matmul, int(choices["threads"]))


def working_dtype(x: Tensor) -> torch.dtype:
    """What products with `x` are computed in here: the precision of `Runtime.autocast`, or that of `x`."""
    kind = x.device.type
    lower = torch.amp.is_autocast_available(kind) and torch.is_autocast_enabled(kind)
    return torch.get_autocast_dtype(kind) if lower else x.dtype


def as_it_is(x: Tensor) -> AbstractContextManager[object]:
    """The context in which nothing is converted behind one's back: autocast is off for the device of `x`."""
    kind = x.device.type
    return torch.autocast(kind, enabled=False) if torch.amp.is_autocast_available(kind) else nullcontext()


def sent(tensor: Tensor, device: torch.device | str) -> Tensor:
    """A tensor on a device; to a GPU by way of pinned memory, so that the program need not wait until it is there."""
    if tensor.device.type == "cpu" and torch.device(device).type == "cuda":
        return tensor.pin_memory().to(device, non_blocking=True)
    return tensor.to(device)


def known(condition: Tensor) -> bool:
    """Whether a condition holds everywhere, where asking costs nothing: on a CPU, and not while a graph is traced; else `False`."""
    return condition.device.type == "cpu" and not torch.compiler.is_compiling() and bool(condition.all())


def probe(precision: Literal["auto"] | Precision = "auto", device: str = "auto", threads: int | None = None) -> Runtime:
    """Measure matrix products shaped like training on this machine, and choose the fastest that is exact enough.

    It takes a few tens of milliseconds.

    Args:
        precision: `auto` to choose, or a precision that the result must have.
        device: `auto` takes the first GPU if there is one.
        threads: processor threads; by default what torch uses now.

    Raises:
        InputError: the device is not there, or the number of threads is not positive.
    """
    threads = torch.get_num_threads() if threads is None else threads
    if threads < 1:
        raise InputError(
            "the number of threads must be positive", expected="1 or more", got=str(threads), where="threads"
        )
    name = _device(device)
    settings: list[Setting] = [("float32", "highest"), ("float32", "medium")]
    if precision != "float32":
        settings.append(("bfloat16", "highest"))
    with Runtime(name, threads=threads).fast():
        x, weight = _operands(name)
        gflops = _speeds(settings, x, weight)
        torch.set_float32_matmul_precision("medium")
        error = _relative_error(functional.linear(x, weight), x, weight)
    medium = error <= MEDIUM_ERROR and gflops["float32-medium"] >= MEDIUM_GAIN * gflops["float32"]
    best_float32 = gflops["float32-medium"] if medium else gflops["float32"]
    low = precision == "bfloat16" or (precision == "auto" and gflops["bfloat16"] >= BFLOAT16_GAIN * best_float32)
    return Runtime(name, "bfloat16" if low else "float32", "medium" if medium else "highest", threads, gflops)


def best_threads() -> int:
    """All of torch's threads, or one where the machine is so busy that its threads wait for each other.

    Threads meet after every operation. Where other programs keep one of them from its core, all wait for it, and many small
    operations take tens of times longer than with one thread.
    """
    most = torch.get_num_threads()
    if most == 1:
        return 1
    seconds = {1: math.inf, most: math.inf}
    for threads in (most, 1) * 3:
        with Runtime("cpu", threads=threads).fast():
            seconds[threads] = min(seconds[threads], _small_seconds())
    return 1 if seconds[1] * BUSY < seconds[most] else most


def _small_seconds() -> float:
    """How long a hundred small operations take."""
    x = torch.ones(256, 256)
    start = time.perf_counter()
    for _ in range(50):
        x = (x @ x).relu() / 256
    return time.perf_counter() - start


def _instructions() -> str:
    """What the processor computes with; two that differ in it may round bfloat16 products differently."""
    try:
        has = torch.cpu.get_capabilities()
    except AttributeError:  # older versions of torch do not say
        has = {}
    more = [name for name in ("avx512_bf16", "amx_bf16") if has.get(name)]
    return " ".join([torch.backends.cpu.get_cpu_capability(), *more])


def _device(name: str) -> str:
    if name == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    try:
        torch.empty(1, device=name)
    except (RuntimeError, AssertionError):
        raise InputError(
            "this device cannot be used",
            expected="a device of this machine",
            got=name,
            where="device",
            fix="use `cpu` or `auto`",
        ) from None
    return name


def _operands(device: str) -> tuple[Tensor, Tensor]:
    rows, inputs, outputs = SHAPE
    generator = torch.Generator().manual_seed(0)
    x, weight = torch.randn(rows, inputs, generator=generator), torch.randn(outputs, inputs, generator=generator)
    return x.to(device), weight.to(device)


def _relative_error(product: Tensor, x: Tensor, weight: Tensor) -> float:
    exact = x.cpu().double() @ weight.cpu().double().t()
    return float((product.cpu().double() - exact).norm() / exact.norm())


def _speeds(settings: Sequence[Setting], x: Tensor, weight: Tensor) -> dict[str, float]:
    """The best GFLOP/s of each setting; they take turns, so that whatever else the machine does hits all alike."""
    operands = {"float32": (x, weight), "bfloat16": (x.bfloat16(), weight.bfloat16())}
    seconds: dict[Setting, list[float]] = {setting: [] for setting in settings}
    for _ in range(REPEATS + 1):
        for setting in settings:
            precision, matmul = setting
            torch.set_float32_matmul_precision(matmul)
            seconds[setting].append(_seconds(*operands[precision]))
    work = 2e-9 * SHAPE[0] * SHAPE[1] * SHAPE[2]
    return {
        precision if matmul == "highest" else f"{precision}-{matmul}": work / min(seconds[precision, matmul][1:])
        for precision, matmul in settings
    }


def _seconds(x: Tensor, weight: Tensor) -> float:
    """How long one matrix product takes."""
    start = time.perf_counter()
    result = functional.linear(x, weight)
    if result.is_cuda:
        torch.cuda.synchronize(result.device)
    return time.perf_counter() - start


def step_seed(seed: int, epoch: int, step: int, micro: int = 0, rank: int = 0) -> int:
    """A seed for one micro-batch of one training step, unrelated to that of any other; a pure function.

    With it dropout needs no saved state: a resumed run draws what the uninterrupted run drew.

    Returns:
        an integer from 0 to 2⁶³ - 1.
    """
    digest = hashlib.blake2b(struct.pack("<5q", seed, epoch, step, micro, rank), digest_size=8).digest()
    return int.from_bytes(digest, "little") >> 1


def seed_step(seed: int, epoch: int, step: int, micro: int = 0, rank: int = 0) -> None:
    """Seed torch's generators, of the CPU and of every GPU, with `step_seed`."""
    torch.manual_seed(step_seed(seed, epoch, step, micro, rank))


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Seed torch's generators for the body (making a model, for one), and put them back as they were afterwards."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        yield
