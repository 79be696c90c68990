"""What `generate` is to do: one input and output, or a folder of inputs, of which some are done already."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import typer

from isthmus.cli import options, reading
from isthmus.core.errors import InputError


@dataclass(frozen=True, slots=True)
class Task:
    """Inputs that are answered together.

    Attributes:
        inputs: the texts.
        path: the file that they come from, if they come from one.
        output: the file that the answers go to; `None` is standard output.
    """

    inputs: Iterable[str]
    path: Path | None
    output: Path | None


def tasks(given: Sequence[str], source: Path | None, output: Path | None, document: bool) -> list[Task]:
    """The tasks that are still to do; in a folder, files whose answers are there already are done.

    Args:
        given: texts of the command line.
        source: a file, or a folder of files.
        output: a file; a folder if `source` is one.
        document: whether a file is one running text.

    Raises:
        InputError: as `reading.texts`; or a folder is read and there is no other one to write to, nothing to read, or two files
            with one name for their answers.
    """
    if given or source is None or not source.is_dir():
        inputs = reading.whole(given, source) if document else reading.texts(given, source)
        options.refuse_folder(output)
        return [Task(inputs, source, output)]
    if output is None or (output.exists() and (not output.is_dir() or output.samefile(source))):
        raise InputError(
            "a folder of inputs is answered into a folder",
            expected="--output FOLDER, another than that of the inputs",
            got="no --output" if output is None else str(output),
            where="--output",
            fix="name a folder, which may be there already",
        )
    files = sorted(path for path in source.iterdir() if path.is_file() and not path.name.startswith("."))
    if not files:
        raise InputError(
            "there is nothing to read",
            expected="a folder of files",
            got="no file in it",
            where=str(source),
            fix="name another folder",
        )
    places = {output / path.name.removesuffix(".gz"): path for path in files}
    if len(places) < len(files):
        raise InputError(
            "each file of a folder has answers of its own",
            expected="names that differ in more than .gz",
            got=f"{len(files)} files for {len(places)} answers",
            where=str(source),
            fix="rename or remove one of two",
        )
    left = {place: path for place, path in places.items() if not place.exists()}
    typer.echo(f"{len(left)} of {len(files)} files to answer", err=True)
    return [Task(_read_later(path, document), path, place) for place, path in left.items()]


def _read_later(path: Path, document: bool) -> Iterator[str]:
    """The inputs of a file, which is opened when they are asked for."""
    yield from reading.whole((), path) if document else reading.texts((), path)
