"""`isthmus train`: what is asked of the workflow."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Any

import pytest

from isthmus.data.pairs import Pairs
from isthmus.workflows.run import Fitted, Request
from tests.unit.cli.calling import called

RECIPE = "[data]\ntrain = [{ source = 'a.tsv' }]\n[train]\nsteps = 7\n"


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[Any]:
    """What the command asks for; nothing is trained."""
    found: list[Any] = []

    def run(request: Request, out: Path, console: object) -> Fitted:
        found.extend((request, out))
        return Fitted(out / "best", "finished", None)

    def automatic(named: object, minutes: float, out: Path, *, resume: bool, allow_changed: frozenset[str]) -> Request:
        found.append(named)
        from isthmus.workflows.recipe import Recipe

        recipe = Recipe.of({"data": {"train": [{"source": "a.tsv"}]}, "train": {"steps": 1}}, "test")
        return Request(recipe, out, minutes, resume, allow_changed)

    monkeypatch.setattr("isthmus.workflows.run.run", run)
    monkeypatch.setattr("isthmus.workflows.fit.automatic_request", automatic)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "recipes").mkdir()
    (tmp_path / "recipes" / "little.toml").write_text(RECIPE, encoding="utf-8")
    for name in ("a.tsv", "b.en", "b.fr"):
        (tmp_path / name).write_text("a\tb\n", encoding="utf-8")
    return found


def test_a_recipe_with_changes(asked: list[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    done = called(monkeypatch, "train", "recipes/little.toml", "train.seed=3", "about=a word", "--minutes", "2.5")
    assert done.code == 0, done.err
    request, out = asked
    assert (request.recipe.train.seed, request.recipe.train.steps, request.recipe.about) == (3, 7, "a word")
    assert (request.base, out, request.minutes) == (Path("recipes"), Path("runs/little"), 2.5)
    assert (request.resume, request.allow_changed) == (False, frozenset())
    assert done.out == ""
    assert "isthmus generate runs/little <" in done.err
    assert "isthmus evaluate runs/little --source" in done.err


def test_going_on(asked: list[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    options = ("--resume", "--allow-changed", "train.seed", "--allow-changed", "data", "--out", "a b")
    done = called(monkeypatch, "train", "recipes/little.toml", *options)
    request, out = asked
    assert (request.resume, request.allow_changed, out) == (True, frozenset({"train.seed", "data"}), Path("a b"))
    assert request.minutes is None
    assert "isthmus generate 'a b' <" in done.err


def test_pairs_without_a_recipe(asked: list[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    languages = ("--source-language", "en", "--target-language", "fr")
    sets = ("--source", "b.en", "--target", "b.fr", "--dev", "a.tsv", "--test", "b.en,b.fr")
    done = called(monkeypatch, "train", *sets, *languages, "--out", "en-fr")
    assert done.code == 0, done.err
    named, request, out = asked
    two = Pairs(Path("b.en"), Path("b.fr"), (), "en", "fr")
    assert named == (two, Pairs(Path("a.tsv"), None, (), "en", "fr"), two)
    assert (request.minutes, out) == (30, Path("en-fr"))


def test_one_file_of_pairs(asked: list[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    called(monkeypatch, "train", "--data", "a.tsv", "--out", "x", "--minutes", "3", "--resume")
    assert asked[0] == (Pairs(Path("a.tsv")), None, None)
    assert (asked[1].minutes, asked[1].resume) == (3, True)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interruption_exits_as_its_signal_asks(
    asked: list[Any], monkeypatch: pytest.MonkeyPatch, number: signal.Signals
) -> None:
    stopped = Fitted(Path("x"), "interrupted", None, number)
    monkeypatch.setattr("isthmus.workflows.run.run", lambda request, out, console: stopped)
    done = called(monkeypatch, "train", "recipes/little.toml")
    assert asked == []
    assert done.code == 128 + number


def test_a_run_spares_the_recipe_in_its_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mine = tmp_path / "run" / "recipe.toml"
    mine.parent.mkdir()
    mine.write_text("# mine\n", encoding="utf-8")
    done = called(monkeypatch, "train", mine, "--out", mine.parent)
    assert (done.code, done.out) == (2, "")
    assert "a run writes its own recipe.toml" in done.err
    assert mine.read_text(encoding="utf-8") == "# mine\n"
    assert [path.name for path in mine.parent.iterdir()] == ["recipe.toml"]
