"""`isthmus export` and what it refuses."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.unit.cli.calling import called
from tests.unit.export.tiny import bundle, table


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("export") / "model"
    bundle(table("pegasus")).save(folder)
    return folder


def test_an_export_says_what_was_compared(model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pairs = tmp_path / "pairs.tsv"
    pairs.write_text("abc\tcba\nde f.\tf ed.\n", encoding="utf-8")
    done = called(monkeypatch, "export", model, tmp_path / "out", "--to", "huggingface", "--sample", pairs, "--json")
    assert done.code == 0
    found = json.loads(done.out)
    assert (found["folder"], found["pairs"], found["different"]) == (str(tmp_path / "out"), 2, 0)
    assert (tmp_path / "out" / "tokenizer.json").is_file()


def test_nothing_is_replaced(model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mine").write_text("mine", encoding="utf-8")
    done = called(monkeypatch, "export", model, tmp_path, "--to", "huggingface")
    assert done.code == 2
    assert "a new folder is written, and nothing replaced" in done.err
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]


def test_a_model_that_no_class_computes_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    values = table("pegasus")
    bundle({**values, "head": {"scale": 0.5}}).save(tmp_path / "model")
    done = called(monkeypatch, "export", tmp_path / "model", tmp_path / "out", "--to", "huggingface")
    assert done.code == 2
    assert "no class that computes exactly what this model does" in done.err
    assert not (tmp_path / "out").exists()


def test_a_library_that_is_missing_is_named(model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("isthmus.export.needed.find_spec", lambda name: None)
    done = called(monkeypatch, "export", model, tmp_path / "out", "--to", "huggingface")
    assert done.code == 2
    assert "pip install 'isthmus[huggingface]'" in done.err
