"""`isthmus study`: several architectures, one budget, one table with figures."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from isthmus.cli import options

commands = typer.Typer()


@commands.command()
def study(
    path: Annotated[Path, typer.Argument(metavar="STUDY.toml", help="What to compare, in one file.")],
    out: Annotated[Path, typer.Option(metavar="DIR", help="The folder of the study.")],
    threads: options.Threads = None,
) -> None:
    """Train several variants of a recipe under one budget on the same data, and compare them in a table and figures.

    Ctrl-C writes a checkpoint; the same command goes on from there. What has been
    trained is not trained again. Figures need matplotlib, the extra `plot`.

      isthmus study studies/scan-architectures.toml --out runs/scan-study
    """
    from isthmus.cli.train import set_up
    from isthmus.workflows.study import run_study
    from isthmus.workflows.study_config import load_study

    plan = load_study(path)
    set_up(threads)
    console = options.messages()
    studied = run_study(plan, out, console)
    if studied.signal:
        raise typer.Exit(128 + studied.signal)
    options.say(console, "", f"the table is in {out / 'study.md'}, its numbers in {out / 'study.json'}")
    typer.echo((out / "study.md").read_text(encoding="utf-8").rstrip("\n"))
