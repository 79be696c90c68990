"""`isthmus export --to ctranslate2`: what it writes and says, and what it refuses."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

import isthmus
from tests.unit.cli.calling import called, tree
from tests.unit.export.quiet import TEXTS, quiet_bundle


@pytest.fixture(scope="module")
def pristine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("export")
    bundle = quiet_bundle()
    bundle.save(place / "model")
    replace(bundle, sample=()).save(place / "bare")
    (place / "dev.tsv").write_text("abc de\tab\n", encoding="utf-8")
    return place


def test_an_exported_model_is_opened_by_the_commands(pristine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(pristine)
    done = called(monkeypatch, "export", "model", "out", "--to", "ctranslate2", "--threads", "1")
    assert done.code == 0, done.err
    assert f"compared on {len(TEXTS)} pairs\n" in done.err
    assert done.out == "out\n"
    said = called(monkeypatch, "generate", "out", TEXTS[0], "--threads", "1", "--no-guards", "--max-length", "40")
    ours = isthmus.load("model", threads=1)
    assert said.out == ours.generate(TEXTS[0], early_stopping=True, guards=False, max_length=40)[0] + "\n"
    assert "engine: ctranslate2 float32" in said.err
    again = called(monkeypatch, "export", "out", "again", "--to", "ctranslate2", "--threads", "1")
    assert again.code == 0, again.err
    assert (pristine / "again" / "model.bin").read_bytes() == (pristine / "out" / "model.bin").read_bytes()


CASES = {
    "no model": (("gone", "new"), ("this is not a bundle", "gone")),
    "itself": (("model", "model"), ("a new folder is written, and nothing replaced",)),
    "an option of another tool": (
        ("model", "new", "--target-language", "fr"),
        ("for another tool", "--target-language fr"),
    ),
    "int8 without a sample": (("bare", "new", "--quantization", "int8"), ("on pairs of text", "--sample")),
    "a missing sample": (("model", "new", "--sample", "gone.tsv"), ("the corpus does not exist", "gone.tsv")),
}


@pytest.mark.parametrize("case", CASES)
def test_what_is_wrong_is_one_clear_error(case: str, pristine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    arguments, says = CASES[case]
    monkeypatch.chdir(pristine)
    before = tree(pristine)
    done = called(monkeypatch, "export", *arguments, "--to", "ctranslate2", "--threads", "1")
    assert done.code == 2, done.err
    assert all(one in done.err for one in says), done.err
    assert done.out == ""
    assert "Traceback" not in done.err
    assert tree(pristine) == before
