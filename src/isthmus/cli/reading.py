"""What to generate from: texts of the command line, a file, or standard input."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from isthmus.core.errors import InputError

if TYPE_CHECKING:
    from isthmus.data.example import Example

_MARK = "\ufeff"


def texts(given: Sequence[str], path: Path | None) -> Iterator[str]:
    """The inputs, one a line, without its end: the given ones, those of a file, or those of standard input.

    Raises:
        InputError: texts and a file are both given, the file is missing or a folder, or a text is not UTF-8 (at that line).
    """
    if given and path is not None:
        raise InputError(
            "there is one place to read from",
            expected="TEXT, or --input FILE, or standard input",
            got="TEXT and --input",
            where="the command line",
            fix="leave one of them out",
        )
    if given:
        return iter([_checked(text, number) for number, text in enumerate(given, 1)])
    return _of_standard_input() if path is None else _of_file(path)


def whole(given: Sequence[str], path: Path | None) -> list[str]:
    """The inputs as documents: each given text, or all of the file or of standard input.

    Raises:
        InputError: as `texts`.
    """
    found = texts(given, path)
    return list(found) if given else ["".join(f"{line}\n" for line in found)]


def examples(lines: Iterable[str], sources: int, path: Path | None) -> Iterator[Example]:
    """Inputs of several sources: a JSON object a line if the file ends in `.jsonl`, else texts with tabs between.

    A first line that names `source` and `source2` is a header, which may name further fields.

    Args:
        lines: the inputs as they stand there.
        sources: how many texts make an input.
        path: the file that they come from, if they come from one.

    Raises:
        InputError: a line has not the fields that it should (at that line).
    """
    from isthmus.data.example import Example

    names, objects = tuple(f"source{n}" if n > 1 else "source" for n in range(1, sources + 1)), False
    if path is not None:
        objects = path.name.removesuffix(".gz").endswith(".jsonl")
    for number, line in enumerate(lines, 1):
        values = line.split("\t")
        if number == 1 and not objects and {"source", "source2"} <= set(values):
            names = tuple(values)
            continue
        try:
            fields = json.loads(line) if objects else dict(zip(names, values, strict=True))
            yield Example.from_fields({"target": "", **fields})
        except (ValueError, TypeError, RecursionError) as error:
            raise InputError(
                "an input has not the fields that it should",
                expected='{"source": ..., "source2": ...}' if objects else f"{len(names)} texts with tabs between",
                got=str(error) if objects else f"{len(values)}: {line[:60]!r}",
                where=f"input {number}",
                fix=f"give the model its {sources} sources",
            ) from None


def _checked(text: str, number: int) -> str:
    """A text of the command line, where Python hides bytes that are not UTF-8 as halves of surrogate pairs."""
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise _not_utf8(f"text {number} of the command line, character {error.start + 1}") from None
    return text


def _of_file(path: Path) -> Iterator[str]:
    from isthmus.core.files import existing_file
    from isthmus.data.lines import lines

    existing_file(path, "the input")
    for text, problems in lines(path):
        for problem in problems:
            if problem.kind == "utf8":
                raise problem.error()
        yield text


def _of_standard_input() -> Iterator[str]:
    for number, raw in enumerate(sys.stdin.buffer, 1):
        try:
            text = raw.decode("utf-8")
        except UnicodeDecodeError as error:
            raise _not_utf8(f"standard input, line {number}, column {error.start + 1} (in bytes)") from None
        text = text.removesuffix("\n").removesuffix("\r")
        yield text.removeprefix(_MARK) if number == 1 else text


def _not_utf8(where: str) -> InputError:
    return InputError(
        "a text is not valid UTF-8",
        expected="UTF-8",
        got="other bytes",
        where=where,
        fix="convert it, for example with iconv -f LATIN1 -t UTF-8",
    )
