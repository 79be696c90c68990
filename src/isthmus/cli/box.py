"""`isthmus models`: what is in the box."""

from __future__ import annotations

import typer

commands = typer.Typer()


@commands.command()
def models() -> None:
    """List the models that come with Isthmus: their names, languages, sizes and licences.

    A model is used by its name, or as box:NAME where a folder has that name.
    """
    from isthmus.engines.forms import described_by
    from isthmus.model.box import boxed

    found = boxed()
    if not found:
        typer.echo("there is no model in the box; `isthmus train` makes one", err=True)
    for name, folder in found.items():
        info = described_by(folder).info
        languages = " → ".join(str(info[side]) for side in ("source_language", "target_language") if info.get(side))
        size = sum(path.stat().st_size for path in folder.iterdir()) / 1e6
        typer.echo("\t".join([name, languages, f"{size:.1f} MB", str(info.get("licence", ""))]).rstrip())
