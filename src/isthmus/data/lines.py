"""The lines of a text file, and what is wrong with each of them, to the byte."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from isthmus.core.errors import DataError
from isthmus.core.files import open_bytes

ProblemKind = Literal["utf8", "nul", "columns", "counts", "json", "field", "mark", "crlf"]
"""What can be wrong with a line; the last two are repaired in reading."""

_MARK = b"\xef\xbb\xbf"
_UTF16 = (b"\xff\xfe", b"\xfe\xff")


@dataclass(frozen=True, slots=True)
class Problem:
    """Something wrong at one place of a file.

    Attributes:
        kind: which rule was broken.
        rule: the same as a sentence.
        file: the file.
        line: counted from 1.
        column: byte of the line, counted from 1; 0 where the whole line is meant.
        expected: what the rule asks for.
        got: what was there.
        fix: what to do.
    """

    kind: ProblemKind
    rule: str
    file: Path
    line: int
    column: int = 0
    expected: str = ""
    got: str = ""
    fix: str = ""

    @property
    def repaired(self) -> bool:
        """Whether reading goes on as if nothing were wrong."""
        return self.kind in ("mark", "crlf")

    @property
    def where(self) -> str:
        """File, line and, if known, byte column."""
        return f"{self.file}, line {self.line}" + (f", column {self.column} (in bytes)" if self.column else "")

    def error(self) -> DataError:
        """The problem as an error."""
        return DataError(self.rule, expected=self.expected, got=self.got, where=self.where, fix=self.fix)


def lines(path: Path) -> Iterator[tuple[str, tuple[Problem, ...]]]:
    r"""Yield the lines of a plain or `.gz` file, in order, each with its problems.

    Only `\n` ends a line (U+2028, U+0085, vertical tab and form feed do not). A byte-order mark at the start of the
    file and a `\r` before the `\n` are taken away and noted. Invalid UTF-8 is replaced by U+FFFD and noted.

    Raises:
        DataError: a `.gz` file is damaged or cut off.
    """
    number = 0
    try:
        with open_bytes(path) as file:
            for raw in file:
                number += 1
                yield _clean(raw, path, number)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise DataError(
            "a compressed file is damaged or cut off",
            expected="a whole gzip file",
            got=str(error),
            where=f"{path}, after line {number}",
            fix="copy or download the file again",
        ) from None


def _clean(raw: bytes, path: Path, number: int) -> tuple[str, tuple[Problem, ...]]:
    problems: list[Problem] = []
    raw = raw.removesuffix(b"\n")
    if number == 1 and raw.startswith(_MARK):
        raw = raw.removeprefix(_MARK)
        problems.append(
            Problem("mark", "the file starts with a byte-order mark", path, 1, 1, fix="save it without one")
        )
    if raw.endswith(b"\r"):
        raw = raw.removesuffix(b"\r")
        problems.append(Problem("crlf", r"a line ends in \r\n", path, number, fix=r"convert the line ends to \n"))
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError as error:
        text = raw.decode("utf-8", "replace")
        problems.append(_not_utf8(raw, error, path, number))
    if "\0" in text:
        problems.append(
            Problem(
                "nul",
                "a line holds a NUL character",
                path,
                number,
                raw.find(b"\0") + 1,
                expected="text",
                got="byte 0x00",
                fix="remove the character, or convert the file from UTF-16 if that is what it is",
            )
        )
    return text, tuple(problems)


def _not_utf8(raw: bytes, error: UnicodeDecodeError, path: Path, number: int) -> Problem:
    utf16 = number == 1 and raw.startswith(_UTF16)
    return Problem(
        "utf8",
        "a line is not valid UTF-8",
        path,
        number,
        error.start + 1,
        expected="UTF-8",
        got=f"byte 0x{raw[error.start]:02x} ({error.reason})",
        fix=f"convert the file to UTF-8, for example with iconv -f {'UTF-16' if utf16 else 'LATIN1'} -t UTF-8",
    )
