"""Corpora of a recipe: halves, held-out parts, dialogues, and questions with several references."""

from __future__ import annotations

from pathlib import Path

import pytest

from isthmus.core.errors import ConfigError, InputError
from isthmus.core.team import Team
from isthmus.data.corpora import with_history
from isthmus.data.example import Example
from isthmus.data.pairs import Pairs
from isthmus.data.shards import divide
from isthmus.workflows.prepare import codec_of, corpora, longest_side, prepare, questions
from isthmus.workflows.recipe import Recipe


def recipe(folder: Path, **data: object) -> Recipe:
    lines = [f"word{number % 53}\tanswer {number}\n" for number in range(211)]
    (folder / "pairs.tsv").write_text("".join(lines), encoding="utf-8")
    table = {"data": {"train": [{"source": "pairs.tsv"}], "root": str(folder), **data}, "train": {"steps": 1}}
    return Recipe.of(table, "test")


def test_a_held_out_part_shares_no_source_with_the_rest_and_is_remembered(tmp_path: Path) -> None:
    given = recipe(tmp_path)
    found = corpora(given, tmp_path, tmp_path / "run")
    train = [example.source for example in found.train[0].examples()]
    dev = [example.source for example in found.dev.examples()]
    assert len(train) + len(dev) == 211
    assert dev
    assert not set(train) & set(dev)
    (tmp_path / "pairs.tsv").write_text("another\tfile\n", encoding="utf-8")
    assert corpora(given, tmp_path, tmp_path / "run").dev.part == found.dev.part


def test_two_halves_of_a_file_are_the_file(tmp_path: Path) -> None:
    both = [{"source": "pairs.tsv", "half": half} for half in ("first", "second")]
    found = corpora(recipe(tmp_path, dev=both[0], test=both[1]), tmp_path, tmp_path / "run")
    assert found.test is not None
    first = {example.source for example in found.dev.examples()}
    second = {example.source for example in found.test.examples()}
    assert first
    assert second
    assert not first & second
    assert first | second == {example.source for example in found.train[0].examples()}


def test_joined_pairs_of_all_sets(tmp_path: Path) -> None:
    files = {"source": "pairs.tsv", "join": 4}
    given = recipe(tmp_path, train=[files], dev={**files, "half": "first"}, test={**files, "join": 2})
    found = corpora(given, tmp_path, tmp_path / "run")
    assert found.test is not None
    counts = [
        [example.source.count("word") for example in one.examples()] for one in (found.train[0], found.dev, found.test)
    ]
    assert sum(counts[0]) == sum(counts[2]) == 211
    assert [each[:5] for each in counts] == [[1, 2, 3, 4, 1], [1, 2, 3, 4, 1], [1, 2, 1, 2, 1]]


def test_a_half_for_training_needs_a_dev_set(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be divided once more"):
        corpora(recipe(tmp_path, train=[{"source": "pairs.tsv", "half": "first"}]), tmp_path, tmp_path / "run")


def in_shards(folder: Path, accumulate: int, **data: object) -> Recipe:
    recipe(folder)
    (folder / "dev.tsv").write_text("word\tanswer\n", encoding="utf-8")
    if not (folder / "shards").exists():
        divide(Pairs(folder / "pairs.tsv"), folder / "shards", 5)
    table = {"root": str(folder), "dev": {"source": "dev.tsv"}, "shards": "shards/manifest.json", **data}
    tokenizer = {"joint": True, "source": {"kind": "symbols"}}
    return Recipe.of({"data": table, "tokenizer": tokenizer, "train": {"steps": 1, "accumulate": accumulate}}, "test")


def test_a_process_reads_its_own_shards_only(tmp_path: Path) -> None:
    given, run = in_shards(tmp_path, 4), tmp_path / "run"
    found = corpora(given, tmp_path, run)
    assert [len(lane) for lane in found.lanes] == [2, 1, 1, 1]
    assert found.train == found.lanes[0]
    codec = codec_of(given, found.train, run)
    whole = prepare(given, found, codec, run)
    assert [len(one) for one in whole.own] == [
        sum(1 for corpus in lane for _ in corpus.examples()) for lane in found.lanes
    ]
    assert whole.pairs == 211
    for corpus in (*found.lanes[0], *found.lanes[2]):
        corpus.pairs.source.unlink()
    second = prepare(given, found, codec, tmp_path / "elsewhere", Team(1, 2))
    assert [one is not None for one in second.encoded] == [False, True, False, True]
    assert second.identity == whole.identity
    assert longest_side(given, second) == longest_side(given, whole)
    with pytest.raises(InputError, match="a shard does not exist"):
        prepare(given, found, codec, tmp_path / "elsewhere", Team(0, 2))


def test_other_shards_are_other_data(tmp_path: Path) -> None:
    given, run = in_shards(tmp_path, 1), tmp_path / "run"
    found = corpora(given, tmp_path, run)
    codec = codec_of(given, found.train, run)
    divide(Pairs(tmp_path / "pairs.tsv"), tmp_path / "others", 5, seed=2)
    other = corpora(in_shards(tmp_path, 1, shards="others/manifest.json"), tmp_path, run)
    assert prepare(given, other, codec, run).identity != prepare(given, found, codec, run).identity


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"train": [{"source": "pairs.tsv"}]}, "named in one way"),
        ({"shards": None}, "named in one way"),
        ({"dev": None}, "nothing is held out of a corpus in shards"),
    ],
)
def test_training_pairs_are_named_in_one_way(tmp_path: Path, data: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        in_shards(tmp_path, 1, **data)


def test_fewer_shards_than_batches_of_an_update(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="shards of its own"):
        corpora(in_shards(tmp_path, 6), tmp_path, tmp_path / "run")


def test_the_history_of_a_document_is_what_stands_before_in_it() -> None:
    documents = ["a", "a", "a", "b", "b", "", ""]
    examples = [Example((str(number),), "", document=name) for number, name in enumerate(documents)]
    contexts = [example.context for example in with_history(examples, 2, "document")]
    assert contexts == [(), ("0",), ("0", "1"), (), ("3",), (), ()]


def test_the_history_of_a_line_is_none_one_or_more_lines_in_turn() -> None:
    examples = [Example((str(number),), "") for number in range(6)]
    contexts = [example.context for example in with_history(examples, 2, "line")]
    assert contexts == [(), ("0",), ("0", "1"), (), ("3",), ("3", "4")]


def test_the_history_of_a_dialogue_is_its_last_turns_oldest_first() -> None:
    turns = [("a", "b"), ("b", "c"), ("c", "d"), ("d", "e"), ("x", "y"), ("y", "z")]
    examples = [Example((source,), target) for source, target in turns]
    contexts = [example.context for example in with_history(examples, 2)]
    assert contexts == [(), ("a",), ("a", "b"), ("b", "c"), (), ("x",)]


def test_equal_sources_with_equal_contexts_are_one_question() -> None:
    examples = [
        Example(("one",), "un"),
        Example(("two",), "deux"),
        Example(("one",), "une"),
        Example(("one",), "l'un", context=("before",)),
    ]
    asked = questions(examples)
    assert asked.references == (("un", "une"), ("deux",), ("l'un",))
    assert [(one.source, one.context) for one in asked.examples] == [("one", ()), ("two", ()), ("one", ("before",))]
    assert asked.first(2).references == (("un", "une"), ("deux",))
