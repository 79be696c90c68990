from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from isthmus.core.errors import DataError, InputError
from isthmus.data.example import Example
from isthmus.data.pairs import Pairs, read, scan
from tests.unit.data.toy import tsv, write

TEXT = st.text(st.characters(blacklist_categories=["Cs"], blacklist_characters="\0\t\n\r\ufeff"), max_size=13)


def test_a_tsv_gives_pairs(tmp_path: Path) -> None:
    pairs = tsv(tmp_path / "a.tsv", [("one", "un"), ("two", "deux")])
    assert list(read(pairs)) == [Example(("one",), "un"), Example(("two",), "deux")]


@pytest.mark.parametrize("ending", ["", ".gz"])
def test_two_files_give_pairs(tmp_path: Path, ending: str) -> None:
    source = write(tmp_path / f"a.en{ending}", "one\ntwo\n")
    target = write(tmp_path / f"a.fr{ending}", "un\ndeux")  # without a newline at the end
    assert [(e.source, e.target) for e in read(Pairs(source, target))] == [("one", "un"), ("two", "deux")]


def test_a_header_names_every_field(tmp_path: Path) -> None:
    names = (
        "document",
        "source",
        "source2",
        "target",
        "source_language",
        "target_language",
        "context",
        "weight",
        "prefix",
    )
    row = ("d7", "eins", "zwei", "one two", "de", "en", "a ||| b", "2.5", "one")
    (example,) = read(tsv(tmp_path / "a.tsv", [names, row]))
    assert example == Example(("eins", "zwei"), "one two", "de", "en", ("a", "b"), "d7", 2.5, "one")


def test_a_first_line_that_only_looks_like_a_header_is_data(tmp_path: Path) -> None:
    pairs = tsv(tmp_path / "a.tsv", [("source", "fontaine"), ("target", "cible")])
    assert [e.source for e in read(pairs)] == ["source", "target"]


def test_columns_name_and_skip(tmp_path: Path) -> None:
    path = write(tmp_path / "a.tsv", "17\ta\tb\n")
    (example,) = read(Pairs(path, columns=("", "source", "target")))
    assert example == Example(("a",), "b")


def test_json_lines_give_every_field(tmp_path: Path) -> None:
    values = {
        "source": "a\nb",
        "source2": "c",
        "target": "d",
        "context": ["x ||| y", "z"],
        "weight": 3,
        "document": "7",
    }
    (example,) = read(Pairs(write(tmp_path / "a.jsonl.gz", json.dumps(values) + "\n")))
    assert example == Example(("a\nb", "c"), "d", context=("x ||| y", "z"), weight=3.0, document="7")


def test_languages_of_the_corpus_are_defaults(tmp_path: Path) -> None:
    rows = [("source", "target", "target_language"), ("a", "b", ""), ("c", "d", "de")]
    path = tsv(tmp_path / "a.tsv", rows).source
    found = list(read(Pairs(path, source_language="en", target_language="fr")))
    assert [(e.source_language, e.target_language) for e in found] == [("en", "fr"), ("en", "de")]


def test_only_newlines_end_a_line(tmp_path: Path) -> None:
    odd = "a\u2028b\u2029c\x0bd\x0ce\x85f\x1cg\rh"
    (example,) = read(tsv(tmp_path / "a.tsv", [(odd, "x")]))
    assert example.source == odd


def test_windows_files_are_read_and_noted(tmp_path: Path) -> None:
    pairs = Pairs(write(tmp_path / "a.tsv", "\ufeffa\tb\r\nc\td\r\n"))
    assert [(e.source, e.target) for e in read(pairs)] == [("a", "b"), ("c", "d")]
    assert [[p.kind for p in row.problems] for row in scan(pairs)] == [["mark", "crlf"], ["crlf"]]


@given(st.lists(st.tuples(TEXT, TEXT), min_size=1, max_size=7))
def test_what_is_written_is_read(tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[str, str]]) -> None:
    folder = tmp_path_factory.mktemp("pairs")
    if {"source", "target"} <= set(rows[0]):
        return
    found = [(e.source, e.target) for e in read(tsv(folder / "a.tsv", rows))]
    source = write(folder / "s.gz", "".join(s + "\n" for s, _ in rows))
    target = write(folder / "t", "".join(t + "\n" for _, t in rows))
    assert found == rows == [(e.source, e.target) for e in read(Pairs(source, target))]


def error(pairs: Pairs) -> DataError:
    with pytest.raises(DataError) as caught:
        list(read(pairs))
    assert caught.value.fix
    assert str(pairs.source.parent) in caught.value.where
    return caught.value


def test_invalid_utf8_is_named_to_the_byte(tmp_path: Path) -> None:
    caught = error(Pairs(write(tmp_path / "a.tsv", "é\tb\n".encode() + b"\xc3\xa9l\xe8ve\tb\n")))
    assert "line 2, column 4 (in bytes)" in caught.where
    assert "0xe8" in caught.got


def test_utf16_is_recognised(tmp_path: Path) -> None:
    assert "UTF-16" in error(Pairs(write(tmp_path / "a.tsv", "a\tb\n".encode("utf-16")))).fix


def test_nul_is_named_to_the_byte(tmp_path: Path) -> None:
    assert "line 1, column 5 (in bytes)" in error(Pairs(write(tmp_path / "a.tsv", "é\ta\0b\n"))).where


@pytest.mark.parametrize(("line", "got"), [("", "an empty line"), ("a", "1 column:"), ("a\tb\tc", "3 columns:")])
def test_a_wrong_number_of_columns_is_named(tmp_path: Path, line: str, got: str) -> None:
    caught = error(Pairs(write(tmp_path / "a.tsv", f"x\ty\n{line}\n")))
    assert caught.where.endswith("line 2")
    assert got in caught.got
    assert "2 columns" in caught.expected


@pytest.mark.parametrize(("first", "second"), [(3, 5), (5, 3)])
def test_different_line_counts_say_which_ends_first(tmp_path: Path, first: int, second: int) -> None:
    source, target = write(tmp_path / "a.en", "x\n" * first), write(tmp_path / "a.fr", "y\n" * second)
    caught = error(Pairs(source, target))
    shorter, longer = (source, target) if first < second else (target, source)
    assert caught.where == f"{shorter}, line 4"
    assert caught.got == f"3 lines: {shorter} ends first, line 4 of {longer} has no partner"
    assert caught.expected == f"5 lines, as in {longer}"


@pytest.mark.parametrize(
    ("line", "got"),
    [
        ("[1]", "list, not an object"),
        ('{"source": "a"}', "no field `target`"),
        ('{"source": "a", "target": 3}', "field `target` is int"),
        ('{"source": "a", "target": "b", "wieght": 2}', "unknown field `wieght`"),
        ('{"source": "a", "source3": "c", "target": "b"}', "no field `source2`"),
        ('{"source": "a", "target": "b", "weight": 0}', "not a positive number"),
        ('{"source": "a", "target": "b", "weight": NaN}', "not a positive number"),
        ('{"source": "a", "target": "b", "weight": true}', "field `weight` is bool"),
        ('{"source": "a", "target": "b", "context": [1]}', "neither text nor a list"),
        ('{"source": "a\\u0000", "target": "b"}', "NUL"),
        ('{"source": "\\ud800", "target": "b"}', "surrogate"),
    ],
)
def test_wrong_fields_are_named(tmp_path: Path, line: str, got: str) -> None:
    caught = error(Pairs(write(tmp_path / "a.jsonl", f'{{"source": "a", "target": "b"}}\n{line}\n')))
    assert got in caught.got
    assert caught.where.endswith("line 2")


def test_broken_json_is_named_to_the_byte(tmp_path: Path) -> None:
    pairs = Pairs(write(tmp_path / "a.jsonl", '{"document": "é", "source": é}\n'))
    assert error(pairs).where.endswith("line 1, column 30 (in bytes)")


@pytest.mark.parametrize(
    ("header", "got"),
    [
        ("source\ttarget\tdomument", "did you mean `document`?"),
        ("source\ttarget\ttarget", "column `target` twice"),
    ],
)
def test_a_wrong_header_is_named(tmp_path: Path, header: str, got: str) -> None:
    assert got in error(Pairs(write(tmp_path / "a.tsv", f"{header}\na\tb\tc\n"))).got


def test_columns_need_a_target(tmp_path: Path) -> None:
    path = write(tmp_path / "a.tsv", "a\tb\n")
    assert "no column `target`" in error(Pairs(path, columns=("source", "document"))).got


@pytest.mark.parametrize("text", ["", "source\ttarget\n"])
def test_an_empty_corpus_is_an_error(tmp_path: Path, text: str) -> None:
    assert "empty" in error(Pairs(write(tmp_path / "a.tsv", text))).rule


def test_missing_files_and_folders_are_errors_at_the_call(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="does not exist"):
        read(Pairs(tmp_path / "missing"))
    with pytest.raises(InputError, match="must be a file"):
        read(Pairs(tmp_path))


@pytest.mark.parametrize(
    "damage", [lambda data: data[:-9], lambda data: b"not gzip", lambda data: data[:30] + b"!" * 40]
)
def test_damaged_gzip_is_an_error(tmp_path: Path, damage: object) -> None:
    data = gzip.compress("".join(f"{n * 7919}\t{n}\n" for n in range(5000)).encode())
    (tmp_path / "a.tsv.gz").write_bytes(damage(data))  # type: ignore[operator]
    assert "damaged" in error(Pairs(tmp_path / "a.tsv.gz")).rule


def test_the_tolerant_reader_goes_on(tmp_path: Path) -> None:
    rows = list(scan(Pairs(write(tmp_path / "a.tsv", b"a\tb\nbad\n\xff\tx\nc\td\n"))))
    assert [row.line for row in rows] == [1, 2, 3, 4]
    assert [row.example is None for row in rows] == [False, True, False, False]
    assert [[p.kind for p in row.problems] for row in rows] == [[], ["columns"], ["utf8"], []]


def test_the_one_argument_form(tmp_path: Path) -> None:
    assert Pairs.parse("a.tsv") == Pairs(Path("a.tsv"))
    assert Pairs.parse("a.en,a.fr") == Pairs(Path("a.en"), Path("a.fr"))
    comma = write(tmp_path / "a,b.tsv", "x")
    assert Pairs.parse(str(comma)) == Pairs(comma)
    other = write(tmp_path / "c.tsv", "x")
    assert Pairs.parse(f"{comma},{other}") == Pairs(comma, other)


def test_fields_are_the_inverse_of_from_fields() -> None:
    example = Example(("a", "b", "c"), "d", "en", "fr", ("x", ""), "7", 0.5, "d")
    assert Example.from_fields(example.fields()) == example
    assert Example(("a",), "b").fields() == {"source": "a", "target": "b"}
