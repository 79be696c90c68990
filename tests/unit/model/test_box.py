"""Models in the box: where a name leads."""

from __future__ import annotations

from pathlib import Path

import pytest

import isthmus
from isthmus.core.errors import BundleError
from isthmus.generate import load as module
from isthmus.model import box
from isthmus.model.box import boxed, located
from tests.unit.cli.calling import called
from tests.unit.generate.tiny_bundle import tiny_bundle


@pytest.fixture
def filled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A box with one tiny model in it, and a folder beside it to work in."""
    place = tmp_path / "box"
    info = {"source_language": "en", "target_language": "fr"}
    tiny_bundle(info=info).save(place / "en-fr", "# English to French\n")
    (place / "NOTES.txt").write_text("not a model", encoding="utf-8")
    monkeypatch.setattr(box, "BOX", place)
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    return place


def test_a_name_leads_into_the_box(filled: Path) -> None:
    assert boxed() == {"en-fr": filled / "en-fr"}
    assert located("en-fr") == located("box:en-fr") == located(Path("en-fr")) == filled / "en-fr"
    machine = isthmus.load("en-fr", threads=1)
    assert machine.task.source_language == "en"
    assert machine.generate("abc") == isthmus.load("box:en-fr", threads=1).generate("abc")


def test_a_path_that_exists_wins(filled: Path) -> None:
    Path("en-fr").mkdir()
    assert located("en-fr") == Path("en-fr")
    assert located("box:en-fr") == filled / "en-fr"


def test_a_name_that_is_nowhere_is_said(filled: Path) -> None:
    with pytest.raises(BundleError, match="this is not a bundle") as caught:
        isthmus.load("en-de")
    assert "en-fr" in str(caught.value)


def test_the_command_line_takes_names_and_lists_them(filled: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    done = called(monkeypatch, "generate", "en-fr", "abc", "--threads", "1")
    assert (done.code, done.out) == (0, isthmus.load(filled / "en-fr", threads=1).generate("abc")[0] + "\n")
    listed = called(monkeypatch, "models")
    assert listed.code == 0
    assert listed.out.startswith("en-fr")
    assert "en → fr" in listed.out
    assert list(Path().iterdir()) == []


def test_an_empty_box_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(box, "BOX", tmp_path / "nothing")
    done = called(monkeypatch, "models")
    assert (done.code, done.out) == (0, "")
    assert "no model in the box" in done.err


def test_evaluating_a_model_in_the_box_leaves_nothing_behind(filled: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Path("test.tsv").write_text("abc\tab\n", encoding="utf-8")
    done = called(monkeypatch, "evaluate", "box:en-fr", "--data", "test.tsv", "--threads", "1")
    assert done.code == 0, done.err
    assert [path.name for path in Path().iterdir()] == ["test.tsv"]
    assert module.best_of("en-fr") == filled / "en-fr"
