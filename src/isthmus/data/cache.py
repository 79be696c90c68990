"""Encoding a corpus once: ids on disk, read a block at a time, and found again by what made them."""

from __future__ import annotations

import hashlib
import json
import logging
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from isthmus.core.errors import DataError
from isthmus.core.files import existing_file, new_folder, sha256, write_json
from isthmus.data.codec import Codec
from isthmus.data.corpora import Corpus
from isthmus.data.example import Example
from isthmus.data.filters import FilterConfig, Filters
from isthmus.data.ragged import Offsets, Ragged, RaggedFile, RaggedWriter
from isthmus.text.tokenizer import Tokenizer

FORMAT = 1
"""Version of the files of the cache."""

_CHUNK = 2048
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Span:
    """Which examples come from one corpus, and how often they are seen an epoch."""

    start: int
    stop: int
    weight: float


@dataclass(frozen=True, slots=True)
class Block:
    """Some consecutive examples in memory: their ids with EOS, their weights and, where wanted, their text."""

    source: Ragged
    target: Ragged
    weight: npt.NDArray[np.float32]
    text: Ragged | None = None

    @classmethod
    def join(cls, blocks: Sequence[Block]) -> Block:
        """The examples of all the blocks, in order; there is at least one block."""
        texts = [block.text for block in blocks if block.text is not None]
        return cls(
            source=Ragged.join([block.source for block in blocks]),
            target=Ragged.join([block.target for block in blocks]),
            weight=np.concatenate([block.weight for block in blocks]),
            text=Ragged.join(texts) if texts else None,
        )

    def example(self, row: int) -> Example:
        """The fields of one example; the block has its text.

        Raises:
            DataError: the text was not read.
        """
        if self.text is None:
            raise _no_text("a block of examples")
        return Example.from_fields(json.loads(self.text.row(row).tobytes()))


@dataclass(frozen=True, slots=True)
class Encoded:
    """Corpora as ids on disk. Nothing is kept in memory.

    Attributes:
        folder: where the files are.
        source: ids of the sources, with EOS.
        target: ids of the targets, with EOS.
        text: the fields of each example as JSON, if they were kept.
        spans: which examples come from which corpus, in the order of the corpora.
        dropped: how many pairs were left out, by reason: the names of the filters, and `too_long`.
        longest: the longest side of any example, in pieces.
        pieces: the number of all source pieces, and of all target pieces.
    """

    folder: Path
    source: RaggedFile
    target: RaggedFile
    text: RaggedFile | None
    spans: tuple[Span, ...]
    dropped: Mapping[str, int]
    longest: int
    pieces: tuple[int, int]

    def __len__(self) -> int:
        return self.source.rows

    def lengths(self, start: int, stop: int) -> tuple[Offsets, Offsets]:
        """The numbers of source and of target pieces of examples `start` to before `stop`."""
        return np.diff(self.source.offsets(start, stop)), np.diff(self.target.offsets(start, stop))

    def block(self, start: int, stop: int, text: bool = False) -> Block:
        """The ids and weights of examples `start` to before `stop`, and their text if asked for.

        Raises:
            DataError: the text is asked for, but was not kept.
        """
        if text and self.text is None:
            raise _no_text(str(self.folder))
        return Block(
            source=self.source.read(start, stop),
            target=self.target.read(start, stop),
            weight=np.fromfile(self.folder / "weight.flat", np.float32, count=stop - start, offset=4 * start),
            text=self.text.read(start, stop) if text and self.text is not None else None,
        )

    def target_counts(self, size: int) -> npt.NDArray[np.float64]:
        """How often an epoch has each of `size` target pieces, the end among them."""
        counts = np.zeros(size)
        for span in self.spans:
            for start in range(span.start, span.stop, _CHUNK):
                flat = self.target.read(start, min(start + _CHUNK, span.stop)).flat
                counts += span.weight * np.bincount(flat, minlength=size)
        return counts


def _no_text(where: str) -> DataError:
    return DataError(
        "the text of a corpus was not kept",
        expected="a cache with text",
        got="ids only",
        where=where,
        fix="encode with keep_text=True",
    )


def encode(
    corpora: Sequence[Corpus], codec: Codec, filters: FilterConfig, folder: Path, keep_text: bool = False
) -> Encoded:
    """Encode corpora into `folder`, or find there what an earlier call with the same files and settings wrote.

    The key is a SHA-256 over the bytes of the files, the filters, the tokenizers, the codec and the version of the
    format. A damaged cache is noticed and written again. Memory does not grow with the corpora, except for 8 to 16 bytes a
    pair if duplicates are removed.

    Args:
        corpora: read one after the other.
        codec: makes the ids.
        filters: which pairs are left out.
        folder: holds one folder a key.
        keep_text: keep the text as well, for subword sampling.

    Raises:
        DataError: a corpus cannot be read, or no pair of it is left.
    """
    key = _key(corpora, codec, filters, keep_text)
    place = folder / key[:20]
    about = _intact(place, key)
    if about is None:
        with new_folder(place) as temporary:
            about = {"format": FORMAT, "key": key, **_write(corpora, codec, filters, temporary, keep_text)}
            write_json(temporary / "about.json", about)
    return _open(place, about, corpora)


def _key(corpora: Sequence[Corpus], codec: Codec, filters: FilterConfig, keep_text: bool) -> str:
    """The weights of the corpora are not part of it: they decide the order, not the ids."""
    described = [
        {
            "files": [sha256(existing_file(file, "the corpus")) for file in corpus.pairs.files],
            "json": corpus.pairs.source.name.removesuffix(".gz").endswith(".jsonl"),
            "columns": corpus.pairs.columns,
            "languages": [corpus.pairs.source_language, corpus.pairs.target_language],
            "part": None if corpus.part is None else asdict(corpus.part),
            "history": corpus.history,
            **({} if corpus.follows == "dialogue" else {"follows": corpus.follows}),
            **({} if corpus.join == 1 else {"join": corpus.join}),
        }
        for corpus in corpora
    ]
    values = [FORMAT, described, filters.model_dump(), codec.fingerprint(), keep_text]
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()


def _write(
    corpora: Sequence[Corpus], codec: Codec, filters: FilterConfig, folder: Path, keep_text: bool
) -> dict[str, Any]:
    """Fill the folder; return what `about.json` says of it."""
    filtering = Filters(filters)
    dropped: Counter[str] = Counter()
    ends: list[int] = []
    rows, longest = 0, 0
    with (
        RaggedWriter(folder / "source", _dtype(codec.source)) as sources,
        RaggedWriter(folder / "target", _dtype(codec.target)) as targets,
        RaggedWriter(folder / "text", np.uint8) as texts,
        (folder / "weight.flat").open("wb") as weights,
    ):
        for corpus in corpora:
            before, removed = rows, filtering.removed.total() + dropped.total()
            for chunk in _chunks(filtering.keep(corpus.examples())):
                encoded = zip(chunk, codec.pairs(chunk), strict=True)
                kept = [(example, pair) for example, pair in encoded if codec.fits(*pair)]
                dropped["too_long"] += len(chunk) - len(kept)
                sources.append([source for _, (source, _) in kept])
                targets.append([target for _, (_, target) in kept])
                np.array([example.weight for example, _ in kept], dtype=np.float32).tofile(weights)
                if keep_text:
                    texts.append([json.dumps(e.fields(), ensure_ascii=False).encode() for e, _ in kept])
                rows += len(kept)
                longest = max(longest, max((len(side) for _, pair in kept for side in pair), default=0))
            if rows == before:
                raise _nothing_left(corpus, filtering.removed + dropped, removed)
            ends.append(rows)
    return {
        "rows": rows,
        "ends": ends,
        "longest": longest,
        "pieces": [sources.total, targets.total],
        "dropped": {name: count for name, count in sorted((filtering.removed + dropped).items()) if count},
        "text": keep_text,
        "types": [_dtype(codec.source), _dtype(codec.target)],
        "files": {path.name: sha256(path) for path in sorted(folder.iterdir())},
    }


def _chunks(examples: Iterator[Example]) -> Iterator[list[Example]]:
    while chunk := list(islice(examples, _CHUNK)):
        yield chunk


def _dtype(tokenizer: Tokenizer) -> str:
    return "uint16" if tokenizer.vocabulary.size <= 1 << 16 else "int32"


def _nothing_left(corpus: Corpus, dropped: Counter[str], before: int) -> DataError:
    reasons = ", ".join(f"{name} {count:,}" for name, count in dropped.items() if count)
    return DataError(
        "no pair of a corpus is left to train on",
        expected="at least one pair that is neither filtered out nor too long",
        got=f"{dropped.total() - before:,} pairs, all left out (so far: {reasons})",
        where=str(corpus.pairs),
        fix="relax the filters or the limits of length, or leave the corpus out",
    )


def _intact(place: Path, key: str) -> dict[str, Any] | None:
    """What `about.json` says, if the cache is there and whole."""
    path = place / "about.json"
    if not path.is_file():
        return None
    try:
        about: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        whole = about["format"] == FORMAT and about["key"] == key
        whole = whole and all(sha256(place / name) == digest for name, digest in about["files"].items())
    except (OSError, ValueError, KeyError, TypeError):
        whole = False
    if not whole:
        _log.warning("the cache %s is damaged; the corpus is encoded again", place)
        return None
    return about


def _open(place: Path, about: dict[str, Any], corpora: Sequence[Corpus]) -> Encoded:
    rows, (source, target) = about["rows"], (np.dtype(name) for name in about["types"])
    starts = [0, *about["ends"][:-1]]
    return Encoded(
        folder=place,
        source=RaggedFile(place / "source", source, rows),
        target=RaggedFile(place / "target", target, rows),
        text=RaggedFile(place / "text", np.dtype(np.uint8), rows) if about["text"] else None,
        spans=tuple(
            Span(start, stop, corpus.weight) for start, stop, corpus in zip(starts, about["ends"], corpora, strict=True)
        ),
        dropped=about["dropped"],
        longest=about["longest"],
        pieces=(about["pieces"][0], about["pieces"][1]),
    )
