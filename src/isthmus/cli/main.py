"""The entry point `isthmus`: its commands, and how an error is said."""

from __future__ import annotations

import io
import sys
from collections.abc import Sequence
from typing import Annotated, NoReturn

import typer

from isthmus import __version__
from isthmus.cli import (
    box,
    compare,
    distill,
    doctor,
    evaluate,
    export,
    generate,
    import_,
    inspect,
    serve,
    shard,
    study,
    train,
)
from isthmus.core.errors import IsthmusError

app = typer.Typer(
    name="isthmus",
    help="Train encoder-decoder models from your own pairs of sequences, generate with them, and measure them.",
    epilog="Each command explains itself: isthmus train --help",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["--help", "-h"]},
)
for part in (train, generate, evaluate, compare, doctor, inspect, export, import_, study, serve, box, distill, shard):
    app.add_typer(part.commands)


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"isthmus {__version__}")
        raise typer.Exit


@app.callback()
def main(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    """Train encoder-decoder models from your own pairs of sequences, generate with them, and measure them."""


def run(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run a command and exit: 0 done, 2 wrong use or input, 1 anything else, 130 after Ctrl-C, 143 after SIGTERM.

    Args:
        arguments: those of the command line, without the name of the program; by default the process's own.

    Raises:
        SystemExit: always.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(encoding="utf-8", errors="backslashreplace")
    try:
        app(sys.argv[1:] if arguments is None else list(arguments), prog_name="isthmus")
    except IsthmusError as error:
        _fail(str(error), error.exit_code)
    except OSError as error:
        kinds = FileNotFoundError | FileExistsError | NotADirectoryError | IsADirectoryError | PermissionError
        wrong_use = isinstance(error, kinds)
        place = f"\n  where: {error.filename}" if error.filename else ""
        _fail(f"the system refused to read or write: {error.strerror or error}{place}", 2 if wrong_use else 1)
    raise SystemExit(0)


def _fail(said: str, code: int) -> NoReturn:
    typer.echo(f"error: {said}", err=True)
    raise SystemExit(code)
