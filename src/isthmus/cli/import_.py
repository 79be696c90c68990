"""`isthmus import`: a model from another tool."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from isthmus.core.files import free_place

commands = typer.Typer()


@commands.command(name="import")
def import_(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="A local folder of Hugging Face.")],
    out: Annotated[Path, typer.Argument(metavar="OUT", help="The new bundle.")],
    source_language: Annotated[
        str, typer.Option(metavar="NAME", help="Of sources, as a model of many languages names it.")
    ] = "",
    target_language: Annotated[str, typer.Option(metavar="NAME", help="Of targets, likewise.")] = "",
    start: Annotated[
        Literal["encoder", "decoder", "both"] | None,
        typer.Option(help="Of a BERT (or GPT-2: decoder): which half it starts; the rest is fresh, to be trained."),
    ] = None,
) -> None:
    """Read a model of Hugging Face from a local folder into a bundle.

    Marian, BART, mBART, M2M100 (NLLB), Pegasus, T5, mT5 and UMT5, with weights
    in safetensors format. A model of many languages is imported for one pair.

      isthmus import opus-mt-en-fr en-fr --source-language en --target-language fr
    """
    from isthmus.export.needed import needs

    free_place(out)
    needs("huggingface")
    from isthmus.export.huggingface.read import card, read
    from isthmus.export.huggingface.warm import read_half

    bundle = read(folder, source_language, target_language) if start is None else read_half(folder, start)
    bundle.save(out, card(bundle, folder))
    typer.echo(str(out))
