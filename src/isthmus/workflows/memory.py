"""How much memory training takes, known before it begins: the largest batches that can come are tried first, on a copy of the model.

An estimate from sizes alone would not be true: the allocator and the kernels' caches take more than the tensors (see docs/decisions.md).
"""

from __future__ import annotations

import copy
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from isthmus.core.config import parse
from isthmus.core.errors import ConfigError
from isthmus.core.memory import Gauge
from isthmus.core.padded import Padded
from isthmus.data.batches import Batch
from isthmus.text.vocabulary import UNK
from isthmus.train.average import BestAverage, LastAverage
from isthmus.train.config import TrainingConfig
from isthmus.train.job import Job, Place, parts_of
from isthmus.train.state import Position, TrainingState
from isthmus.train.trainer import update

SHARE = 0.8  # of the memory that there is may training take
LEAST, MOST = 512, 1 << 14  # positions of a batch between which `auto` chooses
BATCHES = 100  # but so many batches an epoch has at least
NARROWER = 0.6  # each batch tried is so much narrower than the one before it
NARROWEST = 4
GROWTH = 4.3  # so many times what trying adds does a run add on a CPU, as batches of ever other shapes pass (see docs/decisions.md)


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
    if smaller < tokens and (expected := scale.expected(scale.peak(smaller), tokens / smaller)) > scale.limit:
        raise ConfigError(
            "batches of this size do not fit into the memory",
            expected=f"at most {_gigabytes(scale.limit)}",
            got=f"about {_gigabytes(expected)} for {tokens:,} positions",
            where="data.batch.tokens",
            fix='lower it, or set it to "auto"; train.accumulate keeps updates as large as before',
        )
    return Weighed(tokens, scale.peak(tokens), scale.limit)


def fitted(job: Job, longest: int, pieces: int) -> Weighed:
    """The largest batches, of `LEAST` to `MOST` positions, doubled as long as the memory will hold them.

    Args:
        job: what will be trained; only a copy of its model is.
        longest: the longest side of a pair: no batch can be smaller.
        pieces: of an epoch, on the side that has more.
    """
    scale, tokens = _Scale(job, longest), max(LEAST, longest)
    peak = scale.peak(tokens)
    while 2 * tokens <= min(MOST, pieces // BATCHES) and scale.expected(peak, 2.0) <= scale.limit:
        tokens *= 2
        peak = scale.peak(tokens)
    return Weighed(tokens, peak, scale.limit)


class _Scale:
    """Weighs updates of a copy of a job's model; where several processes train, all go by what the first one finds."""

    def __init__(self, job: Job, longest: int) -> None:
        self._job, self._longest = job, longest
        self._gauge = Gauge(job.runtime.device)
        self._gauge.reset()
        self._before = self._gauge.peak()
        self.limit = self._agreed(int(SHARE * (self._before + self._gauge.room() // job.team.size)))

    def expected(self, peak: int, times: float) -> int:
        """The peak of batches so many times as large as those that had this peak."""
        return self._before + int(times * (peak - self._before))

    def peak(self, tokens: int) -> int:
        """The most bytes taken in a few updates with the largest batches, long rows first, and by snapshots for the average."""
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
        return self._agreed(self._before + int(growth * added) + snapshots * weights)

    def _agreed(self, count: int) -> int:
        return int(self._job.team.told(str(count)))


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
