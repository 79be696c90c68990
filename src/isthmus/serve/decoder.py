"""The one thread in which models run; everybody else waits for what it finds."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import CancelledError, Future
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TypeVar

from isthmus.core.errors import IsthmusError
from isthmus.engines.engine import Engine
from isthmus.generate.jobs import Found, Job, Target, length_limit
from isthmus.generate.options import GenerationOptions
from isthmus.serve.lane import Entry, Lane, Order, failed
from isthmus.serve.limits import Limits
from isthmus.serve.metrics import Metrics
from isthmus.serve.watch import Gone, Watch

T = TypeVar("T")

PATIENCE = 10
"""So many times longer waits who would disturb a search of many for the sake of few."""


@dataclass(slots=True)
class _Queue:
    """Those that wait for one lane; orders take turns, so that a long one delays nobody much."""

    orders: deque[deque[Entry]] = field(default_factory=deque)
    count: int = 0
    oldest: float = 0.0

    def add(self, entries: Sequence[Entry]) -> None:
        self.oldest = min(self.oldest, entries[0].came) if self.count else entries[0].came
        self.orders.append(deque(entries))
        self.count += len(entries)

    def take(self, most: int) -> list[Entry]:
        """The next ones, of each order in turn; those for whom nobody waits any more are left out."""
        taken: list[Entry] = []
        while self.orders and len(taken) < most:
            order = self.orders.popleft()
            entry = order.popleft()
            self.count -= 1
            if order:
                self.orders.append(order)
            if not entry.order.watch.over:
                taken.append(entry)
        self.oldest = min((order[0].came for order in self.orders), default=0.0)
        return taken

    def ripe(self, lane: Lane | None, gather: float) -> float:
        """In how many seconds it is time to let them in."""
        present = len(lane.entries) if lane is not None else 0
        few = self.count < present // 4
        return self.oldest + gather * (PATIENCE if few else 1) - time.monotonic()


class Decoder:
    """Runs the searches of all clients in one thread: those of one kind together, those of other kinds in turns.

    Args:
        limits: how many beams at a time, and how long to gather.
        metrics: what is counted.
    """

    def __init__(self, limits: Limits, metrics: Metrics) -> None:
        self._rows, self._gather, self._metrics = limits.rows, limits.gather / 1000, metrics
        self._changed = threading.Condition()
        self._orders: list[list[Entry]] = []
        self._calls: list[Callable[[], None]] = []
        self._queues: dict[tuple[object, ...], _Queue] = {}
        self._lanes: dict[tuple[object, ...], Lane] = {}
        self._closing = False
        self._thread = threading.Thread(target=self._run, name="decoder", daemon=True)

    def start(self) -> None:
        """Begin to work."""
        self._thread.start()

    @property
    def alive(self) -> bool:
        """Whether it works."""
        return self._thread.is_alive()

    def close(self) -> None:
        """Stop; who still waits is told so."""
        with self._changed:
            self._closing = True
            self._changed.notify()
        if self._thread.is_alive():
            self._thread.join()

    def search(
        self, engine: Engine, watch: Watch, jobs: Sequence[Job], target: Target, options: GenerationOptions
    ) -> list[Found]:
        """Search jobs together with those of others, and wait for it.

        Args:
            engine: runs the model.
            watch: whether somebody waits for the answer.
            jobs: what to search for.
            target: what a search must know of the target side.
            options: how to generate.

        Raises:
            InputError: the maximum length is more than the model can produce.
            Expired: the time is up.
            Gone: the client has gone.
        """
        for job in jobs:
            length_limit(job, len(engine.start_ids), target.positions, options)
        order = Order(engine, target, options, watch)
        entries = [Entry(order, job) for job in jobs]
        if entries:
            self._hand_over(entries=entries)
        return [_waited(entry.found, watch) for entry in entries]

    def call(self, watch: Watch, engine: Engine, function: Callable[[], T]) -> T:
        """Run something else with a model between two steps, and wait for it.

        Args:
            watch: whether somebody waits for the answer.
            engine: whose settings hold meanwhile.
            function: what to run.

        Raises:
            Expired: the time is up.
            Gone: the client has gone.
        """
        done: Future[T] = Future()

        def run() -> None:
            if watch.over or not done.set_running_or_notify_cancel():
                done.cancel()
                return
            try:
                with engine.running():
                    done.set_result(function())
            except Exception as error:  # noqa: BLE001 - it is raised where it is waited for
                done.set_exception(error)

        self._hand_over(call=run)
        return _waited(done, watch)

    def _hand_over(self, entries: Sequence[Entry] = (), call: Callable[[], None] | None = None) -> None:
        with self._changed:
            if self._closing:
                raise Gone("the server is stopping")
            if entries:
                self._orders.append(list(entries))
            if call is not None:
                self._calls.append(call)
            self._changed.notify()

    def _run(self) -> None:
        while True:
            with self._changed:
                if not self._closing and not self._orders and not self._calls:
                    wait = self._idle_for()
                    if wait is None or wait > 0:
                        self._changed.wait(wait)
                if self._closing:
                    break
                calls, self._calls = self._calls, []
                orders, self._orders = self._orders, []
            for call in calls:
                call()
            for entries in orders:
                self._queue(entries)
            self._let_in()
            for key in list(self._lanes):
                self._turn(key)
        self._stop()

    def _idle_for(self) -> float | None:
        """How long there is nothing to do: nothing is running, and nothing ripe waits; None is until something comes."""
        if any(lane.entries for lane in self._lanes.values()):
            return 0.0
        return min((queue.ripe(None, self._gather) for queue in self._queues.values()), default=None)

    def _queue(self, entries: Sequence[Entry]) -> None:
        by_lane: dict[tuple[object, ...], list[Entry]] = {}
        for entry in entries:
            by_lane.setdefault(entry.order.lane(entry.job), []).append(entry)
        for key, several in by_lane.items():
            self._queues.setdefault(key, _Queue()).add(several)

    def _let_in(self) -> None:
        """Let those in whose time has come and for whom there is room."""
        for key, queue in list(self._queues.items()):
            lane = self._lanes.get(key)
            if queue.ripe(lane, self._gather) > 0 or (lane is not None and lane.free <= 0):
                continue
            first = queue.orders[0][0]
            lane = lane or Lane(first, self._rows)
            entries = queue.take(max(1, lane.free))
            if not queue.count:
                del self._queues[key]
            if entries:
                self._lanes[key] = lane
                self._guarded(key, lane, entries)

    def _guarded(self, key: tuple[object, ...], lane: Lane, entries: Sequence[Entry]) -> None:
        try:
            with lane.engine.running():
                lane.admit(entries)
        except Exception as error:  # noqa: BLE001 - a search that fails must not stop those of others
            fresh = [entry for entry in entries if not any(entry is other for other in lane.entries)]
            self._again(key, [*lane.fail(error), *failed(fresh, error)] if fresh else lane.fail(error))

    def _turn(self, key: tuple[object, ...]) -> None:
        """One step of one lane."""
        lane = self._lanes[key]
        try:
            with lane.engine.running():
                self._metrics.step(lane.beams)
                lane.advance()
        except Exception as error:  # noqa: BLE001 - likewise
            self._again(key, lane.fail(error))
        if not lane.entries:
            self._lanes.pop(key, None)

    def _again(self, key: tuple[object, ...], entries: Sequence[Entry]) -> None:
        self._lanes.pop(key, None)
        if entries:
            self._queue(entries)

    def _stop(self) -> None:
        everyone = [entry for lane in self._lanes.values() for entry in lane.entries]
        everyone += [entry for queue in self._queues.values() for order in queue.orders for entry in order]
        everyone += [entry for entries in self._orders for entry in entries]
        for entry in everyone:
            entry.fail(Gone("the server is stopping"))
        for call in self._calls:
            call()


def _waited(found: Future[T], watch: Watch) -> T:
    """What was found, if it is there in time.

    Raises:
        Expired: the time is up.
        Gone: the client has gone.
        IsthmusError: the search said so.
    """
    with suppress(TimeoutError, CancelledError):
        return found.result(timeout=watch.left)
    watch.check()
    raise IsthmusError("a search was given up without a reason")
