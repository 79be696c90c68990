from __future__ import annotations

import logging
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from isthmus.core.errors import DataError
from isthmus.data.batches import BatchConfig, Batches
from isthmus.data.cache import Encoded, Span, encode
from isthmus.data.codec import CodecConfig
from isthmus.data.corpora import Corpus
from isthmus.data.filters import FilterConfig
from isthmus.data.pairs import Pairs
from isthmus.data.ragged import Ragged, RaggedFile, RaggedWriter
from isthmus.data.split import hold_out
from tests.unit.data.toy import characters, codec, corpus, tsv

NO_FILTERS = FilterConfig(empty=False)
ROWS = st.lists(st.lists(st.integers(0, 300), max_size=5), max_size=11)


@given(ROWS, ROWS, st.data())
def test_rows_come_back_from_the_disk(
    tmp_path_factory: pytest.TempPathFactory, first: list[list[int]], second: list[list[int]], data: st.DataObject
) -> None:
    path = tmp_path_factory.mktemp("ragged") / "ids"
    with RaggedWriter(path, np.uint16) as writer:
        writer.append(first)
        writer.append(second)
    rows = first + second
    assert writer.total == sum(map(len, rows))
    start = data.draw(st.integers(0, len(rows)))
    stop = data.draw(st.integers(start, len(rows)))
    found = RaggedFile(path, np.dtype(np.uint16), len(rows)).read(start, stop)
    assert [found.row(number).tolist() for number in range(len(found))] == rows[start:stop]
    assert found.lengths.tolist() == [len(row) for row in rows[start:stop]]


@given(ROWS, st.data())
def test_padded_rows_are_the_rows(rows: list[list[int]], data: st.DataObject) -> None:
    wanted = data.draw(st.lists(st.integers(0, len(rows) - 1), max_size=7)) if rows else []
    middle = len(rows) // 2
    ragged = Ragged.join([Ragged.of(rows[:middle]), Ragged.of(rows[middle:])])
    stacked, lengths = ragged.padded(np.array(wanted, dtype=np.int64))
    assert stacked.shape == (len(wanted), max((len(rows[number]) for number in wanted), default=0))
    assert [row[:length].tolist() for row, length in zip(stacked, lengths, strict=True)] == [rows[n] for n in wanted]
    assert not any(row[length:].any() for row, length in zip(stacked, lengths, strict=True))


def ids(encoded: Encoded) -> list[tuple[list[int], list[int]]]:
    block = encoded.block(0, len(encoded))
    return [(block.source.row(n).tolist(), block.target.row(n).tolist()) for n in range(len(encoded))]


def test_the_cache_holds_what_the_codec_gives(tmp_path: Path) -> None:
    made = codec()
    corpora = [corpus(tmp_path / "a.tsv", 13), corpus(tmp_path / "b.tsv", 7, 2.5, seed=1)]
    encoded = encode(corpora, made, NO_FILTERS, tmp_path / "cache", keep_text=True)
    examples = [example for one in corpora for example in one.examples()]
    assert ids(encoded) == made.pairs(examples)
    assert encoded.spans == (Span(0, 13, 1.0), Span(13, 20, 2.5))
    assert [encoded.block(5, 17, text=True).example(row) for row in range(12)] == examples[5:17]
    source, target = encoded.lengths(3, 11)
    assert [source.tolist(), target.tolist()] == [
        [len(e.source) + 1 for e in examples[3:11]],
        [len(e.target) + 1 for e in examples[3:11]],
    ]
    assert encoded.longest == max(max(len(e.source), len(e.target)) for e in examples) + 1
    assert encoded.pieces == (sum(len(e.source) + 1 for e in examples), sum(len(e.target) + 1 for e in examples))


def test_weights_and_named_fields_are_kept(tmp_path: Path) -> None:
    header = ("source", "target", "weight", "context")
    pairs = tsv(tmp_path / "a.tsv", [header, ("a", "b", "0.5", "x ||| y"), ("c", "d", "2", "")])
    encoded = encode([Corpus(pairs)], codec(), NO_FILTERS, tmp_path / "cache", keep_text=True)
    block = encoded.block(0, 2, text=True)
    assert block.weight.tolist() == [0.5, 2.0]
    assert block.example(0).context == ("x", "y")


def test_target_pieces_are_counted_as_often_as_an_epoch_shows_them(tmp_path: Path) -> None:
    corpora = (corpus(tmp_path / "one.tsv", 53, 0.5, seed=1), corpus(tmp_path / "two.tsv", 31, 2.0, seed=2))
    made, size = codec(), codec().target.vocabulary.size
    counts = encode(corpora, made, FilterConfig(empty=False), tmp_path / "cache").target_counts(size)
    expected = [0.0] * size
    for one in corpora:
        for example in one.examples():
            for id in made.target_ids(example):
                expected[id] += one.weight
    assert counts.tolist() == expected


def test_dropped_pairs_are_counted(tmp_path: Path) -> None:
    pairs = tsv(tmp_path / "a.tsv", [("abc", "a"), ("abcd", "a"), ("a", "abcde"), ("", "a"), ("a", "a")])
    short = codec(config=CodecConfig(max_source_length=4, max_target_length=5))
    encoded = encode([Corpus(pairs)], short, FilterConfig(identical=True), tmp_path / "cache")
    assert encoded.dropped == {"empty": 1, "identical": 1, "too_long": 2}
    assert len(encoded) == 1


def test_a_part_of_a_corpus_is_encoded(tmp_path: Path) -> None:
    whole = corpus(tmp_path / "a.tsv", 101)
    part = hold_out(whole.examples(), 17, 0.5)
    counts = [
        len(encode([Corpus(whole.pairs, part=one)], codec(), NO_FILTERS, tmp_path / "cache"))
        for one in (part, part.rest)
    ]
    assert counts == [17, 84]


def test_the_same_inputs_are_found_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one = corpus(tmp_path / "a.tsv", 13)
    first = encode([one], codec(), NO_FILTERS, tmp_path / "cache")
    monkeypatch.setattr(Corpus, "examples", lambda self: pytest.fail("the corpus was read again"))
    again = encode([Corpus(one.pairs, 3.0)], codec(), NO_FILTERS, tmp_path / "cache")
    assert again.folder == first.folder
    assert again.spans == (Span(0, 13, 3.0),)
    assert (again.dropped, again.longest, again.pieces) == (first.dropped, first.longest, first.pieces)


def test_any_other_input_is_another_cache(tmp_path: Path) -> None:
    one, cache = corpus(tmp_path / "a.tsv", 13), tmp_path / "cache"
    part = hold_out(one.examples(), 5, 0.5)
    made = [
        encode([one], codec(), NO_FILTERS, cache),
        encode([one], codec(), NO_FILTERS, cache, keep_text=True),
        encode([one], codec(), FilterConfig(), cache),
        encode([one], codec(characters(["fr"])), NO_FILTERS, cache),
        encode([one], codec(config=CodecConfig(max_source_length=512)), NO_FILTERS, cache),
        encode([Corpus(one.pairs, part=part)], codec(), NO_FILTERS, cache),
        encode([one, one], codec(), NO_FILTERS, cache),
        encode([Corpus(one.pairs, join=2)], codec(), NO_FILTERS, cache),
        encode([Corpus(one.pairs, join=3)], codec(), NO_FILTERS, cache),
        encode([Corpus(Pairs(one.pairs.source, target_language="fr"))], codec(), NO_FILTERS, cache),
        encode([corpus(tmp_path / "a.tsv", 13, seed=1)], codec(), NO_FILTERS, cache),
    ]
    assert len({encoded.folder for encoded in made}) == len(made)


@pytest.mark.parametrize("name", ["source.flat", "target.offsets", "weight.flat", "about.json"])
@pytest.mark.parametrize("damage", ["short", "changed", "missing"])
def test_a_damaged_cache_is_written_again(
    tmp_path: Path, name: str, damage: str, caplog: pytest.LogCaptureFixture
) -> None:
    one = corpus(tmp_path / "a.tsv", 13)
    first = encode([one], codec(), NO_FILTERS, tmp_path / "cache")
    expected = ids(first)
    path = first.folder / name
    data = path.read_bytes()
    if damage == "missing":
        path.unlink()
    else:
        path.write_bytes(data[:-5] if damage == "short" else bytes([data[0] ^ 1]) + data[1:])
    with caplog.at_level(logging.WARNING, "isthmus"):
        again = encode([one], codec(), NO_FILTERS, tmp_path / "cache")
    assert ids(again) == expected
    assert path.read_bytes() == data
    assert ("damaged" in caplog.text) == ((name, damage) != ("about.json", "missing"))
    assert [item.name for item in (tmp_path / "cache").iterdir()] == [first.folder.name]


def test_a_broken_corpus_leaves_nothing(tmp_path: Path) -> None:
    pairs = tsv(tmp_path / "a.tsv", [("a", "b"), ("c",)])
    with pytest.raises(DataError, match="wrong number of columns"):
        encode([Corpus(pairs)], codec(), NO_FILTERS, tmp_path / "cache")
    assert not list((tmp_path / "cache").iterdir())


def test_a_corpus_of_which_nothing_is_left_is_an_error(tmp_path: Path) -> None:
    corpora = [corpus(tmp_path / "a.tsv", 3), Corpus(tsv(tmp_path / "b.tsv", [("", "b"), ("", "c")]))]
    with pytest.raises(DataError, match=r"2 pairs, all left out \(so far: empty 2\)") as caught:
        encode(corpora, codec(), FilterConfig(), tmp_path / "cache")
    assert caught.value.where.endswith("b.tsv")


def test_text_that_was_not_kept_cannot_be_read(tmp_path: Path) -> None:
    encoded = encode([corpus(tmp_path / "a.tsv", 3)], codec(), NO_FILTERS, tmp_path / "cache")
    with pytest.raises(DataError, match="keep_text=True"):
        encoded.block(0, 1, text=True)


@pytest.mark.parametrize("count", [20_000, pytest.param(200_000, marks=pytest.mark.slow)])
def test_memory_does_not_grow_with_the_corpus(tmp_path: Path, count: int) -> None:
    path = tmp_path / "a.tsv"
    with path.open("w") as file:
        file.writelines(synthetic(count))
    made = codec()
    tracemalloc.start()
    encoded = encode([Corpus(Pairs(path))], made, NO_FILTERS, tmp_path / "cache", keep_text=True)
    batches = Batches(encoded, made, BatchConfig(pool=16_384), 1)
    assert sum(len(batch.index_B) for batch in batches.epoch(0)) == count
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 8 * 2**20


def synthetic(count: int) -> Iterator[str]:
    for number in range(count):
        yield f"{number * 7919 % 99991} abc\t{number} abcdef\n"
