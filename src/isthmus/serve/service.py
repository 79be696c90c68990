"""What the server does, whatever the wire format: one request is one piece of work in a thread of its own."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

from isthmus.core.errors import InputError, IsthmusError
from isthmus.data.example import Example
from isthmus.generate.answer import Answer
from isthmus.generate.options import GenerationOptions
from isthmus.generate.stream import Delta
from isthmus.generate.translator import Translator
from isthmus.serve.decoder import Decoder
from isthmus.serve.limits import Limits
from isthmus.serve.metrics import Metrics
from isthmus.serve.models import Chosen, Models
from isthmus.serve.remote import RemoteEngine
from isthmus.serve.watch import Busy, Expired, Gone, Watch

T = TypeVar("T")
Left = Callable[[], Awaitable[None]]
"""Waits until the client has gone."""

THREADS = 64
"""How many requests are worked on at a time; others wait for a thread."""

MOST_SAMPLES = 64
"""Samples to choose among (`mbr`)."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What a request asks of a model.

    Attributes:
        chosen: the model and the languages.
        texts: the inputs.
        options: laid over the model's own.
    """

    chosen: Chosen
    texts: tuple[str, ...]
    options: GenerationOptions

    @property
    def examples(self) -> list[Example]:
        """The inputs with their languages."""
        languages = self.chosen.source_language, self.chosen.target_language
        return [Example((text,), "", *languages) for text in self.texts]


class Service:
    """Models, and the threads that work with them.

    Args:
        models: what is served.
        limits: what a request may ask for.
    """

    def __init__(self, models: Models, limits: Limits) -> None:
        self.models, self.limits, self.metrics = models, limits, Metrics()
        self.decoder = Decoder(limits, self.metrics)
        self.ready = False
        self._pool = ThreadPoolExecutor(THREADS, thread_name_prefix="request")
        self._open = 0

    def start(self) -> None:
        """Begin to work."""
        self.decoder.start()
        self.ready = True

    def close(self) -> None:
        """Stop; who still waits is told so."""
        self.ready = False
        self.decoder.close()
        self._pool.shutdown(wait=True, cancel_futures=True)

    def asked(self, chosen: Chosen, texts: Sequence[str], values: dict[str, Any]) -> Asked:
        """What a request asks for, if it may.

        Args:
            chosen: the model and the languages.
            texts: the inputs.
            values: options by their names in `GenerationOptions`.

        Raises:
            InputError: there are too many texts, one is too long, or an option is more than a client may have.
        """
        options = GenerationOptions.of(values, "options")
        resolved = chosen.served.translator.options.updated(values, "options")
        limits = self.limits
        longest = max(map(len, texts), default=0)
        for name, got, most in (
            ("texts", len(texts), limits.texts),
            ("characters of a text", longest, limits.characters),
            ("num_beams", resolved.num_beams, limits.beams),
            ("num_return_sequences", resolved.num_return_sequences, limits.beams),
            ("mbr", resolved.mbr or 0, MOST_SAMPLES),
            ("characters of a beginning", len(resolved.prefix), limits.characters),
        ):
            if got > most:
                raise InputError(
                    "a request may ask for so much only",
                    expected=f"at most {most:,}",
                    got=f"{got:,}",
                    where=name,
                    fix="ask for less, or divide the request",
                )
        self.metrics.characters(chosen.served.name, sum(map(len, texts)))
        return Asked(chosen, tuple(texts), options)

    async def answers(self, asked: Asked, left: Left) -> list[Answer]:
        """The answer to each text, in order.

        Args:
            asked: the request.
            left: waits until the client has gone.

        Raises:
            Busy: there is too much to do already.
            Expired: it took too long, though there was nothing else to do.
            Gone: the client has gone.
            InputError: a text is too long for the model, or options contradict each other.
        """

        def work(watch: Watch) -> list[Answer]:
            return self._translator(asked, watch).answers(asked.examples, asked.options)

        return await self.run(work, left)

    async def run(self, work: Callable[[Watch], T], left: Left) -> T:
        """Do some work in a thread, as long as the client waits.

        Raises:
            Busy: there is too much to do already.
            Expired: it took too long, though there was nothing else to do.
            Gone: the client has gone.
        """
        async with self._in_work() as watch:
            done = asyncio.get_running_loop().run_in_executor(self._pool, _in_time, watch, work)
            leaving = asyncio.ensure_future(left())
            try:
                await asyncio.wait((done, leaving), return_when=asyncio.FIRST_COMPLETED)
                if not done.done():
                    watch.leave()
                return await done
            except asyncio.CancelledError:
                watch.leave()
                raise
            finally:
                leaving.cancel()

    async def stream(self, asked: Asked) -> AsyncIterator[Delta]:
        """The output of the one text as it comes; closing the iterator stops the decoding.

        Raises:
            Busy: there is too much to do already.
            Expired: it took too long, though there was nothing else to do.
            InputError: the text is too long for the model, or several outputs are asked for.
        """
        (example,) = asked.examples
        async with self._in_work() as watch:
            loop = asyncio.get_running_loop()
            come: asyncio.Queue[Delta | Exception | None] = asyncio.Queue()
            deltas = partial(self._translator(asked, watch).stream, example, asked.options)

            def hand(one: Delta | Exception | None) -> None:
                loop.call_soon_threadsafe(come.put_nowait, one)

            loop.run_in_executor(self._pool, _hand_on, deltas, watch, hand)
            try:
                while (one := await come.get()) is not None:
                    if isinstance(one, Exception):
                        raise one
                    yield one
            finally:
                watch.leave()

    @asynccontextmanager
    async def _in_work(self) -> AsyncIterator[Watch]:
        if self._open >= self.limits.queue or not self.ready:
            raise Busy(
                "the server has too much to do" if self.ready else "the server is stopping",
                expected=f"at most {self.limits.queue} requests at a time",
                got="more",
                fix="try again in a moment",
            )
        self._open += 1
        self.metrics.work(1)
        try:
            yield Watch(self.limits.seconds)
        except Expired:
            if self._open == 1:
                raise
            raise Busy(
                "the server had too much to do to answer in time",
                expected=f"an answer within {self.limits.seconds:g} seconds",
                got=f"{self._open - 1} other requests in work",
                fix="try again in a moment",
            ) from None
        finally:
            self._open -= 1
            self.metrics.work(-1)

    def _translator(self, asked: Asked, watch: Watch) -> Translator:
        """The model, as one client uses it."""
        translator = asked.chosen.served.translator
        remote = RemoteEngine(translator.engine, self.decoder, watch)
        return translator.through(remote, partial(self.decoder.search, translator.engine, watch))


def _in_time(watch: Watch, work: Callable[[Watch], T]) -> T:
    watch.check()
    return work(watch)


def _hand_on(
    deltas: Callable[[], Iterator[Delta]], watch: Watch, hand: Callable[[Delta | Exception | None], object]
) -> None:
    """Run a stream in this thread; its end is None, its failure an error."""
    try:
        watch.check()
        for delta in deltas():
            hand(delta)
        hand(None)
    except Gone:
        hand(None)
    except Exception as error:  # noqa: BLE001 - it is raised where the stream is read
        hand(error if isinstance(error, IsthmusError) else IsthmusError(f"a stream failed: {type(error).__name__}"))
