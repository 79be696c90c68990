"""Whose folder it is: the folder of a run notes what was asked for, and goes on with nothing else."""

from __future__ import annotations

import json
import shutil
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from isthmus.core.errors import CheckpointError, InputError
from isthmus.core.files import write_json
from isthmus.workflows.budget import within
from isthmus.workflows.recipe import Recipe, plain, with_tokens

NOTE, RESOLVED, RUNTIME = "request.json", "recipe.toml", "runtime.json"
_OF_A_RUN = (RESOLVED, RUNTIME, "held-out.json", "metrics.jsonl", "timing.jsonl", "report.json")


def has_begun(out: Path) -> bool:
    """Whether a folder holds a run that training has begun: there is a checkpoint."""
    return (out / "checkpoints").is_dir()


def agreed(recipe: Recipe, minutes: float | None, out: Path, resume: bool, allowed: frozenset[str]) -> Recipe:
    """The recipe to train with: as asked for, or as the run in the folder resolved it. Nothing is written.

    Args:
        recipe: as asked for.
        minutes: the time for training, or `None`.
        out: the folder of the run.
        resume: whether there must be a run.
        allowed: dotted names of fields that may differ from the run that is there; a table's name for all in it.

    Raises:
        InputError: `out` is a file, or has no run to resume.
        CheckpointError: `out` holds a run of something else.
    """
    there = next((path for path in (out, *out.parents) if path.exists()), Path())
    if not there.is_dir():
        raise InputError(
            "a run needs a folder", expected="a folder", got="a file", where=str(there), fix="name another --out"
        )
    if not (out / NOTE).is_file():
        if resume:
            raise InputError(
                "there is no run to resume", expected=NOTE, got="none", where=str(out), fix="leave --resume out"
            )
        return recipe
    before, asked = _of_today(noted(out), out), _asked(recipe, minutes)
    resolved = out / RESOLVED
    if before == asked and resolved.is_file():
        return Recipe.of(tomllib.loads(resolved.read_text(encoding="utf-8")), str(resolved))
    if not has_begun(out):
        return recipe
    changed = [name for name in _differing(before, asked, "") if not _covered(name, allowed)]
    if changed:
        raise CheckpointError(
            "this folder holds another run",
            expected="what the run was started with",
            got=f"other values of {', '.join(changed)}",
            where=str(out),
            fix=" ".join(["name another --out, or permit it:", *(f"--allow-changed {name}" for name in changed)]),
        )
    if not resolved.is_file():
        return recipe
    begun = Recipe.of(tomllib.loads(resolved.read_text(encoding="utf-8")), str(resolved))
    if recipe.data.batch.tokens == "auto" and begun.data.batch.tokens != "auto":
        recipe = with_tokens(recipe, begun.data.batch.tokens)
    return recipe if minutes is None else within(recipe, begun.train.steps)


def claim(recipe: Recipe, minutes: float | None, out: Path) -> None:
    """Note in the folder what was asked for; what another request left there that never came to a checkpoint is removed."""
    asked = _asked(recipe, minutes)
    if (out / NOTE).is_file():
        if has_begun(out) or noted(out) == asked:
            return
        shutil.rmtree(out / "codec", ignore_errors=True)
        for name in _OF_A_RUN:
            (out / name).unlink(missing_ok=True)
    write_json(out / NOTE, asked)


def noted(out: Path) -> dict[str, Any]:
    """What the folder of a run notes: the table `recipe`, and `minutes`.

    Raises:
        CheckpointError: the note is damaged.
    """
    note = out / NOTE
    try:
        values: dict[str, Any] = json.loads(note.read_text(encoding="utf-8"))
    except ValueError as error:
        raise CheckpointError(
            "the note of a run is damaged", expected="JSON", got=str(error), where=str(note), fix="name another --out"
        ) from None
    return values


def _asked(recipe: Recipe, minutes: float | None) -> dict[str, Any]:
    return {"recipe": plain(recipe), "minutes": minutes}


def _of_today(note: Mapping[str, Any], out: Path) -> dict[str, Any]:
    """A note in which fields that recipes did not have then have their defaults."""
    return _asked(Recipe.of(note["recipe"], str(out / NOTE)), note["minutes"])


def _differing(before: Any, now: Any, path: str) -> Iterator[str]:
    """Dotted names of the fields in which two tables differ."""
    if isinstance(before, Mapping) and isinstance(now, Mapping):
        for key in sorted(before.keys() | now.keys()):
            yield from _differing(before.get(key), now.get(key), f"{path}.{key}" if path else str(key))
    elif before != now:
        yield path.removeprefix("recipe.")


def _covered(name: str, allowed: frozenset[str]) -> bool:
    return any(name == field or name.startswith(f"{field}.") for field in allowed)
