"""`isthmus generate` from a folder to a folder: every file once, what is done stays, and what is refused."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

import isthmus
from isthmus.cli.options import one_line
from tests.unit.cli.calling import called
from tests.unit.generate.tiny_bundle import tiny_bundle

FILES = {"a.txt": ["ab cd", "ef"], "b.txt": ["", "bad"], "c.txt": ["c"]}


def read(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("folder") / "model"
    tiny_bundle().save(place)
    return place


@pytest.fixture
def inputs(tmp_path: Path) -> Path:
    folder = tmp_path / "in"
    folder.mkdir()
    for name, lines in FILES.items():
        (folder / name).write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    (folder / "c.txt").unlink()
    (folder / "c.txt.gz").write_bytes(gzip.compress("".join(f"{line}\n" for line in FILES["c.txt"]).encode()))
    (folder / ".hidden").write_text("not asked for", encoding="utf-8")
    return folder


def test_every_file_has_its_answers(model: Path, inputs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = inputs.parent / "out" / "deep"
    done = called(monkeypatch, "generate", model, "--input", inputs, "--output", out)
    assert (done.code, done.out) == (0, "")
    assert "3 of 3 files to answer" in done.err
    machine = isthmus.load(model)
    expected = {
        name: "".join(f"{one_line(text)}\n" for text in machine.generate(lines)) for name, lines in FILES.items()
    }
    assert {name: text.decode() for name, text in read(out).items()} == expected


def test_what_is_there_is_done(model: Path, inputs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = inputs.parent / "out"
    out.mkdir()
    (out / "b.txt").write_text("mine", encoding="utf-8")
    done = called(monkeypatch, "generate", model, "--input", inputs, "--output", out, "--document")
    assert (done.code, (out / "b.txt").read_text(encoding="utf-8")) == (0, "mine")
    assert "2 of 3 files to answer" in done.err
    before = read(out)
    assert sorted(before) == sorted(FILES)
    done = called(monkeypatch, "generate", model, "--input", inputs, "--output", out)
    assert (done.code, read(out)) == (0, before)


def test_a_bad_file_keeps_the_answers_before_it(model: Path, inputs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = inputs.parent / "out"
    (inputs / "b.txt").write_bytes(b"\xff\n")
    done = called(monkeypatch, "generate", model, "--input", inputs, "--output", out)
    assert (done.code, sorted(read(out))) == (2, ["a.txt"])
    assert "b.txt" in done.err


@pytest.mark.parametrize(
    ("output", "said"),
    [
        (None, "a folder of inputs is answered into a folder"),
        ("in", "a folder of inputs is answered into a folder"),
        ("in/a.txt", "a folder of inputs is answered into a folder"),
    ],
)
def test_it_needs_another_folder(
    model: Path, inputs: Path, monkeypatch: pytest.MonkeyPatch, output: str | None, said: str
) -> None:
    before = read(inputs)
    place = () if output is None else ("--output", inputs.parent / output)
    done = called(monkeypatch, "generate", model, "--input", inputs, *place)
    assert (done.code, done.out, read(inputs)) == (2, "", before)
    assert said in done.err


def test_one_answer_for_two_files_and_an_empty_folder_are_refused(
    model: Path, inputs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (inputs / "c.txt").write_text("c\n", encoding="utf-8")
    out = inputs.parent / "out"
    done = called(monkeypatch, "generate", model, "--input", inputs, "--output", out)
    assert (done.code, out.exists()) == (2, False)
    assert "names that differ in more than .gz" in done.err
    empty = inputs.parent / "empty"
    empty.mkdir()
    done = called(monkeypatch, "generate", model, "--input", empty, "--output", out)
    assert (done.code, out.exists()) == (2, False)
    assert "there is nothing to read" in done.err
