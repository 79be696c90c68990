"""Files of pairs: two line-aligned files, TSV or JSON Lines, read one example at a time."""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import zip_longest
from pathlib import Path

from isthmus.core.errors import DataError
from isthmus.core.files import existing_file
from isthmus.data.example import Example, is_field
from isthmus.data.lines import Problem, lines

_FIELDS = (
    "source",
    "source2",
    "target",
    "source_language",
    "target_language",
    "context",
    "document",
    "weight",
    "prefix",
)


@dataclass(frozen=True, slots=True)
class Pairs:
    r"""Names the file or the two files that hold a corpus.

    Two files are line-aligned: line n of `target` answers line n of `source`. One file is JSON Lines if its name ends in
    `.jsonl`, otherwise TSV; each plain or `.gz`. A TSV has the columns source and target, unless its first line is a
    header (it names both `source` and `target`) or `columns` names them. There is no quoting: a tab ends a field and
    `\n` a line.

    Attributes:
        source: the sources, or the only file.
        target: the targets, or `None` for one file.
        columns: fields of a TSV without a header; an empty name is a column that is not read.
        source_language: BCP 47 tag for examples that name none themselves.
        target_language: the same for the target.
    """

    source: Path
    target: Path | None = None
    columns: tuple[str, ...] = ()
    source_language: str = ""
    target_language: str = ""

    @classmethod
    def parse(cls, text: str) -> Pairs:
        """Read the one-argument form of the command line: `FILE`, or `SOURCES,TARGETS`.

        A path that exists wins, so that a file whose name holds a comma can be named.
        """
        if "," not in text or Path(text).exists():
            return cls(Path(text))
        cuts = [index for index, character in enumerate(text) if character == ","]
        both = [cut for cut in cuts if Path(text[:cut]).exists() and Path(text[cut + 1 :]).exists()]
        cut = (both or cuts)[0]
        return cls(Path(text[:cut]), Path(text[cut + 1 :]))

    @property
    def files(self) -> tuple[Path, ...]:
        """The one or two files."""
        return (self.source,) if self.target is None else (self.source, self.target)

    def __str__(self) -> str:
        return ",".join(str(file) for file in self.files)


@dataclass(frozen=True, slots=True)
class Row:
    """One line of a corpus as it was found.

    Attributes:
        line: counted from 1; a header is line 1.
        example: `None` if the line cannot be read as one.
        problems: what is wrong with it.
    """

    line: int
    example: Example | None
    problems: tuple[Problem, ...] = ()


def read(pairs: Pairs) -> Iterator[Example]:
    """Yield the examples of a corpus in the order of the file, in constant memory.

    Raises:
        InputError: a file is missing or a folder (at the call).
        DataError: at the first line that cannot be read, naming file, line and column, or if there is no example.
    """
    rows = scan(pairs)
    return _strict(rows, pairs)


def _strict(rows: Iterator[Row], pairs: Pairs) -> Iterator[Example]:
    empty = True
    for row in rows:
        for problem in row.problems:
            if not problem.repaired:
                raise problem.error()
        if row.example is not None:
            empty = False
            yield row.example
    if empty:
        raise DataError(
            "a corpus is empty",
            expected="at least one pair",
            got="none",
            where=str(pairs),
            fix="check that this is the right file",
        )


def scan(pairs: Pairs) -> Iterator[Row]:
    """Yield every line of a corpus, broken ones too, with what is wrong with each: for the doctor.

    Raises:
        InputError: a file is missing or a folder (at the call).
        DataError: a `.gz` file is damaged, or the columns of a TSV cannot be understood.
    """
    for file in pairs.files:
        existing_file(file, "the corpus")
    if pairs.target is not None:
        found = _two_files(pairs.source, pairs.target)
    elif pairs.source.name.removesuffix(".gz").endswith(".jsonl"):
        found = _json_lines(pairs.source)
    else:
        found = _tsv(pairs.source, pairs.columns)
    if not pairs.source_language and not pairs.target_language:
        return found
    return (_with_languages(row, pairs) for row in found)


def _with_languages(row: Row, pairs: Pairs) -> Row:
    if row.example is None:
        return row
    source = row.example.source_language or pairs.source_language
    target = row.example.target_language or pairs.target_language
    return replace(row, example=replace(row.example, source_language=source, target_language=target))


def _two_files(source: Path, target: Path) -> Iterator[Row]:
    common, counts = 0, [0, 0]
    for left, right in zip_longest(lines(source), lines(target)):
        counts = [counts[0] + (left is not None), counts[1] + (right is not None)]
        if left is not None and right is not None:
            common += 1
            yield Row(common, Example((left[0],), right[0]), left[1] + right[1])
    if counts[0] != counts[1]:
        shorter, longer = (source, target) if counts[0] < counts[1] else (target, source)
        problem = Problem(
            "counts",
            "the two files of a corpus have different numbers of lines",
            shorter,
            common + 1,
            expected=f"{max(counts):,} lines, as in {longer}",
            got=f"{common:,} lines: {shorter} ends first, line {common + 1:,} of {longer} has no partner",
            fix="align the files again; isthmus doctor tells from which line they drift apart",
        )
        yield Row(common + 1, None, (problem,))


def _tsv(path: Path, columns: tuple[str, ...]) -> Iterator[Row]:
    names = columns or ("source", "target")
    if columns:
        _check_columns(columns, path)
    for number, (text, problems) in enumerate(lines(path), 1):
        values = text.split("\t")
        if number == 1 and not columns and "source" in values and "target" in values:
            names = tuple(values)
            _check_columns(names, path)
            if problems:
                yield Row(1, None, problems)
        elif len(values) != len(names):
            yield Row(number, None, (*problems, _wrong_columns(path, number, names, text)))
        elif names == ("source", "target"):
            yield Row(number, Example((values[0],), values[1]), problems)
        else:
            fields = {name: value for name, value in zip(names, values, strict=True) if name}
            yield _row(path, number, fields, problems)


def _json_lines(path: Path) -> Iterator[Row]:
    for number, (text, problems) in enumerate(lines(path), 1):
        try:
            fields = json.loads(text)
        except (ValueError, RecursionError) as error:
            yield Row(number, None, (*problems, _not_json(path, number, text, error)))
            continue
        yield _row(path, number, fields, problems)


def _not_json(path: Path, number: int, text: str, error: Exception) -> Problem:
    column, got = 0, str(error)
    if isinstance(error, json.JSONDecodeError):
        column, got = len(text[: error.pos].encode()) + 1, error.msg
    return Problem(
        "json",
        "a line is not JSON",
        path,
        number,
        column,
        expected='an object such as {"source": "...", "target": "..."}',
        got=got,
        fix="write one JSON object a line, without empty lines",
    )


def _row(path: Path, number: int, fields: object, problems: tuple[Problem, ...]) -> Row:
    try:
        if not isinstance(fields, dict):
            raise ValueError(f"the line is {type(fields).__name__}, not an object of named fields")
        example = Example.from_fields(fields)
        _check_characters(example)
    except ValueError as error:
        problem = Problem(
            "field",
            "the fields of a line do not make an example",
            path,
            number,
            expected=f"fields among {', '.join(_FIELDS)}; source and target are needed",
            got=str(error),
            fix="correct the field",
        )
        return Row(number, None, (*problems, problem))
    return Row(number, example, problems)


def _check_characters(example: Example) -> None:
    r"""JSON can spell what UTF-8 cannot hold: `\u0000` and half of a surrogate pair."""
    text = "".join((*example.sources, example.target, *example.context, example.prefix, example.document))
    try:
        held = b"\0" in text.encode("utf-8")
    except UnicodeEncodeError:
        held = True
    if held:
        raise ValueError("a field holds a NUL character or half of a surrogate pair")


def _check_columns(names: tuple[str, ...], path: Path) -> None:
    """Raise a DataError unless the names are known, different, and hold source and target."""
    used = [name for name in names if name]
    unknown = [name for name in used if not is_field(name)]
    twice = [name for name in used if used.count(name) > 1]
    missing = [name for name in ("source", "target") if name not in used]
    if not (unknown or twice or missing):
        return
    if unknown:
        near = difflib.get_close_matches(unknown[0], _FIELDS, n=1)
        got = f"unknown column `{unknown[0]}`" + (f"; did you mean `{near[0]}`?" if near else "")
    else:
        got = f"column `{twice[0]}` twice" if twice else f"no column `{missing[0]}`"
    raise DataError(
        "the columns of a TSV cannot be understood",
        expected=f"names among {', '.join(_FIELDS)}; source and target are needed",
        got=got,
        where=f"{path}, line 1",
        fix="correct the header, or delete it if the file has only the two columns source and target",
    )


def _wrong_columns(path: Path, number: int, names: tuple[str, ...], text: str) -> Problem:
    found = text.count("\t") + 1
    return Problem(
        "columns",
        "a line of a TSV has the wrong number of columns",
        path,
        number,
        expected=f"{len(names)} columns divided by tabs ({', '.join(name or 'not read' for name in names)})",
        got="an empty line" if not text else f"{found} column{'s' if found > 1 else ''}: {text[:60]!r}",
        fix="correct the line; further columns need a first line that names them",
    )
