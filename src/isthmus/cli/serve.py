"""`isthmus serve`: models over HTTP, and a page."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from isthmus import __version__
from isthmus.cli import options
from isthmus.core.errors import InputError

LIMITS, ACCESS = "Limits", "Access"

commands = typer.Typer()


@commands.command()
def serve(
    model: Annotated[
        list[str],
        typer.Argument(metavar="MODEL", help="Bundles, or folders of training runs; NAME=FOLDER gives one a name."),
    ],
    host: Annotated[str, typer.Option(metavar="ADDRESS", help="Where to listen.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(metavar="N", min=0, max=65535, help="The port; 0 takes a free one.")] = 8000,
    api_keys: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Ask for one of these keys, one a line.", rich_help_panel=ACCESS),
    ] = None,
    allow_origin: Annotated[
        list[str] | None,
        typer.Option(
            metavar="ORIGIN",
            help="Another site whose pages may use the server (CORS); may come several times.",
            rich_help_panel=ACCESS,
        ),
    ] = None,
    max_body: Annotated[
        int, typer.Option(metavar="BYTES", min=1024, help="The most bytes of a request.", rich_help_panel=LIMITS)
    ] = 1 << 20,
    max_characters: Annotated[
        int, typer.Option(metavar="N", min=1, help="The most characters of a text.", rich_help_panel=LIMITS)
    ] = 5000,
    max_texts: Annotated[
        int, typer.Option(metavar="N", min=1, help="The most texts of a request.", rich_help_panel=LIMITS)
    ] = 32,
    max_beams: Annotated[
        int, typer.Option(metavar="N", min=1, help="The most beams, and outputs of a text.", rich_help_panel=LIMITS)
    ] = 16,
    queue: Annotated[
        int,
        typer.Option(metavar="N", min=1, help="Requests at a time; more get 503.", rich_help_panel=LIMITS),
    ] = 256,
    timeout: Annotated[
        float,
        typer.Option(metavar="SECONDS", min=0.1, help="How long a request may take.", rich_help_panel=LIMITS),
    ] = 30.0,
    rows: Annotated[
        int,
        typer.Option(metavar="N", min=1, help="Beams of all clients to decode at a time.", rich_help_panel=LIMITS),
    ] = 320,
    device: options.Device = "auto",
    precision: options.Precision = "float32",
    threads: options.Threads = None,
) -> None:
    """Serve models over HTTP, with a page at /, until SIGTERM; then what is in work is finished.

    There are a native interface (/openapi.json describes it), those of LibreTranslate and DeepL, /healthz, /readyz and
    /metrics. Requests of many clients are decoded together; the answers are those of each alone.

    isthmus serve en-fr

    isthmus serve en-fr fr-en --port 8080 --api-keys keys.txt
    """
    _check_installed()
    from isthmus.generate.load import load
    from isthmus.serve.keys import Keys
    from isthmus.serve.limits import Limits
    from isthmus.serve.models import Models, Served
    from isthmus.serve.run import Place, name_and_folder, serve_models

    keys = Keys() if api_keys is None else Keys.read(api_keys)
    place = Place(host, port, keys, tuple(allow_origin or ()))
    limits = Limits(
        body=max_body,
        characters=max_characters,
        texts=max_texts,
        beams=max_beams,
        queue=queue,
        seconds=timeout,
        rows=rows,
    )
    served = [
        Served(name, load(folder, device=device, precision=precision, threads=threads))
        for name, folder in map(name_and_folder, model)
    ]
    serve_models(Models(served), limits, place, __version__)


def _check_installed() -> None:
    """Raise an InputError if the server's libraries are not installed."""
    from importlib.util import find_spec

    missing = [name for name in ("fastapi", "uvicorn", "prometheus_client", "py3langid") if find_spec(name) is None]
    if missing:
        raise InputError(
            "the server needs libraries that are not installed",
            expected="fastapi, uvicorn, prometheus-client and py3langid",
            got=f"no {missing[0]}",
            fix="pip install 'isthmus[serve]'",
        )
