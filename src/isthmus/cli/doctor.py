"""`isthmus doctor`: what is wrong with this data, before the first step."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from isthmus.cli import options

if TYPE_CHECKING:
    from isthmus.data.pairs import Pairs
    from isthmus.workflows.diagnose import Visit

commands = typer.Typer()


@commands.command()
def doctor(
    recipe: Annotated[
        Path | None, typer.Argument(metavar="RECIPE.toml", help="Examine all that a recipe names.")
    ] = None,
    source: options.Source = None,
    target: options.Target = None,
    data: options.Data = None,
    dev: options.Dev = None,
    test: options.Test = None,
    as_json: options.Json = False,
) -> None:
    """Look at a training set, and at what it is measured on, for everything that commonly goes wrong.

    The exit code is 1 if something would ruin the training, 0 otherwise. With a
    recipe, its vocabularies are learned too, so that unknown pieces and pairs
    that are too long are found.

      isthmus doctor --source train.en --target train.fr --dev dev.en,dev.fr
    """
    named = options.one_corpus(source, target, data), options.parsed(dev), options.parsed(test)
    if recipe is None:
        found: tuple[Visit, ...] = (_of_pairs(options.needed(named[0]), named[1], named[2]),)
    else:
        options.refuse_pairs(recipe, named)
        found = _of_recipe(recipe)
    fatal = any(visit.diagnosis.fatal for visit in found)
    if as_json:
        corpora = [{"train": str(visit.train), **visit.diagnosis.to_json()} for visit in found]
        typer.echo(json.dumps({"fatal": fatal, "corpora": corpora}, ensure_ascii=False))
    else:
        typer.echo("\n\n".join("\n".join([str(visit.train), *visit.diagnosis.report()]) for visit in found))
    raise typer.Exit(1 if fatal else 0)


def _of_pairs(train: Pairs, dev: Pairs | None, test: Pairs | None) -> Visit:
    from isthmus.data.doctor import examine
    from isthmus.workflows.diagnose import Visit

    return Visit(train, examine(train, dev, test))


def _of_recipe(path: Path) -> tuple[Visit, ...]:
    from isthmus.workflows.diagnose import visits_with_vocabulary
    from isthmus.workflows.recipe import load_recipe

    return visits_with_vocabulary(load_recipe(path), path.parent)
