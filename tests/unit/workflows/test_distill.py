"""Distillation: what a teacher writes, what a student learns from it, and that nothing is decoded twice."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from rich.console import Console

import isthmus
from isthmus.core.errors import CheckpointError, InputError
from isthmus.data.pairs import Pairs
from isthmus.engines.forms import described_by
from isthmus.generate.options import GenerationOptions
from isthmus.generate.translator import Translator
from isthmus.model.bundle import Bundle
from isthmus.model.shrink import shrunk
from isthmus.workflows import teach as module
from isthmus.workflows.student import Lesson, student_recipe
from isthmus.workflows.teach import teach
from tests.unit.cli.calling import called
from tests.unit.export.quiet import TEXTS, quiet_bundle

OPTIONS = GenerationOptions(num_beams=2, early_stopping=True, split_sentences=False, token_scores=False)
SMALL = (
    "train.steps=4",
    "train.precision=float32",
    "train.validate_every=4",
    "model.encoder.layers=2",
    "validation.metrics=['chrf']",
)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A teacher, and a text with every line twice and an empty one."""
    folder = tmp_path_factory.mktemp("distill")
    quiet_bundle().save(folder / "teacher")
    more = [f"{one} {other}" for one in TEXTS[:6] for other in TEXTS[:6]]
    (folder / "text.txt").write_text("".join(f"{one}\n" for one in [*more, "", *more]), encoding="utf-8")
    (folder / "empty.txt").write_text("\n\n", encoding="utf-8")
    return folder


def taught(place: Path, out: Path, machine: Translator | None = None, text: str = "text.txt") -> module.Taught:
    machine = machine or isthmus.load(place / "teacher", threads=1)
    return teach(machine, place / "teacher", place / text, out, OPTIONS, Console(quiet=True))


def test_the_pairs_are_what_the_teacher_writes(place: Path, tmp_path: Path) -> None:
    found = taught(place, tmp_path / "taught")
    rows = [json.loads(line) for line in found.pairs.read_text(encoding="utf-8").splitlines()]
    assert found.count == len(rows)
    assert found.count + found.left_out == 36
    assert len(rows) > 12
    machine = isthmus.load(place / "teacher", threads=1)
    outputs = machine.generate([row["source"] for row in rows], OPTIONS)
    assert [row["target"] for row in rows] == outputs


def test_an_interrupted_teacher_goes_on(place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = taught(place, tmp_path / "whole").pairs.read_bytes()
    monkeypatch.setattr(module, "PART", 10)
    decoded: list[int] = []
    given = module._taught

    def counting(teacher: Translator, sources: list[str], options: GenerationOptions) -> list[str]:
        if len(decoded) == 2:
            raise KeyboardInterrupt
        decoded.append(len(sources))
        return list(given(teacher, sources, options))

    monkeypatch.setattr(module, "_taught", counting)
    with pytest.raises(KeyboardInterrupt):
        taught(place, tmp_path / "parts")
    decoded.clear()
    found = taught(place, tmp_path / "parts")
    assert decoded == [10, 6]
    assert sorted(found.pairs.read_bytes().splitlines()) == sorted(whole.splitlines())


def test_another_text_and_an_empty_one_are_refused(place: Path, tmp_path: Path) -> None:
    taught(place, tmp_path / "taught")
    (place / "other.txt").write_text("abc\n", encoding="utf-8")
    with pytest.raises(CheckpointError, match="another teacher, text or search"):
        taught(place, tmp_path / "taught", text="other.txt")
    with pytest.raises(InputError, match="that its teacher can decode"):
        taught(place, tmp_path / "nothing", text="empty.txt")


@pytest.mark.slow
def test_a_student_is_trained_and_compared(place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out, test = tmp_path / "student", tmp_path / "test.tsv"
    test.write_text("abc de\tab\nfed\tfed\n", encoding="utf-8")
    options = ("--input", place / "text.txt", "--out", out, "--beam", "2", "--test", test, "--threads", "1")
    done = called(monkeypatch, "distill", place / "teacher", *SMALL, *options)
    assert done.code == 0, done.err
    table = done.out.splitlines()
    assert table[0].startswith("2 sources against references; beam 2")
    assert [row.split("|")[1].strip() for row in table[4:]] == ["teacher", "teacher", "student", "student"]
    assert [row.split("|")[3].strip() for row in table[4:]] == ["torch", "ctranslate2 int8"] * 2
    config = described_by(out / "best").config
    assert (config.encoder.layers, config.decoder.layers) == (2, 1)
    assert (out / "distilled.md").read_text(encoding="utf-8") == done.out
    again = called(monkeypatch, "distill", place / "teacher", *SMALL, *options)
    assert again.code == 0, again.err
    assert again.out.splitlines()[:4] == table[:4]


@pytest.mark.slow
def test_a_student_begins_with_its_teachers_weights(
    place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a learning rate of almost nothing it is still what it began as; what people wrote is learned beside the teacher's."""
    (tmp_path / "people.tsv").write_text("".join(f"{one}\tab\n" for one in TEXTS), encoding="utf-8")
    out = tmp_path / "student"
    changes = [*SMALL[:3], SMALL[4], "train.optimiser.learning_rate=1e-9"]
    options = ("--input", place / "text.txt", "--out", out, "--pairs", tmp_path / "people.tsv", "--threads", "1")
    done = called(monkeypatch, "distill", place / "teacher", *changes, *options)
    assert done.code == 0, done.err
    began, ended = shrunk(Bundle.load(place / "teacher"), 1), Bundle.load(out / "best")
    for name, parameter in ended.model.named_parameters():
        torch.testing.assert_close(parameter, began.model.get_parameter(name), rtol=0, atol=1e-6)
    assert f"train: {len(TEXTS)} pairs" in done.err


def test_real_pairs_keep_their_columns(place: Path, tmp_path: Path) -> None:
    people = Pairs(tmp_path / "people.tsv", None, ("target", "source"))
    lesson = Lesson(place / "teacher", place / "text.txt", tmp_path, pairs=people)
    recipe = student_recipe(lesson, place / "teacher", described_by(place / "teacher"), tmp_path / "pairs.jsonl")
    assert [each.columns for each in recipe.data.train] == [(), ("target", "source")]
    assert recipe.start is not None


def test_more_decoder_layers_than_the_teacher_has_are_one_error(
    place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = ("--input", place / "text.txt", "--out", tmp_path / "student", "--decoder-layers", "9")
    done = called(monkeypatch, "distill", place / "teacher", *options)
    assert done.code == 2
    assert "1 to 2 layers" in done.err
    assert not (tmp_path / "student" / "start").exists()


def test_a_missing_text_is_one_error(place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    done = called(monkeypatch, "distill", place / "teacher", "--input", "gone.txt", "--out", tmp_path / "student")
    assert done.code == 2
    assert "the text does not exist" in done.err
    assert list(tmp_path.iterdir()) == []
