"""`isthmus generate` with a model of two sources: lines with tabs, headers, JSON Lines, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import isthmus
from isthmus.cli import reading
from isthmus.core.errors import InputError
from isthmus.data.example import Example
from tests.unit.cli.calling import called
from tests.unit.generate.tiny_bundle import tiny_bundle

PAIRS = [("ab cd", "ef"), ("a", "bad"), ("c", "h")]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("several") / "model"
    tiny_bundle(codec={"sources": 2}).save(place)
    return place


@pytest.fixture(scope="module")
def expected(model: Path) -> list[str]:
    outputs = isthmus.load(model).generate(PAIRS)
    assert len({*outputs}) == len(PAIRS)
    assert isthmus.load(model).generate([(two, one) for one, two in PAIRS]) != outputs
    return outputs


def test_lines_with_tabs(model: Path, expected: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    lines = "".join(f"{one}\t{two}\n" for one, two in PAIRS).encode()
    done = called(monkeypatch, "generate", model, stdin=lines)
    assert (done.code, done.out.splitlines()) == (0, expected)
    turned = "source2\tsource\n" + "".join(f"{two}\t{one}\n" for one, two in PAIRS)
    done = called(monkeypatch, "generate", model, "--json", stdin=turned.encode())
    found = [json.loads(line) for line in done.out.splitlines()]
    assert [one["text"] for one in found] == expected
    assert found[0]["input"] == "ab cd\tef"


def test_json_lines(model: Path, expected: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "asked.jsonl"
    path.write_text("".join(json.dumps({"source": a, "source2": b}) + "\n" for a, b in PAIRS), encoding="utf-8")
    done = called(monkeypatch, "generate", model, "--input", path)
    assert (done.code, done.out.splitlines()) == (0, expected)


def test_further_fields_go_along() -> None:
    lines = ["source\tsource2\tprefix", "a\tb\tc"]
    assert list(reading.examples(lines, 2, None)) == [Example(("a", "b"), "", prefix="c")]


@pytest.mark.parametrize(
    ("lines", "name", "said"),
    [
        (["a\tb", "c"], None, "input 2"),
        (["a\tb\tc"], None, "2 texts with tabs between"),
        (['{"source": "a", "source2": 3}'], "asked.jsonl", "not text"),
        (["[]"], "asked.jsonl", "input 1"),
        (["{"], "asked.jsonl", "input 1"),
        (["source\tsource2\tnothing", "a\tb\tc"], None, "input 2"),
    ],
)
def test_a_line_without_its_fields_is_refused(lines: list[str], name: str | None, said: str) -> None:
    with pytest.raises(InputError) as caught:
        list(reading.examples(lines, 2, None if name is None else Path(name)))
    assert said in str(caught.value)


def test_one_source_or_a_document_is_refused(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    done = called(monkeypatch, "generate", model, "--document", stdin=b"a\tb\n")
    assert (done.code, done.out) == (2, "")
    assert "a document is one text" in done.err
    with pytest.raises(InputError, match="another number of sources"):
        isthmus.load(model).generate("ab")
