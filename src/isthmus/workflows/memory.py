"""How much memory training takes, known before it begins: the largest batches that can come are tried first, on a copy of the model.

An estimate from sizes alone would not be true: the allocator and the kernels' caches take more than the tensors (see docs/decisions.md).
"""

from __future__ import annotations

import copy
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.distributed.tensor import DTensor

from isthmus.core.config import parse
from isthmus.core.errors import ConfigError
from isthmus.core.memory import Gauge
from isthmus.core.padded import Padded
from isthmus.core.team import Team
from isthmus.data.batches import Batch
from isthmus.text.vocabulary import UNK
from isthmus.train.average import BestAverage, LastAverage
from isthmus.train.config import TrainingConfig
from isthmus.train.job import Job, Parts, Place, parts_of
from isthmus.train.state import Position, TrainingState
from isthmus.train.trainer import update

SHARE = 0.8  # of the memory that there is may training take
LEAST, MOST = 512, 1 << 14  # positions of a batch between which `auto` chooses
BATCHES = 100  # but so many batches an epoch has at least
NARROWER = 0.6  # each batch tried is so much narrower than the one before it
NARROWEST = 4
GROWTH = 4.5  # so many times what batches add when tried do they add in a run on a CPU, as ever other shapes pass (docs/decisions.md)


@dataclass(frozen=True, slots=True)
class Weighed:
    """What training takes.

    Attributes:
        tokens: positions of a batch.
        peak: the most bytes that this process takes at once.
        limit: the most that it may take.
    """

    tokens: int
    peak: int
    limit: int

    def __str__(self) -> str:
        return (
            f"memory: about {_gigabytes(self.peak)} at the peak, from trying the largest batches of {self.tokens:,} positions; "
            f"{_gigabytes(self.limit)} may be taken"
        )


def weighed(job: Job, tokens: int, longest: int) -> Weighed:
    """Try the largest batches there can be of so many positions; a quarter of them first, so that what cannot fit is never tried.

    Args:
        job: what will be trained; only a copy of its model is.
        tokens: positions of a batch.
        longest: the longest side of a pair.

    Raises:
        ConfigError: they do not fit into the memory.
    """
    scale, smaller = _Scale(job, longest), max(longest, tokens // 4)
    if smaller < tokens and (expected := scale.taken(smaller).at(tokens / smaller)) > scale.limit:
        raise ConfigError(
            "batches of this size do not fit into the memory",
            expected=f"at most {_gigabytes(scale.limit)}",
            got=f"about {_gigabytes(expected)} for {tokens:,} positions",
            where="data.batch.tokens",
            fix='lower it, or set it to "auto"; train.accumulate keeps updates as large as before',
        )
    return Weighed(tokens, scale.taken(tokens).at(1.0), scale.limit)


def fitted(job: Job, longest: int, pieces: int) -> Weighed:
    """The largest batches, of `LEAST` to `MOST` positions, doubled as long as the memory will hold them.

    Args:
        job: what will be trained; only a copy of its model is.
        longest: the longest side of a pair: no batch can be smaller.
        pieces: of an epoch, on the side that has more.
    """
    scale, tokens = _Scale(job, longest), max(LEAST, longest)
    taken = scale.taken(tokens)
    while 2 * tokens <= min(MOST, pieces // BATCHES) and taken.at(2.0) <= scale.limit:
        tokens *= 2
        taken = scale.taken(tokens)
    return Weighed(tokens, taken.at(1.0), scale.limit)


@dataclass(frozen=True, slots=True)
class _Taken:
    """Bytes that training takes at its peak: those that it takes whatever the batches are, and those of the batches tried."""

    fixed: int
    growing: int

    def at(self, times: float) -> int:
        """The peak of batches so many times as large."""
        return self.fixed + int(times * self.growing)


class _Scale:
    """Weighs updates of a copy of a job's model; where several processes train, all go by what the first one finds."""

    def __init__(self, job: Job, longest: int) -> None:
        self._job, self._longest = job, longest
        self._gauge = Gauge(job.runtime.device)
        self._gauge.reset()
        self._before = self._gauge.peak()
        (self.limit,) = self._agreed(int(SHARE * (self._before + self._gauge.room() // job.team.sharing)))

    def taken(self, tokens: int) -> _Taken:
        """What a few updates with the largest batches take, long rows first, and snapshots for the average."""
        self._gauge.reset()
        model = copy.deepcopy(self._job.model)
        widths, size = _widths(self._longest), self._job.team.size
        feed = ((Position(), _largest(tokens, width)) for width in widths for _ in range(size))
        config = parse(TrainingConfig, {**self._job.config.model_dump(), "accumulate": size}, "train")
        with tempfile.TemporaryDirectory() as folder:
            job = replace(self._job, model=model, config=config, place=Place(Path(folder)))
            parts, state = parts_of(job), TrainingState()
            for _ in widths:
                state, _ = update(job, parts, state, feed)
        weights = sum(parameter.numel() * parameter.element_size() for parameter in model.parameters())
        average = job.config.average
        snapshots = average.count if isinstance(average, LastAverage | BestAverage) else 0
        growth = GROWTH if self._job.runtime.device == "cpu" else 1.0
        added = self._gauge.peak() - self._before
        held = min(_held(model, parts, job.team), added)
        return _Taken(*self._agreed(self._before + held + snapshots * weights, int(growth * (added - held))))

    def _agreed(self, *counts: int) -> list[int]:
        return [int(count) for count in self._job.team.told(" ".join(map(str, counts))).split()]


def _held(model: nn.Module, parts: Parts, team: Team) -> int:
    """Bytes of weights, of gradients (twice where a message adds them up), of the optimiser and of the average."""
    gradients = _bytes(parts.parameters.values())
    messages = gradients if team.size > 1 and not team.shards else 0
    kept = _bytes([*parts.optimiser.tensors().values(), *parts.average.tensors().values()])
    return _bytes(model.parameters()) + gradients + messages + kept


def _bytes(tensors: Iterable[Tensor]) -> int:
    """Of that part of them which this process has."""
    own = (tensor.to_local() if isinstance(tensor, DTensor) else tensor for tensor in tensors)
    return sum(tensor.numel() * tensor.element_size() for tensor in own)


def _widths(longest: int) -> list[int]:
    """Widths of the batches to try: each kind of shape leaves something behind in the caches."""
    widths = [longest]
    while widths[-1] * NARROWER >= NARROWEST:
        widths.append(int(widths[-1] * NARROWER))
    return widths


def _largest(tokens: int, width: int) -> Batch:
    """A batch with no padding on either side: no batch of this width takes more."""
    rows = max(1, tokens // width)
    ids_BT = torch.full((rows, width), UNK, dtype=torch.int64)
    side = Padded(ids_BT, torch.full((rows,), width))
    return Batch(side, side, side, torch.ones(rows), torch.arange(rows))


def _gigabytes(count: int) -> str:
    return f"{count / 1e9:.2f} GB"
