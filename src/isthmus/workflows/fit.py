"""The friendly form of a training: from pairs or a recipe to a translator."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from rich.console import Console

from isthmus.core.errors import InputError
from isthmus.core.files import existing_file
from isthmus.core.runtime import probe
from isthmus.data.pairs import Pairs
from isthmus.generate.load import load
from isthmus.generate.translator import Translator
from isthmus.workflows.automatic import automatic_recipe
from isthmus.workflows.budget import check_minutes
from isthmus.workflows.claim import NOTE, has_begun, noted
from isthmus.workflows.recipe import Recipe, load_recipe
from isthmus.workflows.run import Request, run

Files = str | Path | tuple[str | Path, str | Path] | Pairs
"""A TSV or JSON Lines file of pairs, or two line-aligned files: sources and targets."""

MINUTES = 30.0
"""The time for training where there is neither a recipe nor another word about it."""


def fit(
    recipe: str | Path | Recipe | None = None,
    *,
    out: str | Path,
    data: Files | None = None,
    dev: Files | None = None,
    test: Files | None = None,
    languages: tuple[str, str] = ("", ""),
    minutes: float | None = None,
    progress: bool = True,
) -> Translator:
    """Train a model from pairs or from a recipe, or go on with the training that `out` holds; return the best one.

    Args:
        recipe: a recipe or its file; without one, everything is chosen from a look at `data`, the time and the machine.
        out: the folder of the run; the best model is left in `out/best`.
        data: the training pairs, if there is no recipe.
        dev: the development pairs; by default some of the training pairs are held out.
        test: the test pairs, scored once at the end.
        languages: of the sources and of the targets (BCP 47), if there is no recipe.
        minutes: the time for training; by default what the recipe says, and without a recipe 30 minutes.
        progress: show what is happening on standard error.

    Raises:
        InputError: neither a recipe nor pairs are given, or both; or they cannot be used.
        KeyboardInterrupt: training was interrupted, after a checkpoint was written; the same call goes on from there.

    Example:
        >>> isthmus.fit(data=("train.en", "train.fr"), out="en-fr", minutes=30)  # doctest: +SKIP
    """
    folder = Path(out)
    if recipe is None and data is not None:
        dev_pairs, test_pairs = (None if one is None else pairs_of(one, languages) for one in (dev, test))
        named = pairs_of(data, languages), dev_pairs, test_pairs
        request = automatic_request(named, MINUTES if minutes is None else minutes, folder)
    elif recipe is not None and (data, dev, test) == (None, None, None):
        loaded = recipe if isinstance(recipe, Recipe) else load_recipe(Path(recipe))
        base = Path() if isinstance(recipe, Recipe) else Path(recipe).parent
        request = Request(loaded, base, minutes)
    else:
        raise InputError(
            "training needs a recipe or pairs",
            expected="`recipe`, or `data` (and if there are any `dev` and `test`)",
            got="neither" if recipe is None else "both",
            where="fit",
            fix="name the sets in the recipe, or leave the recipe out",
        )
    fitted = run(request, folder, Console(stderr=True) if progress else None)
    if fitted.stopped == "interrupted":
        raise KeyboardInterrupt
    return load(fitted.bundle)


def pairs_of(files: Files, languages: tuple[str, str] = ("", "")) -> Pairs:
    """The pairs of one file or of two, in their languages."""
    if isinstance(files, Pairs):
        return files
    source, target = files if isinstance(files, tuple) else (files, None)
    return Pairs(Path(source), None if target is None else Path(target), (), *languages)


def automatic_request(
    named: tuple[Pairs, Pairs | None, Pairs | None],
    minutes: float,
    out: Path,
    *,
    resume: bool = False,
    allow_changed: frozenset[str] = frozenset(),
) -> Request:
    """The request of a training without a recipe; a run that has begun keeps the recipe that was chosen for it.

    Args:
        named: the training, development and test pairs.
        minutes: the time for training.
        out: the folder of the run.
        resume: as in `Request`.
        allow_changed: as in `Request`.

    Raises:
        InputError: the time is not positive, or a file is missing.
        DataError: the training pairs cannot be read.
    """
    check_minutes(minutes)
    resolved = [
        None if one is None else replace(one, source=one.source.resolve(), target=one.target and one.target.resolve())
        for one in named
    ]
    for one in resolved:
        for file in () if one is None else one.files:
            existing_file(file, "the corpus")
    recipe = None
    if has_begun(out) and (out / NOTE).is_file():
        before = Recipe.of(noted(out)["recipe"], str(out / NOTE))
        sets = next(iter(before.data.train), None), before.data.dev, before.data.test
        found = [None if files is None else before.data.corpus(files, out).pairs for files in sets]
        recipe = before if found == resolved else None
    recipe = recipe or automatic_recipe(*named, minutes, probe())
    return Request(recipe, out, minutes, resume, allow_changed)
