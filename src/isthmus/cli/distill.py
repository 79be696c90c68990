"""`isthmus distill`: a small, fast model from what a large one writes."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from isthmus.cli import options
from isthmus.cli.train import set_up

commands = typer.Typer()

MINUTES = 30.0


@commands.command()
def distill(
    teacher: Annotated[Path, typer.Argument(metavar="TEACHER", help="A bundle, or the folder of a training run.")],
    source: Annotated[
        Path, typer.Option("--input", metavar="FILE", help="What the teacher decodes, a text a line (plain or .gz).")
    ],
    out: Annotated[Path, typer.Option(metavar="STUDENT", help="The folder of the student's run.")],
    changes: Annotated[
        list[str] | None, typer.Argument(metavar="key.path=value", help="Changes of the student's recipe.")
    ] = None,
    minutes: Annotated[
        float | None,
        typer.Option(metavar="M", help="The time for training (default: 30, unless train.steps is changed)."),
    ] = None,
    num_beams: Annotated[int, typer.Option("--beam", metavar="N", min=1, help="Beams of the teacher's search.")] = 5,
    layers: Annotated[
        int, typer.Option("--decoder-layers", metavar="N", min=1, help="Layers of the student's decoder.")
    ] = 1,
    pairs: Annotated[
        str | None,
        typer.Option(
            metavar="PAIRS", help="Pairs that people wrote, learned beside the teacher's.", rich_help_panel=options.DATA
        ),
    ] = None,
    dev: options.Dev = None,
    test: options.Test = None,
    threads: options.Threads = None,
) -> None:
    """Train a fast student on what a teacher makes of a text (sequence-level distillation).

    The student has the teacher's encoder and weights, and one decoder layer.
    Where its model or tokenizer is changed (model.encoder.layers=12), it begins
    with fresh weights. Quality and speed of both are printed as a table,
    against --test if it is given. Ctrl-C loses nothing: the same command goes
    on from there.

      isthmus distill runs/en-fr --input english.txt --out runs/fast --test test.tsv
    """
    beside, held, asked = options.parsed(pairs), options.parsed(dev), options.parsed(test)
    set_up(threads)
    from isthmus.workflows.distill import taught_student
    from isthmus.workflows.student import Lesson

    steps = any(change.strip().startswith("train.steps") for change in changes or ())
    budget = minutes if minutes is not None or steps else MINUTES
    lesson = Lesson(teacher, source, out, budget, num_beams, layers, beside, held, asked, tuple(changes or ()))
    found = taught_student(lesson, options.messages())
    if found.fitted.stopped == "interrupted":
        raise typer.Exit(128 + found.fitted.signal)
    typer.echo("\n".join(found.table))
