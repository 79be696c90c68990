"""A corpus in shards: nothing lost, nothing twice, and a manifest that is believed only where the bytes are its."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from isthmus.core.errors import ConfigError, DataError, InputError
from isthmus.data.example import Example
from isthmus.data.pairs import Pairs, read
from isthmus.data.shards import MANIFEST, Manifest, divide
from tests.unit.data.toy import random_rows, tsv


def corpus_in(folder: Path, count: int, shards: int, name: str = "shards") -> tuple[list[Example], Manifest]:
    pairs = tsv(folder / "pairs.tsv", random_rows(count, seed=count))
    return list(read(pairs)), divide(pairs, folder / name, shards)


def held(manifest: Manifest) -> list[list[Example]]:
    return [list(read(Pairs(manifest.folder / shard.file))) for shard in manifest.shards]


@settings(max_examples=25, deadline=None)
@given(count=st.integers(1, 97), shards=st.integers(1, 13), data=st.data())
def test_every_pair_is_in_one_shard_and_every_shard_in_one_lane(
    tmp_path_factory: pytest.TempPathFactory, count: int, shards: int, data: st.DataObject
) -> None:
    shards = min(shards, count)
    examples, manifest = corpus_in(tmp_path_factory.mktemp("corpus"), count, shards)
    parts = held(manifest)
    assert sorted(str(example) for part in parts for example in part) == sorted(map(str, examples))
    assert [len(part) for part in parts] == [shard.pairs for shard in manifest.shards]
    assert max(map(len, parts)) - min(map(len, parts)) <= 1
    assert manifest.pairs == count
    lanes = data.draw(st.integers(1, shards))
    files = [file for number in range(lanes) for file in manifest.lane(number, lanes)]
    assert sorted(files) == [manifest.folder / shard.file for shard in manifest.shards]
    assert Manifest.load(manifest.folder / MANIFEST) == manifest


def test_shards_are_samples_of_the_whole(tmp_path: Path) -> None:
    pairs = tsv(tmp_path / "pairs.tsv", [(str(number), "x") for number in range(1000)])
    for part in held(divide(pairs, tmp_path / "shards", 5)):
        numbers = [int(example.source) for example in part]
        assert [number // 5 for number in numbers] == list(range(200))  # one of every five in a row
        assert all(15 < sum(number % 5 == rest for number in numbers) < 65 for rest in range(5))  # never the same one


def test_the_same_corpus_gives_the_same_bytes(tmp_path: Path) -> None:
    _, one = corpus_in(tmp_path, 53, 3, "one")
    _, other = corpus_in(tmp_path, 53, 3, "other")
    assert one.shards == other.shards
    assert one.fingerprint == other.fingerprint


def test_all_fields_come_back(tmp_path: Path) -> None:
    fields = {
        "source": "ä\u2028b",
        "source2": "c",
        "target": "d",
        "context": ["e", "f"],
        "weight": 0.5,
        "document": "g",
    }
    (tmp_path / "pairs.jsonl").write_text(json.dumps(fields) + "\n", encoding="utf-8")
    made = divide(Pairs(tmp_path / "pairs.jsonl"), tmp_path / "shards", 1)
    assert held(made) == [[Example.from_fields(fields)]]


def test_more_shards_than_pairs_leave_nothing_behind(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="more shards than pairs"):
        corpus_in(tmp_path, 3, 5)
    assert [path.name for path in tmp_path.iterdir()] == ["pairs.tsv"]


@pytest.mark.parametrize("count", [0, -1, 513])
def test_a_number_of_shards_that_cannot_be(tmp_path: Path, count: int) -> None:
    with pytest.raises(InputError, match="too many shards, or none"):
        corpus_in(tmp_path, 3, count)


def test_a_folder_that_is_not_free_stays_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "shards").mkdir()
    (tmp_path / "shards" / "mine").write_text("x", encoding="utf-8")
    with pytest.raises(InputError, match="nothing replaced"):
        corpus_in(tmp_path, 5, 2)
    assert [path.name for path in (tmp_path / "shards").iterdir()] == ["mine"]


def test_more_lanes_than_shards(tmp_path: Path) -> None:
    _, manifest = corpus_in(tmp_path, 5, 2)
    with pytest.raises(ConfigError, match="shards of its own"):
        manifest.lane(0, 3)


def test_a_shard_that_is_another_one_or_missing(tmp_path: Path) -> None:
    _, manifest = corpus_in(tmp_path, 5, 2)
    one, other = manifest.lane(0, 1)
    manifest.check(one)
    one.write_bytes(other.read_bytes())
    with pytest.raises(DataError, match="not the one that the manifest lists"):
        manifest.check(one)
    one.unlink()
    with pytest.raises(InputError, match="a shard does not exist"):
        manifest.check(one)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "no manifest"),
        ("[]", "no manifest"),
        ('{"format": 2, "shards": []}', "of another format"),
        ('{"format": 1, "shards": []}', "shards"),
        ('{"format": 1, "shards": [{"file": "a", "pairs": 0, "sha256": ""}]}', "pairs"),
        ('{"format": 1, "shrads": []}', "did you mean `shards`"),
    ],
)
def test_what_is_no_manifest(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / MANIFEST).write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError, match=message):
        Manifest.load(tmp_path / MANIFEST)
