"""The order of training: batches of a bounded number of positions, a pure function of seed and epoch.

An epoch is shuffled in two steps, so that memory does not grow with the corpus. Blocks of consecutive examples are
shuffled and gathered into pools; inside a pool, examples are sorted by length, those of equal length in random order, cut
into batches, and the batches are shuffled.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from isthmus.core.config import Config
from isthmus.core.errors import ConfigError, StateError
from isthmus.data.batch import Batch, Index, collate
from isthmus.data.cache import Block, Encoded
from isthmus.data.codec import Codec
from isthmus.data.corpora import chosen, copies
from isthmus.data.hashes import mix
from isthmus.data.ragged import Ragged

__all__ = ["Batch", "BatchConfig", "Batches"]

_BLOCKS_A_POOL = 256
_SORTING, _SHUFFLING, _SAMPLING = 2, 3, 4


class BatchConfig(Config):
    """How large batches are.

    Attributes:
        tokens: the most padded positions of a batch: rows x the longest side in it. `auto` becomes, before training, as many as
            the memory holds.
        max_rows: the most examples of a batch.
        pool: how many examples are shuffled and sorted together; what is held in memory.
    """

    tokens: Annotated[int, Field(ge=2)] | Literal["auto"] = 4096
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
        sampled: the examples in a new segmentation, where they are segmented anew each epoch.
    """

    blocks: tuple[tuple[int, int], ...]
    row: Index
    index: Index
    copy: Index
    source: Index
    target: Index
    sampled: Block | None = None


class Batches:
    """Gives the batches of any epoch, from any batch on.

    Args:
        encoded: the corpora as ids.
        codec: encodes again when sampling.
        config: how large batches are.
        seed: of the order and of the sampling.
        sample: segment every example anew each epoch, a pool at a time (needs the text in the cache). A segmentation that is too
            long gives way to the usual one.

    Raises:
        ConfigError: one example alone is larger than `config.tokens`.
        DataError: sampling, but the text is not in the cache.
        StateError: `config.tokens` is `auto` still.
    """

    def __init__(self, encoded: Encoded, codec: Codec, config: BatchConfig, seed: int, sample: bool = False) -> None:
        if config.tokens == "auto":
            raise StateError("the size of batches was not resolved", expected="a number of positions", got="auto")
        if encoded.longest > config.tokens:
            raise ConfigError(
                "a pair is larger than a whole batch may be",
                expected=f"every side within the {config.tokens} positions of a batch",
                got=f"a side of {encoded.longest} pieces",
                where="tokens of the batches",
                fix="raise it, or lower max_source_length and max_target_length of the codec",
            )
        self._encoded, self._codec, self._config, self._seed, self._sample = encoded, codec, config, seed, sample
        self._tokens = config.tokens
        if sample and len(encoded):
            encoded.block(0, 1, text=True)

    def epoch(self, epoch: int, start: int = 0) -> Iterator[Batch]:
        """Yield the batches of an epoch, without the first `start` ones, of which only lengths are read (and, sampling, made anew)."""
        before = 0
        for pool in self._pools(epoch):
            plan = self._plan(pool, epoch)
            if before + len(plan) > start:
                yield from self._pool_batches(pool, plan[max(0, start - before) :])
            before += len(plan)

    def batches_in(self, epoch: int) -> int:
        """How many batches an epoch has."""
        return sum(len(self._plan(pool, epoch)) for pool in self._pools(epoch))

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
        for start, stop, time, weight in visits:
            every = np.arange(start, stop)
            shown = chosen(every, time, weight, self._seed, epoch)
            lengths = self._encoded.lengths(start, stop)
            rows.append(np.arange(loaded, loaded + len(every))[shown])
            indices.append(every[shown])
            times.append(np.full(int(shown.sum()), time))
            sources.append(lengths[0][shown])
            targets.append(lengths[1][shown])
            loaded += len(every)
        blocks = tuple((start, stop) for start, stop, _, _ in visits)
        row, index, copy, source, target = (np.concatenate(each) for each in (rows, indices, times, sources, targets))
        pool = _Pool(blocks, row, index, copy, source, target)
        return self._segmented(pool, epoch) if self._sample else pool

    def _segmented(self, pool: _Pool, epoch: int) -> _Pool:
        """The pool in a new segmentation, made a block at a time."""
        seeds = mix(pool.index, self._seed, epoch, _SAMPLING) ^ mix(pool.copy, _SAMPLING)
        parts, loaded = [], 0
        for start, stop in pool.blocks:
            block = self._encoded.block(start, stop, text=True)
            first, last = np.searchsorted(pool.row, [loaded, loaded + stop - start]).tolist()
            rows = pool.row[first:last] - loaded
            pairs = [
                self._segment(block, *pair) for pair in zip(rows.tolist(), seeds[first:last].tolist(), strict=True)
            ]
            source, target = (_small(Ragged.of([pair[side] for pair in pairs])) for side in (0, 1))
            parts.append(Block(source, target, block.weight[rows]))
            loaded += stop - start
        sampled = Block.join(parts)
        row = np.arange(len(pool.row))
        return replace(pool, row=row, source=sampled.source.lengths, target=sampled.target.lengths, sampled=sampled)

    def _segment(self, block: Block, row: int, seed: int) -> tuple[list[int], list[int]]:
        """An example in a random segmentation, or in the usual one if that is too long."""
        example = block.example(row)
        pair = self._codec.source_ids(example, seed >> 32), self._codec.target_ids(example, seed & 0xFFFFFFFF)
        if max(map(len, pair)) <= self._tokens and self._codec.fits(*pair):
            return pair
        return block.source.row(row).tolist(), block.target.row(row).tolist()

    def _plan(self, pool: _Pool, epoch: int) -> list[Index]:
        """The batches of a pool: positions in it."""
        random = mix(pool.index, self._seed, epoch, _SORTING) ^ mix(pool.copy, _SORTING)
        longest = np.maximum(pool.source, pool.target)
        order = np.lexsort((random, pool.source, pool.target, longest))
        cuts = self._cuts(longest[order])
        batches = [order[start:stop] for start, stop in pairwise(cuts)]
        shuffled = np.argsort(random[order[cuts[:-1]]], kind="stable")
        return [batches[number] for number in shuffled]

    def _cuts(self, width: Index) -> list[int]:
        """Where to cut ascending widths so that each batch has as many rows as the budget allows."""
        cuts, total = [0], len(width)
        while cuts[-1] < total:
            start = cuts[-1]
            most = self._tokens // int(width[start])
            if self._config.max_rows is not None:
                most = min(most, self._config.max_rows)
            following = width[start : start + most]
            fitting = following * np.arange(1, len(following) + 1) <= self._tokens
            cuts.append(start + int(fitting.sum()))
        return cuts

    def _pool_batches(self, pool: _Pool, plan: list[Index]) -> Iterator[Batch]:
        """Load a pool and yield its batches; the pool leaves memory before the next one is loaded."""
        block = pool.sampled or Block.join([self._encoded.block(start, stop) for start, stop in pool.blocks])
        for rows in plan:
            yield collate(block, pool.row[rows], pool.index[rows], self._codec.config.frame.start)


def _small(rows: Ragged) -> Ragged:
    """The same rows in half the memory."""
    return Ragged(rows.flat.astype(np.int32), rows.offsets)
