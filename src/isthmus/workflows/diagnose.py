"""The doctor's visit to everything that a recipe names."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from isthmus.core.errors import DataError
from isthmus.data.codec import Codec
from isthmus.data.doctor import Diagnosis, examine
from isthmus.data.pairs import Pairs
from isthmus.data.shards import Manifest
from isthmus.workflows.data_config import Files
from isthmus.workflows.prepare import codec_of, corpora, lanes_of
from isthmus.workflows.recipe import Recipe


@dataclass(frozen=True, slots=True)
class Visit:
    """What the doctor found in one training corpus, and in the sets it is measured on.

    Attributes:
        train: the training corpus.
        diagnosis: the findings.
    """

    train: Pairs
    diagnosis: Diagnosis

    def refuse(self) -> None:
        """Raise a DataError if training would be in vain."""
        fatal = self.diagnosis.fatal
        if fatal:
            raise DataError(
                "the data would ruin the run",
                expected="no fatal finding of the doctor",
                got="; ".join(finding.message for finding in fatal),
                where=str(self.train),
                fix=fatal[0].remedy,
            )


def visits(recipe: Recipe, base: Path, codec: Codec | None = None) -> tuple[Visit, ...]:
    """Examine each training corpus of a recipe, with its dev and test sets.

    A set that is one half of a file is left out: the other half in the same file would be taken for an overlap. So is one in
    other languages than the corpus. Of a corpus in shards, those of the first lane are examined, which the first process reads.

    Args:
        recipe: names the files.
        base: the folder that its relative paths start from if nothing else says where.
        codec: if given, a sample is encoded too: unknown pieces, pairs that are too long.

    Raises:
        InputError: a file is missing or a folder.
    """
    data = recipe.data

    def whole(files: Files | None) -> Pairs | None:
        return None if files is None or files.half else data.corpus(files, base).pairs

    dev, test = whole(data.dev), whole(data.test)
    trained = [data.corpus(files, base).pairs for files in data.train]
    if data.shards is not None:
        trained = [corpus.pairs for corpus in lanes_of(recipe, Manifest.load(data.folder(base) / data.shards))[0]]
    return tuple(
        Visit(pairs, examine(pairs, _alike(dev, pairs), _alike(test, pairs), codec)) for pairs in dict.fromkeys(trained)
    )


def _alike(held_out: Pairs | None, pairs: Pairs) -> Pairs | None:
    """The set, if it is in the languages of the corpus."""
    if held_out is None:
        return None
    languages = [(one.source_language, one.target_language) for one in (held_out, pairs)]
    return held_out if languages[0] == languages[1] else None


def visits_with_vocabulary(recipe: Recipe, base: Path) -> tuple[Visit, ...]:
    """The same; where nothing is fatal, once more with the vocabularies that the recipe would learn.

    Raises:
        InputError: as `visits`, or the vocabularies cannot be learned as the recipe asks.
    """
    found = visits(recipe, base)
    if any(visit.diagnosis.fatal for visit in found):
        return found
    with TemporaryDirectory() as name:
        codec = codec_of(recipe, corpora(recipe, base, Path(name)).train, Path(name))
    return visits(recipe, base, codec)
