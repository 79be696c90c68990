"""A corpus in shards: files that a manifest lists, so that it may be larger than any one disk, and each process reads its own share.

Every shard is a sample of the whole: example after example is dealt out in random turns. Training takes them in lanes (`train.lanes`):
a lane has every n-th shard, which no other lane reads.
"""

from __future__ import annotations

import gzip
import hashlib
import json
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Annotated

import numpy as np
from pydantic import Field, PositiveInt

from isthmus.core.config import Config, parse
from isthmus.core.errors import ConfigError, DataError, InputError
from isthmus.core.files import existing_file, free_place, new_folder, sha256, write_json
from isthmus.data.example import Example
from isthmus.data.hashes import mix
from isthmus.data.pairs import Pairs, read

FORMAT = 1
"""Version of the manifest."""
MANIFEST = "manifest.json"
MOST = 512
"""So many files can be written side by side."""


class Shard(Config):
    """One file of a corpus.

    Attributes:
        file: JSON Lines or TSV, plain or `.gz`, named from the folder of the manifest.
        pairs: how many it holds.
        sha256: of its bytes.
    """

    file: str
    pairs: PositiveInt
    sha256: Annotated[str, Field(pattern="^[0-9a-f]{64}$")]


class _Listed(Config):
    """What a manifest's file says."""

    format: int
    shards: Annotated[tuple[Shard, ...], Field(min_length=1)]


@dataclass(frozen=True, slots=True)
class Manifest:
    """The shards of a corpus.

    Attributes:
        folder: what their names start from.
        shards: in their order.
    """

    folder: Path
    shards: tuple[Shard, ...]

    @classmethod
    def load(cls, path: Path) -> Manifest:
        """Read a manifest; its shards need not be on this machine.

        Raises:
            InputError: it is missing or a folder.
            ConfigError: it is not a manifest, or of a newer format.
        """
        try:
            values = json.loads(existing_file(path, "the manifest").read_text(encoding="utf-8"))
        except ValueError as error:
            raise _no_manifest(path, str(error)) from None
        if not isinstance(values, dict):
            raise _no_manifest(path, type(values).__name__)
        if values.get("format", FORMAT) != FORMAT:
            raise ConfigError(
                "a manifest is of another format",
                expected=f"format = {FORMAT}",
                got=f"format = {values['format']}",
                where=str(path),
                fix="use the version of Isthmus that it was written for",
            )
        return cls(path.parent, parse(_Listed, values, str(path)).shards)

    def save(self) -> None:
        """Write the manifest into its folder."""
        write_json(
            self.folder / MANIFEST,
            {"format": FORMAT, "shards": [shard.model_dump(mode="json") for shard in self.shards]},
        )

    @property
    def pairs(self) -> int:
        """How many pairs there are."""
        return sum(shard.pairs for shard in self.shards)

    @property
    def fingerprint(self) -> str:
        """A hash of what all shards hold, in their order."""
        return hashlib.sha256(json.dumps([shard.sha256 for shard in self.shards]).encode()).hexdigest()

    def lane(self, number: int, lanes: int) -> tuple[Path, ...]:
        """The files of one of so many lanes: every `lanes`-th shard.

        Raises:
            ConfigError: there are more lanes than shards.
        """
        if lanes > len(self.shards):
            raise ConfigError(
                "each batch of an update is read from shards of its own",
                expected=f"at most {len(self.shards)} batches an update, the number of shards",
                got=f"accumulate = {lanes}",
                where="train.accumulate",
                fix="divide the corpus into more shards",
            )
        return tuple(self.folder / shard.file for shard in self.shards[number::lanes])

    def check(self, file: Path) -> None:
        """Compare a shard with what the manifest says of it.

        Raises:
            InputError: it is not on this machine.
            DataError: it is another one.
        """
        found = sha256(existing_file(file, "a shard"))
        expected = next(shard.sha256 for shard in self.shards if self.folder / shard.file == file)
        if found != expected:
            raise DataError(
                "a shard is not the one that the manifest lists",
                expected=f"SHA-256 {expected[:12]}...",
                got=f"{found[:12]}...",
                where=str(file),
                fix="copy it again, or divide the corpus again",
            )


def divide(pairs: Pairs, folder: Path, count: int, seed: int = 1) -> Manifest:
    """Divide a corpus into `count` shards of as many pairs, give or take one, and list them in `folder/manifest.json`.

    Memory does not grow with the corpus; the same corpus, count and seed give the same bytes.

    Args:
        pairs: the corpus.
        folder: a new one.
        count: how many shards; many more than processes will ever train together.
        seed: of the turns in which pairs are dealt out.

    Raises:
        InputError: the folder is not free, a file is missing, there are more shards than pairs, or too many.
        DataError: the corpus cannot be read.
    """
    free_place(folder)
    if not 1 <= count <= MOST:
        raise InputError(
            "too many shards, or none", expected=f"1 to {MOST}", got=str(count), where="the number of shards"
        )
    examples = read(pairs)
    names = [f"shard-{number:05d}.jsonl.gz" for number in range(count)]
    with new_folder(folder) as temporary:
        with ExitStack() as stack:
            files = [stack.enter_context(_compressed(temporary / name)) for name in names]
            held = _deal(examples, files, seed)
        if 0 in held:
            raise InputError(
                "there are more shards than pairs",
                expected=f"at most {sum(held)} shards",
                got=str(count),
                where=str(pairs),
                fix="name fewer",
            )
        shards = [
            Shard(file=name, pairs=number, sha256=sha256(temporary / name))
            for name, number in zip(names, held, strict=True)
        ]
        Manifest(temporary, tuple(shards)).save()
    return Manifest(folder, tuple(shards))


def _deal(examples: Iterator[Example], files: Sequence[gzip.GzipFile], seed: int) -> list[int]:
    """Write as many examples in a row as there are files, one into each, in turns that are drawn anew; how many each file got."""
    held, round_ = [0] * len(files), 0
    while dealt := list(islice(examples, len(files))):
        turns = mix(np.arange(len(files)), seed, round_).argsort(kind="stable").tolist()
        for example, place in zip(dealt, turns, strict=False):
            files[place].write(json.dumps(example.fields(), ensure_ascii=False).encode() + b"\n")
            held[place] += 1
        round_ += 1
    return held


def _compressed(path: Path) -> gzip.GzipFile:
    """A `.gz` file whose bytes do not tell when it was written."""
    return gzip.GzipFile(path, "wb", compresslevel=6, mtime=0)


def _no_manifest(path: Path, got: str) -> ConfigError:
    return ConfigError(
        "this is no manifest of shards",
        expected="what `isthmus shard` writes",
        got=got,
        where=str(path),
        fix="name the manifest.json of a corpus in shards",
    )
