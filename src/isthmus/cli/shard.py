"""`isthmus shard`: a corpus in many files, for training on many machines."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from isthmus.cli import options

commands = typer.Typer()


@commands.command()
def shard(
    out: Annotated[Path, typer.Option(metavar="DIR", help="The new folder, for the shards and manifest.json.")],
    source: options.Source = None,
    target: options.Target = None,
    data: options.Data = None,
    count: Annotated[int, typer.Option(metavar="N", help="How many shards, at most 512.")] = 64,
) -> None:
    """Divide a corpus into shards, each a sample of the whole, so that each process of a training reads its own share only.

    In a recipe, `shards = "DIR/manifest.json"` of the table `data` stands in place of `train`.

      isthmus shard --source train.en.gz --target train.fr.gz --out shards
    """
    from isthmus.data.shards import MANIFEST, divide

    pairs = options.needed(options.one_corpus(source, target, data))
    made = divide(pairs, out, count)
    typer.echo(f"{made.pairs:,} pairs in {count} shards: {out / MANIFEST}")
