"""The order of training: batches of a bounded number of positions, a pure function of seed and epoch.

An epoch is shuffled in two steps, so that memory does not grow with the corpus. Blocks of consecutive examples are
shuffled and gathered into pools; inside a pool, examples are sorted by length, those of equal length in random order, cut
into batches, and the batches are shuffled.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from pydantic import Field

from isthmus.core.config import Config
from isthmus.core.errors import ConfigError
from isthmus.data.batch import Batch, Index, collate
from isthmus.data.cache import Block, Encoded
from isthmus.data.codec import Codec
from isthmus.data.corpora import chosen, copies
from isthmus.data.example import Example
from isthmus.data.hashes import mix
from isthmus.data.ragged import Ragged

__all__ = ["Batch", "BatchConfig", "Batches"]

_BLOCKS_A_POOL = 256
_PROBES = 512
_SORTING, _SHUFFLING, _SAMPLING = 2, 3, 4


class BatchConfig(Config):
    """How large batches are.

    Attributes:
        tokens: the most padded positions of a batch: rows x the longest side in it.
        max_rows: the most examples of a batch.
        pool: how many examples are shuffled and sorted together; what is held in memory.
    """

    tokens: int = Field(default=4096, ge=2)
    max_rows: int | None = Field(default=None, ge=1)
    pool: int = Field(default=1 << 18, ge=1)


@dataclass(frozen=True, slots=True)
class _Pool:
    """The examples that are shuffled together.

    Attributes:
        blocks: ranges of examples to load.
        row: the place of each example in the loaded blocks [N].
        index: its number in the encoded corpora [N].
        copy: which time it is shown this epoch [N].
        source: its number of source pieces [N].
        target: its number of target pieces [N].
    """

    blocks: tuple[tuple[int, int], ...]
    row: Index
    index: Index
    copy: Index
    source: Index
    target: Index


class Batches:
    """Gives the batches of any epoch, from any batch on.

    Args:
        encoded: the corpora as ids.
        codec: encodes again when sampling.
        config: how large batches are.
        seed: of the order and of the sampling.
        sample: segment every example anew each epoch (needs the text in the cache). Batches are then planned for longer
            segmentations than the usual ones; a segmentation that would break the budget gives way to the usual one.

    Raises:
        ConfigError: one example alone is larger than `config.tokens`.
        DataError: sampling, but the text is not in the cache.
    """

    def __init__(self, encoded: Encoded, codec: Codec, config: BatchConfig, seed: int, sample: bool = False) -> None:
        if encoded.longest > config.tokens:
            raise ConfigError(
                "a pair is larger than a whole batch may be",
                expected=f"every side within the {config.tokens} positions of a batch",
                got=f"a side of {encoded.longest} pieces",
                where="tokens of the batches",
                fix="raise it, or lower max_source_length and max_target_length of the codec",
            )
        self._encoded, self._codec, self._config, self._seed, self._sample = encoded, codec, config, seed, sample
        self._stretch = self._measure_stretch() if sample else 1.0

    def epoch(self, epoch: int, start: int = 0) -> Iterator[Batch]:
        """Yield the batches of an epoch, without the first `start` ones, which are not even read."""
        before = 0
        for pool in self._pools(epoch):
            plan = self._plan(pool, epoch)
            if before + len(plan) > start:
                yield from self._pool_batches(pool, plan[max(0, start - before) :], epoch)
            before += len(plan)

    def batches_in(self, epoch: int) -> int:
        """How many batches an epoch has."""
        return sum(len(self._plan(pool, epoch)) for pool in self._pools(epoch))

    def real_share(self, epoch: int) -> float:
        """The share of the positions of an epoch, both sides together, that are not padding (before sampling)."""
        real = padded = 0
        for pool in self._pools(epoch):
            real += int(pool.source.sum() + pool.target.sum())
            for rows in self._plan(pool, epoch):
                padded += len(rows) * int(pool.source[rows].max() + pool.target[rows].max())
        return real / padded

    def _pools(self, epoch: int) -> Iterator[_Pool]:
        """Blocks of examples in random order, gathered into pools."""
        size = max(1, self._config.pool // _BLOCKS_A_POOL)
        visits = [
            (start, min(start + size, span.stop), copy, span.weight)
            for span in self._encoded.spans
            for copy in range(copies(span.weight))
            for start in range(span.start, span.stop, size)
        ]
        order = np.argsort(mix(np.arange(len(visits)), self._seed, epoch, _SHUFFLING), kind="stable").tolist()
        blocks_a_pool = max(1, self._config.pool // size)
        for first in range(0, len(order), blocks_a_pool):
            pool = self._pool([visits[number] for number in order[first : first + blocks_a_pool]], epoch)
            if len(pool.index):
                yield pool

    def _pool(self, visits: list[tuple[int, int, int, float]], epoch: int) -> _Pool:
        rows, indices, times, sources, targets = [], [], [], [], []
        loaded = 0
        for start, stop, copy, weight in visits:
            index = np.arange(start, stop)
            shown = chosen(index, copy, weight, self._seed, epoch)
            source, target = self._encoded.lengths(start, stop)
            rows.append(np.arange(loaded, loaded + len(index))[shown])
            indices.append(index[shown])
            times.append(np.full(int(shown.sum()), copy))
            sources.append(source[shown])
            targets.append(target[shown])
            loaded += len(index)
        blocks = tuple((start, stop) for start, stop, _, _ in visits)
        return _Pool(blocks, *(np.concatenate(parts) for parts in (rows, indices, times, sources, targets)))

    def _plan(self, pool: _Pool, epoch: int) -> list[Index]:
        """The batches of a pool: positions in it."""
        random = mix(pool.index, self._seed, epoch, _SORTING) ^ mix(pool.copy, _SORTING)
        longest = np.maximum(pool.source, pool.target)
        order = np.lexsort((random, pool.source, pool.target, longest))
        width = np.minimum(np.ceil(longest[order] * self._stretch), self._config.tokens)
        cuts = self._cuts(width.astype(np.int64))
        batches = [order[start:stop] for start, stop in pairwise(cuts)]
        shuffled = np.argsort(random[order[cuts[:-1]]], kind="stable")
        return [batches[number] for number in shuffled]

    def _cuts(self, width: Index) -> list[int]:
        """Where to cut ascending widths so that each batch has as many rows as the budget allows."""
        cuts, total = [0], len(width)
        while cuts[-1] < total:
            start = cuts[-1]
            most = self._config.tokens // int(width[start])
            if self._config.max_rows is not None:
                most = min(most, self._config.max_rows)
            following = width[start : start + most]
            fitting = following * np.arange(1, len(following) + 1) <= self._config.tokens
            cuts.append(start + int(fitting.sum()))
        return cuts

    def _pool_batches(self, pool: _Pool, plan: list[Index], epoch: int) -> Iterator[Batch]:
        """Load a pool and yield its batches; the pool leaves memory before the next one is loaded."""
        block = Block.join([self._encoded.block(start, stop, text=self._sample) for start, stop in pool.blocks])
        for rows in plan:
            yield self._batch(pool, block, rows, epoch)

    def _batch(self, pool: _Pool, block: Block, rows: Index, epoch: int) -> Batch:
        if not self._sample:
            return collate(block, pool.row[rows], pool.index[rows])
        sampled = self._sampled(pool, block, rows, epoch)
        return collate(sampled, np.arange(len(rows)), pool.index[rows])

    def _sampled(self, pool: _Pool, block: Block, rows: Index, epoch: int) -> Block:
        """The rows in a new segmentation."""
        most = self._config.tokens // len(rows)
        seeds = mix(pool.index[rows], self._seed, epoch, _SAMPLING) ^ mix(pool.copy[rows], _SAMPLING)
        pairs = []
        for row, seed in zip(pool.row[rows].tolist(), seeds.tolist(), strict=True):
            pair = self._segment(block.example(row), seed)
            if max(map(len, pair)) > most or not self._codec.fits(*pair):
                pair = (block.source.row(row).tolist(), block.target.row(row).tolist())
            pairs.append(pair)
        weight = block.weight[pool.row[rows]]
        return Block(Ragged.of([pair[0] for pair in pairs]), Ragged.of([pair[1] for pair in pairs]), weight)

    def _segment(self, example: Example, seed: int) -> tuple[list[int], list[int]]:
        return self._codec.source_ids(example, seed >> 32), self._codec.target_ids(example, seed & 0xFFFFFFFF)

    def _measure_stretch(self) -> float:
        """How much longer sampled segmentations are than the usual ones: the third quartile of some examples."""
        ratios = []
        for index in np.linspace(0, len(self._encoded) - 1, min(_PROBES, len(self._encoded)), dtype=np.int64).tolist():
            block = self._encoded.block(index, index + 1, text=True)
            sampled = self._segment(block.example(0), int(mix(index, self._seed, _SAMPLING)))
            ratios.append(max(map(len, sampled)) / max(len(block.source.flat), len(block.target.flat)))
        return max(1.0, float(np.quantile(ratios, 0.75)))
