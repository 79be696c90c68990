"""Searches of many clients that go on together, step by step.

Sentences come in and leave between any two steps; each finds what it would find alone (`generate.joining`).
"""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from functools import partial

import torch

from isthmus.engines.engine import Engine
from isthmus.generate.jobs import Found, Job, Target, begun, needs_weights, outputs_of, requests_of
from isthmus.generate.joining import can_join, joined, joined_requests, without
from isthmus.generate.options import GenerationOptions
from isthmus.generate.rules import rules_of
from isthmus.generate.search import Rules, Step, search
from isthmus.generate.state import SearchState
from isthmus.serve.watch import Watch

SHORT = 32
"""Sources up to so many pieces go together; longer ones with those of at most twice their length."""

_OF_EACH = frozenset(
    (
        *("max_length", "max_new_tokens", "max_length_ratio", "min_length", "min_new_tokens", "min_length_ratio"),
        *("num_return_sequences", "seed", "prefix", "forced_bos_token_id", "force_words", "force_words_ids"),
        *("batch", "split_sentences", "context_sentences", "guards", "attention", "alignment", "alternatives"),
        *("diversity", "mbr", "mbr_metric"),
    )
)
"""Options in which sentences of one search may differ."""


@dataclass(frozen=True, slots=True)
class Order:
    """What one client wants searched with one call.

    Attributes:
        engine: runs the model.
        target: what a search must know of the target side.
        options: how to generate.
        watch: whether the client still waits.
        alone: whether it shares no search with others, since one that it shared has failed.
    """

    engine: Engine
    target: Target
    options: GenerationOptions
    watch: Watch
    alone: bool = False

    def lane(self, job: Job) -> tuple[object, ...]:
        """What searches must have in common to go on together."""
        options = self.options
        rules = json.dumps(options.model_dump(exclude=set(_OF_EACH)), sort_keys=True, default=str)
        shapes = (
            options.rows,
            options.num_return_sequences if options.without_replacement else 0,
            bool(options.required),
            options.floor > 0 or options.min_length_ratio > 0,
            needs_weights(options),
            max(SHORT, len(job.source) - 1).bit_length(),
        )
        owner = id(self) if self.alone else None
        return id(self.engine), frozenset(self.target.never), rules, shapes, owner


@dataclass(slots=True)
class Entry:
    """One job of an order on its way.

    Attributes:
        order: what it is part of.
        job: what to search for.
        found: will hold what was found.
        came: when it was ordered.
        began: when its search began.
    """

    order: Order
    job: Job
    found: Future[Found] = field(default_factory=Future)
    came: float = field(default_factory=time.monotonic)
    began: float = 0.0

    def fail(self, error: BaseException) -> None:
        """Say that nothing will be found."""
        if not self.found.done():
            self.found.set_exception(error)


class Lane:
    """One joined search.

    Args:
        like: an entry of the kind that the lane is for.
        rows: how many beams it may hold.
    """

    def __init__(self, like: Entry, rows: int) -> None:
        order = like.order
        self.engine, self.sentences_of_job = order.engine, order.options.rows
        longest = 1 << max(SHORT, len(like.job.source) - 1).bit_length()
        beams = order.options.beams // order.options.num_beam_groups if not order.options.do_sample else 1
        width = order.options.num_return_sequences if order.options.without_replacement else beams
        self.room = max(1, rows * min(1.0, 2 * SHORT / longest) // (width * self.sentences_of_job))
        self.step: Step = partial(order.engine.step, weights=needs_weights(order.options))
        self.rules: Rules = rules_of(order.options, order.target.end, order.target.never, order.engine.device)
        self.entries: list[Entry] = []
        self.state: SearchState | None = None

    @property
    def free(self) -> int:
        """How many more jobs may come in now."""
        if self.state is not None and self.entries and not can_join(self.state):
            return 0
        return int(self.room) - len(self.entries)

    @property
    def beams(self) -> int:
        """How many beams the next step will have."""
        return 0 if self.state is None else self.state.feed_BT.shape[0]

    def admit(self, entries: Sequence[Entry]) -> None:
        """Let jobs in: read their sources, and make their first step.

        Args:
            entries: of this lane's kind; at most `free`.
        """
        together: dict[int, list[Entry]] = {}
        for entry in entries:
            together.setdefault(id(entry.order), []).append(entry)
        ordered = list(together.values())
        flat = [entry for group in ordered for entry in group]
        start = len(self.engine.start_ids)
        requests = joined_requests(
            [
                requests_of([one.job for one in group], start, group[0].order.target, group[0].order.options)
                for group in ordered
            ]
        )
        requests = replace(requests, index_N=torch.arange(requests.index_N.shape[0]))
        with torch.inference_mode():
            state = self._stepped(begun(self.engine, [one.job for one in flat], requests, self.sentences_of_job))
            if self.state is not None and self.entries:
                state = joined([self.state, state])
        for entry in flat:
            entry.began = time.monotonic()
        self.state = state
        self.entries += flat
        self.harvest()

    def advance(self) -> None:
        """Make one step for everybody; give what is finished, and let go whom nobody waits for."""
        self._drop([place for place, entry in enumerate(self.entries) if entry.order.watch.over])
        if self.state is not None and self.state.live:
            with torch.inference_mode():
                self.state = self._stepped(self.state)
        self.harvest()

    def harvest(self) -> None:
        """Give what is finished."""
        if self.state is None:
            return
        size = self.sentences_of_job
        alive = {index // size for index in self.state.requests.index_N.tolist()}
        done = [place for place in range(len(self.entries)) if place not in alive]
        for place in done:
            entry = self.entries[place]
            several = self.state.finished[place * size : (place + 1) * size]
            outputs = outputs_of(entry.job, several, entry.order.options)
            if not entry.found.done():
                entry.found.set_result(Found(outputs, time.monotonic() - entry.began))
        self._leave(done)

    def fail(self, error: BaseException) -> list[Entry]:
        """Give up: whoever shared this search is to try again alone; who was alone has failed.

        Args:
            error: what went wrong.

        Returns:
            those that are to try again.
        """
        entries, self.entries, self.state = self.entries, [], None
        return failed(entries, error)

    def _stepped(self, state: SearchState) -> SearchState:
        moments = search(self.step, state, self.rules)
        next(moments)
        return next(moments, state)

    def _drop(self, places: Sequence[int]) -> None:
        for place in places:
            try:
                self.entries[place].order.watch.check()
            except Exception as error:  # noqa: BLE001 - whatever the watch says is the client's
                self.entries[place].fail(error)
        self._leave(places)

    def _leave(self, places: Sequence[int]) -> None:
        if not places or self.state is None:
            return
        size = self.sentences_of_job
        with torch.inference_mode():
            self.state = without(self.state, [place * size + row for place in places for row in range(size)])
        gone = set(places)
        self.entries = [entry for place, entry in enumerate(self.entries) if place not in gone]


def failed(entries: Sequence[Entry], error: BaseException) -> list[Entry]:
    """Say to those that were alone in a search that it failed.

    Args:
        entries: of one search.
        error: what went wrong.

    Returns:
        the others, each to be searched with nobody but its own order.
    """
    orders = {id(entry.order): entry.order for entry in entries}
    if len(orders) == 1:
        for entry in entries:
            entry.fail(error)
        return []
    alone = {key: Order(one.engine, one.target, one.options, one.watch, alone=True) for key, one in orders.items()}
    return [Entry(alone[id(entry.order)], entry.job, entry.found, entry.came) for entry in entries]
