"""What to generate from: texts of the command line, a file, or standard input."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from isthmus.core.errors import InputError

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
