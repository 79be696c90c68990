"""`isthmus inspect`: one page that shows what a model does with one input."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from isthmus.cli import options

commands = typer.Typer()


@commands.command()
def inspect(
    model: Annotated[Path, typer.Argument(metavar="MODEL", help="A bundle, or the folder of a training run.")],
    text: Annotated[str, typer.Argument(metavar="TEXT", help="What to look at the model with.")],
    out: Annotated[Path, typer.Option(metavar="FILE", help="Where the page goes.")],
    target: Annotated[
        str | None, typer.Option(metavar="TEXT", help="The output to look at (default: what the model finds).")
    ] = None,
    device: options.Device = "auto",
    threads: options.Threads = None,
) -> None:
    """Show one input's way through the model on a page of its own: pieces, the encoder's output, attention, words, probabilities, beams.

    The page is a single HTML file that needs no network. The text is read as a
    whole, by a plain beam search.

      isthmus inspect runs/tatoeba-en-fr "I love this beer." --out report.html
    """
    from isthmus.cli.reading import texts
    from isthmus.core.files import write_text
    from isthmus.core.runtime import probe
    from isthmus.evaluate.inspect import inspect as looked
    from isthmus.evaluate.page import page
    from isthmus.generate.load import best_of
    from isthmus.model.bundle import Bundle

    options.refuse_folder(out)
    said = list(texts([text] if target is None else [text, target], None))
    bundle = Bundle.load(best_of(model))
    found = looked(bundle, said[0], target, probe("float32", device, threads))
    write_text(out, page(found))
    options.say(options.messages(), f"{found.source} → {found.target}", f"the page is in {out}")
