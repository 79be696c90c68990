"""`isthmus export`: a model for another tool."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from isthmus.cli import options

commands = typer.Typer()


@commands.command()
def export(
    model: Annotated[Path, typer.Argument(metavar="MODEL", help="A bundle, or the folder of a training run.")],
    out: Annotated[Path, typer.Argument(metavar="OUT", help="The new folder.")],
    to: Annotated[Literal["huggingface"], typer.Option(help="The tool.")],
    input: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Texts to compare on, one a line (default: drawn from the vocabulary)."),
    ] = None,
    target_language: Annotated[
        str, typer.Option(metavar="TAG", help="Whose tag sources begin with, if the model reads one.")
    ] = "",
    as_json: options.Json = False,
) -> None:
    """Write a model for another tool, and show that it computes the same there.

    The folder is there only if the log-probabilities and the outputs of greedy
    and beam search are the same on the sample texts.

      isthmus export runs/en-fr en-fr-hf --to huggingface
    """
    import json

    from isthmus.core.files import existing_file
    from isthmus.export.needed import free_place, needs
    from isthmus.export.samples import drawn_texts
    from isthmus.generate.load import best_of
    from isthmus.model.bundle import Bundle

    free_place(out)
    texts = None if input is None else existing_file(input, "the texts").read_text(encoding="utf-8").splitlines()
    bundle = Bundle.load(best_of(model))
    needs(to)
    from isthmus.export.huggingface.write import export as write

    parity = write(bundle, out, texts or drawn_texts(bundle.codec), target_language)
    if as_json:
        typer.echo(json.dumps({"folder": str(out), "to": to, **parity.to_json()}, ensure_ascii=False))
        return
    options.say(options.messages(), *parity.table())
    typer.echo(str(out))
