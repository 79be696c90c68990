"""A run's folder goes on with what it was started for, and with nothing else."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from isthmus.core.errors import CheckpointError, InputError
from isthmus.core.files import write_text
from isthmus.workflows.claim import agreed, claim, has_begun, noted
from isthmus.workflows.recipe import Recipe, plain, toml

NOTHING: frozenset[str] = frozenset()


def recipe(seed: int = 1, steps: int = 7) -> Recipe:
    table: dict[str, Any] = {"data": {"train": [{"source": "a.tsv"}]}, "train": {"steps": steps, "seed": seed}}
    return Recipe.of(table, "test")


def begun(out: Path, resolved: Recipe, asked: Recipe, minutes: float | None = None) -> None:
    claim(asked, minutes, out)
    write_text(out / "recipe.toml", toml(resolved))
    (out / "checkpoints").mkdir()


def test_looking_writes_nothing(tmp_path: Path) -> None:
    assert agreed(recipe(), None, tmp_path / "run", False, NOTHING) == recipe()
    assert not (tmp_path / "run").exists()


def test_the_note_says_what_was_asked_for(tmp_path: Path) -> None:
    claim(recipe(3), 2.5, tmp_path)
    assert noted(tmp_path) == {"recipe": plain(recipe(3)), "minutes": 2.5}


def test_the_same_request_gets_the_recipe_as_it_was_resolved(tmp_path: Path) -> None:
    begun(tmp_path, recipe(steps=55), recipe(), 2.0)
    assert agreed(recipe(), 2.0, tmp_path, True, NOTHING).train.steps == 55


def test_another_request_is_refused_by_the_names_of_its_fields(tmp_path: Path) -> None:
    begun(tmp_path, recipe(), recipe())
    with pytest.raises(CheckpointError, match=r"other values of minutes, train.seed[\s\S]*--allow-changed minutes"):
        agreed(recipe(2), 3.0, tmp_path, False, NOTHING)


def test_an_allowed_change_is_taken_and_the_steps_of_the_time_stay(tmp_path: Path) -> None:
    begun(tmp_path, recipe(steps=55), recipe(), 2.0)
    found = agreed(recipe(2), 2.0, tmp_path, False, frozenset({"train"}))
    assert (found.train.seed, found.train.steps) == (2, 55)


def test_a_folder_without_a_checkpoint_may_be_claimed_anew(tmp_path: Path) -> None:
    claim(recipe(), None, tmp_path)
    for name in ("codec/joint.model", "held-out.json", "recipe.toml", "notes.txt"):
        write_text(tmp_path / name, "1")
    assert not has_begun(tmp_path)
    assert agreed(recipe(2), None, tmp_path, False, NOTHING) == recipe(2)
    claim(recipe(2), None, tmp_path)
    assert noted(tmp_path)["recipe"]["train"]["seed"] == 2
    assert sorted(path.name for path in tmp_path.iterdir()) == ["notes.txt", "request.json"]


def test_the_same_claim_again_keeps_everything(tmp_path: Path) -> None:
    claim(recipe(), None, tmp_path)
    write_text(tmp_path / "codec" / "joint.model", "1")
    claim(recipe(), None, tmp_path)
    assert (tmp_path / "codec" / "joint.model").is_file()


def test_nothing_to_resume_a_file_and_a_damaged_note(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="there is no run to resume"):
        agreed(recipe(), None, tmp_path, True, NOTHING)
    write_text(tmp_path / "request.json", "{")
    with pytest.raises(CheckpointError, match="the note of a run is damaged"):
        agreed(recipe(), None, tmp_path, False, NOTHING)
    with pytest.raises(InputError, match="a run needs a folder"):
        agreed(recipe(), None, tmp_path / "request.json", False, NOTHING)
