"""The server as a process: from folders to answers, until SIGTERM."""

from __future__ import annotations

import logging
import signal
import socket
from dataclasses import dataclass, field
from pathlib import Path

import uvicorn

from isthmus.core.errors import InputError
from isthmus.serve.app import application
from isthmus.serve.keys import Keys
from isthmus.serve.limits import Limits
from isthmus.serve.models import Models
from isthmus.serve.service import Service

DRAIN = 5
"""So many seconds longer than a request may take, the server waits for those in work when it stops."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where and for whom to serve.

    Attributes:
        host: the address to listen at.
        port: the port; 0 takes a free one.
        keys: who may use it.
        origins: of other sites whose pages may use it.
    """

    host: str = "127.0.0.1"
    port: int = 8000
    keys: Keys = field(default_factory=Keys)
    origins: tuple[str, ...] = ()


def name_and_folder(given: str) -> tuple[str, Path]:
    """`NAME=FOLDER`, or a folder, whose name it is then (a run's `best` has the name of the run).

    Raises:
        InputError: the name is empty.
    """
    name, sign, folder = given.partition("=")
    if sign and not Path(given).exists():
        if not name or not folder:
            raise InputError(
                "a model is named by NAME=FOLDER", expected="a name and a folder", got=given, where="MODEL"
            )
        return name, Path(folder)
    path = Path(given)
    real = path.resolve()
    return (real.parent.name if real.name == "best" else real.name) or "model", path


def serve_models(models: Models, limits: Limits, place: Place, version: str) -> None:
    """Serve until SIGTERM or Ctrl-C; then finish what is in work.

    Args:
        models: what to serve.
        limits: what a request may ask for.
        place: where, and for whom.
        version: of Isthmus.

    Raises:
        InputError: one cannot listen there.
    """
    with listening(place) as own:  # before uvicorn closes what others log to
        app = application(Service(models, limits), place.keys, place.origins, version)
        config = uvicorn.Config(
            app,
            http="h11",
            log_level="info",
            access_log=False,
            server_header=False,
            timeout_graceful_shutdown=int(limits.seconds) + DRAIN,
        )
        host, port = own.getsockname()[:2]
        shown = f"[{host}]" if ":" in host else host
        log = logging.getLogger("uvicorn.error")
        log.info("serving %s at http://%s:%d", ", ".join(one.name for one in models.served), shown, port)
        # uvicorn repeats the signal that it was stopped by once it is done; that is no failure of this process
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, _nothing)
        uvicorn.Server(config).run(sockets=[own])


def listening(place: Place) -> socket.socket:
    """A socket that listens.

    Raises:
        InputError: the address is not of this machine, or the port is taken or may not be used.
    """
    family = socket.AF_INET6 if ":" in place.host else socket.AF_INET
    try:
        return socket.create_server((place.host, place.port), family=family, backlog=2048)
    except (OSError, UnicodeError) as error:
        raise InputError(
            "the server cannot listen here",
            expected="an address of this machine and a free port",
            got=f"{place.host}, port {place.port}: {error.strerror if isinstance(error, OSError) else error}",
            where="--host and --port",
            fix="take another port, or --port 0 for a free one",
        ) from None


def _nothing(number: int, frame: object) -> None:
    """What a signal does when the server has already heeded it."""
