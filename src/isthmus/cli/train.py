"""`isthmus train`: from pairs or a recipe to a model."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from isthmus.cli import options
from isthmus.core.errors import InputError

if TYPE_CHECKING:
    from isthmus.data.pairs import Pairs
    from isthmus.workflows.run import Request

commands = typer.Typer()


@commands.command()
def train(
    recipe: Annotated[Path | None, typer.Argument(metavar="RECIPE.toml", help="What to train, in one file.")] = None,
    changes: Annotated[
        list[str] | None, typer.Argument(metavar="key.path=value", help="Changes of the recipe.")
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="The folder of the run (default with a recipe: runs/NAME OF THE RECIPE)."),
    ] = None,
    minutes: Annotated[
        float | None,
        typer.Option(metavar="M", help="The time for training (default: the recipe's steps; without one, 30 minutes)."),
    ] = None,
    source: options.Source = None,
    target: options.Target = None,
    data: options.Data = None,
    dev: options.Dev = None,
    test: options.Test = None,
    source_language: Annotated[
        str, typer.Option(metavar="TAG", help="Language of the sources, such as en.", rich_help_panel=options.DATA)
    ] = "",
    target_language: Annotated[
        str, typer.Option(metavar="TAG", help="Language of the targets, such as fr.", rich_help_panel=options.DATA)
    ] = "",
    resume: Annotated[
        bool,
        typer.Option("--resume", help="Only go on with a run that is there.", rich_help_panel="Going on with a run"),
    ] = False,
    allow_changed: Annotated[
        list[str] | None,
        typer.Option(
            metavar="FIELD",
            help="A field that may differ from the run that is there; may be repeated.",
            rich_help_panel="Going on with a run",
        ),
    ] = None,
    threads: options.Threads = None,
) -> None:
    """Train a model from your own pairs, or from a recipe.

    With pairs, the vocabulary, the size of the model and the number of steps
    are chosen from the data, the time and the machine. The best model is left
    in DIR/best. Ctrl-C writes a checkpoint; the same command goes on from there.

      isthmus train --source train.en --target train.fr --out en-fr --minutes 30

      isthmus train recipes/tatoeba-en-fr.toml train.steps=5000
    """
    languages = source_language, target_language
    named = (
        options.one_corpus(source, target, data, languages),
        options.parsed(dev, languages),
        options.parsed(test, languages),
    )
    set_up(threads)
    allowed = frozenset(allow_changed or ())
    if recipe is None:
        folder = _folder(out)
        request = _with_pairs(named, minutes, folder, resume, allowed)
    else:
        options.refuse_pairs(recipe, (*named, *languages))
        folder = out or Path("runs") / recipe.stem
        _spare(recipe, folder)
        request = _with_recipe(recipe, changes or [], minutes, resume, allowed)
    _train(request, folder)


def set_up(threads: int | None) -> None:
    """Set what holds for the whole process."""
    import torch

    from isthmus.core.memory import keep_for_next_steps
    from isthmus.core.runtime import best_threads

    keep_for_next_steps()
    torch.set_num_threads(best_threads() if threads is None else threads)


def _folder(out: Path | None) -> Path:
    if out is None:
        raise InputError(
            "a training without a recipe needs a folder",
            expected="--out DIR",
            got="none",
            where="the command line",
            fix="name a folder, for example --out en-fr; or name a recipe",
        )
    return out


def _spare(recipe: Path, folder: Path) -> None:
    """Refuse to write what was resolved over the recipe itself; of a run that is there, `recipe.toml` is the run's own."""
    from isthmus.workflows.claim import NOTE, RESOLVED

    if recipe.resolve() == (folder / RESOLVED).resolve() and not (folder / NOTE).is_file():
        raise InputError(
            f"a run writes its own {RESOLVED}",
            expected="a recipe of another name, or in another folder",
            got=str(recipe),
            where="--out",
            fix="rename the recipe, or name another --out",
        )


def _with_pairs(
    named: tuple[Pairs | None, Pairs | None, Pairs | None],
    minutes: float | None,
    folder: Path,
    resume: bool,
    allowed: frozenset[str],
) -> Request:
    from isthmus.workflows.fit import MINUTES, automatic_request

    pairs, dev, test = named
    minutes = MINUTES if minutes is None else minutes
    return automatic_request((options.needed(pairs), dev, test), minutes, folder, resume=resume, allow_changed=allowed)


def _with_recipe(
    recipe: Path, changes: Sequence[str], minutes: float | None, resume: bool, allowed: frozenset[str]
) -> Request:
    from isthmus.workflows.recipe import load_recipe
    from isthmus.workflows.run import Request

    return Request(load_recipe(recipe, changes), recipe.parent, minutes, resume, allowed)


def _train(request: Request, folder: Path) -> None:
    """Train, and say what to do with the model; after an interruption exit as the signal asks."""
    from isthmus.core.team import is_first
    from isthmus.workflows.run import run

    console = options.messages() if is_first() else None
    fitted = run(request, folder, console)
    if fitted.stopped == "interrupted":
        raise typer.Exit(128 + fitted.signal)
    if console is None:
        return
    name = shlex.quote(str(folder))
    options.say(
        console,
        "",
        f"the best model is in {fitted.bundle}; what now:",
        f"  isthmus generate {name} < input.txt",
        f"  isthmus evaluate {name} --source sources.txt --target targets.txt",
    )
