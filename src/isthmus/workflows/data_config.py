"""What a recipe says of its data: the files, their languages, and how they become batches."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Literal

from pydantic import NonNegativeInt, PositiveFloat, PositiveInt

from isthmus.core.config import Config
from isthmus.data.batches import BatchConfig
from isthmus.data.corpora import Corpus, Follows
from isthmus.data.filters import FilterConfig
from isthmus.data.pairs import Pairs
from isthmus.data.split import Part

ROOT_VARIABLE = "ISTHMUS_DATA"


class Files(Config):
    """The file or two line-aligned files of a corpus.

    Attributes:
        source: the sources, or a TSV or JSON Lines file with both sides.
        target: the targets, if they have a file of their own.
        columns: fields of a TSV without a header.
        weight: how often an epoch shows each pair (training only).
        half: only this half of the sources, divided by a hash; the two halves of one file share no source.
        history: so many earlier sources become the context of each pair.
        follows: which ones: of a `dialogue`, written as pairs of a turn and the reply; of the same `document` (a column of
            that name); or of the `line`s before, whatever they say.
        join: one pair, then two in a row as one, and so on up to so many in turn: a corpus of short texts has long ones too.
        source_language: where it is not that of all corpora (BCP 47), as in the other direction, or of several languages.
        target_language: the same for the targets.
    """

    source: str
    target: str | None = None
    columns: tuple[str, ...] = ()
    weight: PositiveFloat = 1.0
    half: Literal["first", "second"] | None = None
    history: NonNegativeInt = 0
    follows: Follows = "dialogue"
    join: PositiveInt = 1
    source_language: str = ""
    target_language: str = ""


def files_table(pairs: Pairs) -> dict[str, Any]:
    """Files of pairs as a recipe names them, wherever it will be read."""
    files: dict[str, Any] = {"source": str(pairs.source.resolve()), "columns": list(pairs.columns)}
    return files if pairs.target is None else {**files, "target": str(pairs.target.resolve())}


class DataConfig(Config):
    """What a model learns from and is judged by.

    Attributes:
        root: the folder that relative paths start from; `None` is the environment variable ISTHMUS_DATA, or without it the
            folder of the recipe.
        train: one corpus or more.
        shards: in place of `train`, the manifest of a corpus in shards (`isthmus shard`), each of which only one process reads.
        cache: the folder for training pairs as ids: with several machines, a disk of each one's own; `None` is `cache` in the run's.
        dev: chooses the best model; `None` holds out a part of the training pairs.
        test: scored once at the end.
        source_language: of all pairs (BCP 47), but of those whose files or corpora say another.
        target_language: the same for the targets.
        filters: which training pairs are left out.
        batch: how large batches are.
        seed: of the order of the pairs, and of subword sampling.
    """

    root: str | None = None
    train: tuple[Files, ...] = ()
    shards: str | None = None
    cache: str | None = None
    dev: Files | None = None
    test: Files | None = None
    source_language: str = ""
    target_language: str = ""
    filters: FilterConfig = FilterConfig()
    batch: BatchConfig = BatchConfig()
    seed: int = 1

    def folder(self, base: Path) -> Path:
        """Where relative paths start from: `root`, ISTHMUS_DATA, or the folder `base`."""
        return Path(self.root or os.environ.get(ROOT_VARIABLE) or base).expanduser()

    def corpus(self, files: Files, base: Path) -> Corpus:
        """A corpus, its files found from `folder(base)`."""
        root = self.folder(base)
        target = None if files.target is None else root / files.target
        languages = files.source_language or self.source_language, files.target_language or self.target_language
        pairs = Pairs(root / files.source, target, files.columns, *languages)
        part = None if files.half is None else Part(1 << 63, files.half == "first", "half")
        return Corpus(pairs, files.weight, part, files.history, files.follows, files.join)
