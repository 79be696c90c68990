"""Models in the box: where a name leads."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Literal

import pytest
from sacrebleu import corpus_chrf

import isthmus
from isthmus.core.errors import BundleError
from isthmus.engines.forms import described_by
from isthmus.generate import load as module
from isthmus.model import box
from isthmus.model.box import boxed, located
from tests.unit.cli.calling import called
from tests.unit.generate.tiny_bundle import tiny_bundle

ROOT = Path(__file__).parents[3]


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


BOXED = ("en-fr",)
ENGINES: tuple[Literal["auto", "torch"], ...] = ("auto", "torch")
PAIRS = {
    "Where is the station?": "Où est la gare ?",
    "My brother reads a book.": "Mon frère lit un livre.",
    "I am very tired today.": "Je suis très fatigué aujourd'hui.",
    "She does not want to come with us.": "Elle ne veut pas venir avec nous.",
    "The weather is beautiful.": "Il fait beau.",
    "Can you help me?": "Peux-tu m'aider ?",
    "They live in a small house.": "Ils vivent dans une petite maison.",
    "I will call you tomorrow.": "Je t'appellerai demain.",
}


def test_what_is_in_the_box_is_whole_small_and_attributed() -> None:
    assert tuple(boxed()) == BOXED
    for name, folder in boxed().items():
        assert sum(path.stat().st_size for path in folder.iterdir()) <= 12e6
        about = described_by(folder)  # every file is compared with its digest
        assert about.info["licence"] == "CC BY 2.0 FR"
        assert about.sample == ()  # no texts of the corpus
        assert f"src/isthmus/box/{name}" in (ROOT / "NOTICE").read_text(encoding="utf-8")
        assert "What it cannot do" in (folder / "README.md").read_text(encoding="utf-8")


def test_the_box_translates_without_anything_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    done = called(monkeypatch, "generate", "en-fr", "I love this beer. It is the best in the world.", "--threads", "1")
    assert done.code == 0, done.err
    assert "bière" in done.out
    assert "monde" in done.out
    assert list(tmp_path.iterdir()) == []


def test_the_box_says_the_same_through_every_engine() -> None:
    """PyTorch dequantises the weights, CTranslate2 multiplies in eight bits: most outputs are the same, and both are French."""
    found, expected = (
        isthmus.load("box:en-fr", engine=engine, threads=1).generate([*PAIRS], num_beams=1) for engine in ENGINES
    )
    assert sum(one == other for one, other in zip(found, expected, strict=True)) >= len(PAIRS) // 2
    for outputs in (found, expected):
        assert corpus_chrf(outputs, [[*PAIRS.values()]]).score > 50


@pytest.mark.slow
def test_the_box_is_good(data_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = data_root / "tatoeba-en-fr" / "test.tsv.gz"
    monkeypatch.chdir(tmp_path)
    done = called(monkeypatch, "evaluate", "box:en-fr", "--data", str(data), "--json", "--threads", "1")
    assert done.code == 0, done.err
    scores = {score["metric"]: score["value"] for score in json.loads(done.out)["scores"]}
    assert scores["bleu"] >= 50
