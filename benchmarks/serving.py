"""A server under more than it can do: many requests at twice its capacity, over loopback only.

    python -m benchmarks.serving [--model DIR] [--requests 20000] [--minutes 20] [--threads 1]

`isthmus serve` runs in a process of its own. Its capacity is measured (64 connections, each waiting for its answer), then requests are
sent at twice that rate whether or not answers come. Every answer is held against what the same model says to the same text alone; what may
come instead is 429 or 503. The server's memory is read after the first fifth, and at the end. Without a model, a tiny random one is served.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import re
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from isthmus.generate.load import load
from isthmus.generate.options import GenerationOptions
from isthmus.generate.translator import Translator
from tests.unit.generate.tiny_bundle import tiny_bundle

TEXTS = 100
CAPACITY_REQUESTS = 300
CONNECTIONS = 64
OPTIONS: dict[str, Any] = {"num_beams": 2, "guards": False}  # a random model gives what guards would decode again


@dataclass(slots=True)
class Tally:
    """What came of the requests."""

    statuses: Counter[int] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    memory: list[tuple[int, float]] = field(default_factory=list)

    @property
    def answered(self) -> int:
        return sum(self.statuses.values())


class Connection:
    """A connection to the server that is kept open; it is for one request at a time."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.reader: asyncio.StreamReader | None = None
        self.writer: asyncio.StreamWriter | None = None

    async def post(self, path: str, body: bytes) -> tuple[int, bytes]:
        """Send a request; one that meets a connection that the server has closed meanwhile goes over a new one."""
        head = (
            f"POST {path} HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        reused = self.writer is not None
        try:
            return await self._exchange(head.encode() + body)
        except (OSError, asyncio.IncompleteReadError) as error:
            if not reused or (isinstance(error, asyncio.IncompleteReadError) and error.partial):
                raise
            self.close()
            return await self._exchange(head.encode() + body)

    async def _exchange(self, request: bytes) -> tuple[int, bytes]:
        if self.reader is None or self.writer is None:
            self.reader, self.writer = await asyncio.open_connection("127.0.0.1", self.port)
        self.writer.write(request)
        await self.writer.drain()
        said = (await self.reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
        length = re.search(r"content-length: (\d+)", said)
        content = await self.reader.readexactly(int(length.group(1)) if length else 0)
        if "connection: close" in said:
            self.close()
        return int(said.split(" ", 2)[1]), content

    def close(self) -> None:
        if self.writer is not None:
            self.writer.close()
        self.reader = self.writer = None


class Load:
    """Sends requests and looks at what comes.

    Args:
        port: of the server.
        expected: what the model says to each text alone.
    """

    def __init__(self, port: int, expected: Mapping[str, str]) -> None:
        self.port, self.expected, self.texts = port, expected, list(expected)
        self.free: list[Connection] = []

    async def one(self, number: int, tally: Tally) -> None:
        text = self.texts[number % len(self.texts)]
        connection = self.free.pop() if self.free else Connection(self.port)
        began = time.perf_counter()
        try:
            status, content = await connection.post(
                "/v1/generate", json.dumps({"texts": [text], "options": OPTIONS}).encode()
            )
        except (OSError, EOFError) as error:
            connection.close()
            tally.wrong.append(f"{text!r}: no answer ({type(error).__name__})")
            tally.statuses[0] += 1
            return
        self.free.append(connection)
        tally.statuses[status] += 1
        if status == 200:
            tally.seconds.append(time.perf_counter() - began)
            found = json.loads(content)["answers"][0]["outputs"][0]["text"]
            if found != self.expected[text]:
                tally.wrong.append(f"{text!r}: {found!r}, alone {self.expected[text]!r}")
        elif status not in (429, 503):
            tally.wrong.append(f"{text!r}: status {status}: {content[:200]!r}")

    async def waiting(self, count: int, connections: int) -> tuple[Tally, float]:
        """So many requests on some connections, each waiting for its answer; and how many were answered a second."""
        tally, numbers = Tally(), iter(range(count))

        async def work() -> None:
            for number in numbers:
                await self.one(number, tally)

        began = time.perf_counter()
        await asyncio.gather(*(work() for _ in range(connections)))
        return tally, count / (time.perf_counter() - began)

    async def pressing(self, count: int, rate: float, minutes: float, process: int) -> Tally:
        """So many requests at a rate, whether or not answers come."""
        tally, tasks, began = Tally(), set(), time.perf_counter()
        for number in range(count):
            ahead = began + number / rate - time.perf_counter()
            if ahead > 0:
                await asyncio.sleep(ahead)
            if time.perf_counter() - began > 60 * minutes:
                break
            tasks.add(task := asyncio.create_task(self.one(number, tally)))
            task.add_done_callback(tasks.discard)
            if number % max(1, count // 20) == 0:
                tally.memory.append((number, megabytes(process)))
        await asyncio.gather(*tasks)
        tally.memory.append((tally.answered, megabytes(process)))
        return tally


def megabytes(process: int) -> float:
    """The memory of a process that is not swapped or shared with a file."""
    status = Path(f"/proc/{process}/status").read_text(encoding="utf-8")
    found = re.search(r"RssAnon:\s+(\d+) kB", status)
    return int(found.group(1)) / 1024 if found else 0.0


def texts_of(seed: int = 1) -> list[str]:
    """Different texts over the letters of the tiny model."""
    generator = random.Random(seed)
    texts = {
        "".join(generator.choices("abcdefgh ABCDEFGH.!?", k=generator.randint(3, 40))).strip() for _ in range(2 * TEXTS)
    }
    return sorted(texts - {""})[:TEXTS]


def alone(machine: Translator, texts: Sequence[str]) -> dict[str, str]:
    """What a model says to each text by itself."""
    options = GenerationOptions.of(OPTIONS)
    return {text: machine.answers([text], options)[0].text for text in texts if text}


@contextmanager
def served(model: Path, threads: int) -> Iterator[tuple[int, int]]:
    """A server of a model: its process and its port."""
    command = [sys.executable, "-m", "isthmus", "serve", f"model={model}", "--port", "0", "--threads", str(threads)]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL)
    try:
        port = None
        while process.stderr is not None and port is None and (line := process.stderr.readline().decode()):
            port = re.search(r"http://127\.0\.0\.1:(\d+)", line)
        if port is None:
            raise SystemExit("the server did not start")
        yield process.pid, int(port.group(1))
    finally:
        process.terminate()
        process.wait(timeout=60)


async def measured(load: Load, process: int, requests: int, minutes: float) -> tuple[float, Tally]:
    await load.waiting(CAPACITY_REQUESTS // 4, CONNECTIONS)
    calm, capacity = await load.waiting(CAPACITY_REQUESTS, CONNECTIONS)
    tally = await load.pressing(requests, 2 * capacity, minutes, process)
    tally.wrong += calm.wrong
    return capacity, tally


def report(capacity: float, tally: Tally, took: float) -> None:
    waits = sorted(tally.seconds)
    early = next(size for number, size in tally.memory if number >= tally.answered // 5)
    late = tally.memory[-1][1]
    print(
        f"capacity {capacity:.0f} requests/s with {CONNECTIONS} connections; then {tally.answered:,} requests at twice that"
    )
    print(f"{took:.0f} s, {tally.statuses[200] / took:.0f} answers/s; statuses {dict(sorted(tally.statuses.items()))}")
    print(f"answered after {waits[len(waits) // 2]:.2f} s (median), {waits[len(waits) * 99 // 100]:.2f} s (99 %)")
    print(f"memory {early:.1f} MB after a fifth, {late:.1f} MB at the end: {100 * (late / early - 1):+.1f} %")
    print(f"{len(tally.wrong)} wrong answers", *tally.wrong[:10], sep="\n")


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, help="a bundle; by default a tiny random one")
    parser.add_argument("--input", type=Path, help="texts for it, one a line")
    parser.add_argument("--requests", type=int, default=20_000)
    parser.add_argument("--minutes", type=float, default=20, help="stop sending after so many")
    parser.add_argument("--threads", type=int, default=1)
    given = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as name:
        model = given.model
        if model is None:
            model = Path(name) / "model"
            tiny_bundle({"source_language": "en", "target_language": "fr"}).save(model)
        texts = texts_of() if given.input is None else given.input.read_text(encoding="utf-8").splitlines()[:TEXTS]
        machine = load(model, threads=given.threads)
        expected = alone(machine, texts)
        with served(model, given.threads) as (process, port):
            began = time.perf_counter()
            capacity, tally = asyncio.run(measured(Load(port, expected), process, given.requests, given.minutes))
            report(capacity, tally, time.perf_counter() - began)
    raise SystemExit(1 if tally.wrong else 0)


if __name__ == "__main__":
    main()
