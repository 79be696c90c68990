from __future__ import annotations

import tempfile
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from isthmus.core.errors import ConfigError, DataError
from isthmus.core.padded import Padded
from isthmus.data.batch import Batch, real_share
from isthmus.data.batches import BatchConfig, Batches
from isthmus.data.cache import Encoded, encode
from isthmus.data.codec import Codec
from isthmus.data.corpora import Corpus
from isthmus.data.filters import FilterConfig
from isthmus.text.vocabulary import BOS
from tests.unit.data.toy import Doubling, characters, codec, corpus, random_rows, tsv

LONGEST = 12
"""Of any side of the random pairs, with EOS."""


def encoded(folder: Path, *sizes: int, weights: tuple[float, ...] = (), keep_text: bool = False) -> Encoded:
    corpora = [
        corpus(folder / f"{number}.tsv", size, weight, seed=number)
        for number, (size, weight) in enumerate(zip(sizes, weights or (1.0,) * len(sizes), strict=True))
    ]
    return encode(corpora, codec(), FilterConfig(empty=False), folder / "cache", keep_text)


def equal(one: Batch, other: Batch) -> bool:
    sides = ((one.source, other.source), (one.target_in, other.target_in), (one.target, other.target))
    same = all(torch.equal(a.ids_BT, b.ids_BT) and torch.equal(a.lengths_B, b.lengths_B) for a, b in sides)
    return same and torch.equal(one.weight_B, other.weight_B) and torch.equal(one.index_B, other.index_B)


def naive(batch: Batch, made: Codec, pairs: list[tuple[list[int], list[int]]]) -> Batch:
    """The batch again, from lists."""
    chosen = [pairs[index] for index in batch.index_B.tolist()]
    return Batch(
        Padded.of([source for source, _ in chosen]),
        Padded.of([[BOS, *target[:-1]] for _, target in chosen]),
        Padded.of([target for _, target in chosen]),
        torch.ones(len(chosen)),
        batch.index_B,
    )


@settings(max_examples=60)
@given(
    size=st.integers(1, 97),
    tokens=st.integers(LONGEST, 131),
    max_rows=st.none() | st.integers(1, 5),
    pool=st.integers(1, 120) | st.sampled_from([256, 257, 2**18]),
    start=st.integers(0, 40),
    epoch=st.integers(0, 3),
)
def test_every_example_comes_exactly_once(
    size: int, tokens: int, max_rows: int | None, pool: int, start: int, epoch: int
) -> None:
    with tempfile.TemporaryDirectory() as name:
        made = Batches(encoded(Path(name), size), codec(), BatchConfig(tokens=tokens, max_rows=max_rows, pool=pool), 3)
        every = list(made.epoch(epoch))
        assert sorted(index for batch in every for index in batch.index_B.tolist()) == list(range(size))
        assert made.batches_in(epoch) == len(every)
        for batch in every:
            rows, width = len(batch.index_B), max(batch.source.ids_BT.shape[1], batch.target.ids_BT.shape[1])
            assert rows * width <= tokens
            assert max_rows is None or rows <= max_rows
        resumed = list(made.epoch(epoch, start))
        assert len(resumed) == max(0, len(every) - start)
        assert all(equal(one, other) for one, other in zip(resumed, every[start:], strict=True))


def test_a_batch_holds_what_the_codec_gives(tmp_path: Path) -> None:
    made = codec()
    corpora = [corpus(tmp_path / "a.tsv", 101)]
    pairs = made.pairs(list(corpora[0].examples()))
    batches = Batches(encode(corpora, made, FilterConfig(empty=False), tmp_path), made, BatchConfig(tokens=89), 5)
    for batch in batches.epoch(0):
        assert equal(batch, naive(batch, made, pairs))
        assert batch.weight_B.dtype == torch.float32
        assert batch.source.ids_BT.dtype == batch.index_B.dtype == torch.int64


def test_the_order_depends_on_seed_and_epoch_only(tmp_path: Path) -> None:
    source = encoded(tmp_path, 211)

    def order(seed: int, epoch: int) -> list[list[int]]:
        batches = Batches(source, codec(), BatchConfig(tokens=61, pool=67), seed)
        return [batch.index_B.tolist() for batch in batches.epoch(epoch)]

    assert order(1, 2) == order(1, 2)
    assert order(1, 2) != order(1, 3)
    assert order(1, 2) != order(2, 2)


def test_the_order_is_frozen(tmp_path: Path) -> None:
    batches = Batches(encoded(tmp_path, 23), codec(), BatchConfig(tokens=37, pool=11), 7)
    first = [batch.index_B.tolist() for batch in islice(batches.epoch(1), 3)]
    assert first == [[2, 1, 5], [11, 8], [15, 19, 10]]


def test_blocks_and_batches_are_shuffled(tmp_path: Path) -> None:
    batches = Batches(encoded(tmp_path, 1009), codec(), BatchConfig(tokens=61, pool=128), 7)
    found = list(batches.epoch(0))
    position = np.concatenate([batch.index_B.numpy() for batch in found])
    assert abs(np.corrcoef(position, np.arange(1009))[0, 1]) < 0.2
    width = [batch.source.ids_BT.shape[1] for batch in found]
    assert abs(np.corrcoef(width, np.arange(len(found)))[0, 1]) < 0.2


def test_sorting_leaves_little_padding(tmp_path: Path) -> None:
    source = encoded(tmp_path, 1009)
    small_pools = Batches(source, codec(), BatchConfig(tokens=61, pool=10), 7)
    assert (
        real_share(Batches(source, codec(), BatchConfig(tokens=61), 7).epoch(0))
        > 0.9
        > real_share(small_pools.epoch(0))
    )


def test_the_share_of_real_positions_is_that_of_all_batches_together() -> None:
    def batch(source: list[list[int]], target: list[list[int]]) -> Batch:
        sides = Padded.of(source), Padded.of(target), Padded.of(target)
        return Batch(*sides, torch.ones(len(source)), torch.arange(len(source)))

    one, other = batch([[5, 6, 7], [5]], [[8], [8]]), batch([[5]], [[8, 9, 9, 9]])
    assert real_share([one]) == 6 / 8
    assert real_share([one, other]) == 11 / 13


def test_corpora_are_seen_as_often_as_they_weigh(tmp_path: Path) -> None:
    batches = Batches(
        encoded(tmp_path, 31, 53, 17, weights=(2.0, 0.5, 1.0)), codec(), BatchConfig(tokens=47, pool=23), 7
    )

    def counts(epoch: int) -> np.ndarray:
        found = torch.cat([batch.index_B for batch in batches.epoch(epoch)])
        return np.bincount(found.numpy(), minlength=101)

    first, second = counts(0), counts(1)
    assert (first[:31] == 2).all()
    assert (first[31:84] + second[31:84] == 1).all()
    assert (first[84:] == 1).all()


def sampling(folder: Path, tokens: int = 97, longest: int = 11) -> tuple[Batches, Codec]:
    tokenizer = characters()
    made = codec(Doubling(tokenizer.config, tokenizer.vocabulary))
    source = encode(
        [Corpus(tsv(folder / "a.tsv", random_rows(211, longest=longest)), 1.5)], made, FilterConfig(), folder, True
    )
    return Batches(source, made, BatchConfig(tokens=tokens, pool=67), 7, sample=True), made


def test_segmentations_change_from_epoch_to_epoch_and_repeat_with_the_seed(tmp_path: Path) -> None:
    batches, made = sampling(tmp_path)
    plain = Batches(batches._encoded, made, BatchConfig(tokens=97, pool=67), 7)

    def rows(source: Batches, epoch: int) -> dict[int, list[int]]:
        return {
            index: row
            for batch in source.epoch(epoch)
            for index, row in zip(batch.index_B.tolist(), batch.source.rows(), strict=True)
        }

    first, again, second, usual = rows(batches, 0), rows(batches, 0), rows(batches, 2), rows(plain, 0)
    assert first == again
    both = first.keys() & second.keys() & usual.keys()
    assert sum(first[index] != second[index] for index in both) > len(both) / 2
    assert sum(first[index] != usual[index] for index in both) > len(both) / 2


def test_sampling_keeps_the_budget_and_resumes(tmp_path: Path) -> None:
    batches, _ = sampling(tmp_path, tokens=13)
    every = list(batches.epoch(1))
    for batch in every:
        width = max(batch.source.ids_BT.shape[1], batch.target.ids_BT.shape[1])
        assert len(batch.index_B) * width <= 13
    assert all(equal(one, other) for one, other in zip(batches.epoch(1, 29), every[29:], strict=True))


def test_batches_are_as_tight_when_sampling(tmp_path: Path) -> None:
    """They are planned for the segmentations that are shown, not for the usual ones."""
    batches, made = sampling(tmp_path)
    plain = Batches(batches._encoded, made, BatchConfig(tokens=97, pool=67), 7)
    assert real_share(batches.epoch(0)) > real_share(plain.epoch(0)) - 0.05


def test_sampling_without_text_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="keep_text=True"):
        Batches(encoded(tmp_path, 3), codec(), BatchConfig(), 1, sample=True)


def test_a_pair_larger_than_a_batch_is_an_error(tmp_path: Path) -> None:
    source = encode([Corpus(tsv(tmp_path / "a.tsv", [("abcd", "ab")]))], codec(), FilterConfig(), tmp_path)
    assert len(list(Batches(source, codec(), BatchConfig(tokens=5), 1).epoch(0))) == 1
    with pytest.raises(ConfigError, match="got: a side of 5 pieces"):
        Batches(source, codec(), BatchConfig(tokens=4), 1)
