"""A server in a thread of the test, on a free port of this machine, and engines that are slow or fail."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import httpx
import uvicorn
from torch import Tensor

from isthmus.core.padded import Padded
from isthmus.engines.engine import Engine, EngineState
from isthmus.generate.jobs import search_jobs
from isthmus.generate.load import translator
from isthmus.generate.translator import Translator
from isthmus.serve.app import application
from isthmus.serve.keys import Keys
from isthmus.serve.limits import Limits
from isthmus.serve.models import Models, Served
from isthmus.serve.service import Service
from tests.unit.generate.tiny_bundle import tiny_bundle

PAIR = {"source_language": "en", "target_language": "fr"}


class Hooked(Engine):
    """An engine that calls something before each step, and counts its steps."""

    def __init__(self, engine: Engine, before: Callable[[Tensor], None]) -> None:
        self.engine, self.before, self.steps = engine, before, 0

    @property
    def start_ids(self) -> tuple[int, ...]:
        return self.engine.start_ids

    @property
    def device(self) -> str:
        return self.engine.device

    def running(self) -> AbstractContextManager[None]:
        return self.engine.running()

    def start(self, source: Padded) -> EngineState:
        return self.engine.start(source)

    def step(
        self, tokens_BT: Tensor, state: EngineState, weights: bool = False
    ) -> tuple[Tensor, EngineState, Tensor | None]:
        self.steps += 1
        self.before(tokens_BT)
        return self.engine.step(tokens_BT, state, weights)

    def read(self, source: Padded, target_in: Padded) -> Tensor:
        return self.engine.read(source, target_in)


def tiny(info: Mapping[str, Any] | None = None, **changes: Any) -> Translator:
    return translator(tiny_bundle(info=PAIR if info is None else info, **changes))


def hooked(before: Callable[[Tensor], None], **changes: Any) -> tuple[Translator, Hooked]:
    """A translator of a tiny model, and its engine, which calls `before` at each step."""
    machine = tiny(**changes)
    engine = Hooked(machine.engine, before)
    return machine.through(engine, lambda jobs, target, options: search_jobs(engine, jobs, target, options)), engine


def slowly(seconds: float) -> Callable[[Tensor], None]:
    return lambda _: time.sleep(seconds)


@contextmanager
def running(
    *machines: Translator, limits: Limits | None = None, keys: Keys | None = None, origins: tuple[str, ...] = ()
) -> Iterator[httpx.Client]:
    """A client of a server with these models, called `one`, `two`, ..."""
    names = ("one", "two", "three")
    served = [Served(name, machine) for name, machine in zip(names, machines or (tiny(),), strict=False)]
    app = application(Service(Models(served), limits or Limits()), keys, origins)
    server = uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=0, log_level="error", http="h11"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    port = server.servers[0].sockets[0].getsockname()[1]
    with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60, trust_env=False) as client:
        yield client
    server.should_exit = True
    thread.join()
