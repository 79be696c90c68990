"""The search as a tree: every beam that lived, and what came of it, read from the moments of the search.

N sentence, K beam, T piece.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from isthmus.core.errors import InputError
from isthmus.generate.state import Hypothesis, SearchState

Ids = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Node:
    """A piece that a beam went on with.

    Attributes:
        parent: the number of the node before it in the tree; -1 at the root.
        id: the piece; -1 at the root.
        depth: how many pieces led here, this one included.
        log_prob: the model's log-probability of the piece after those before it.
        score: the sum along the way from the root.
        stop: why the output ended here; empty where it went on, or was given up.
        best: whether it lies on the way to the best output.
    """

    parent: int
    id: int
    depth: int
    log_prob: float
    score: float
    stop: str = ""
    best: bool = False


def beam_tree(states: Iterable[SearchState], end: int) -> tuple[Node, ...]:
    """The tree of the search for one source; a parent stands before its children.

    Args:
        states: all moments of the search, the last of which has nothing alive.
        end: the id that ends an output: its node is a piece like the others.

    Raises:
        InputError: more than one source was searched for, or more than one group of beams.
    """
    scores: dict[Ids, tuple[float, ...]] = {}
    finished: tuple[Hypothesis, ...] = ()
    for state in states:
        if len(state.finished) != 1:
            raise InputError(
                "a tree of beams is that of one search",
                expected="one source, and one group of beams",
                got=f"{len(state.finished)}",
                fix="search for one source at a time",
            )
        scores.update(_alive(state))
        finished = state.finished[0]
        scores.update((_pieces(one, end), one.token_scores) for one in finished)
    stops = {_pieces(one, end): one.stop for one in finished}
    best = _pieces(finished[0], end) if finished else ()
    return tuple(_nodes(scores, stops, best))


def _alive(state: SearchState) -> Iterator[tuple[Ids, tuple[float, ...]]]:
    """The beams of a moment that lead somewhere: their pieces, and the log-probability of each."""
    if not state.live:
        return
    first = state.beams.ids_NKT.shape[2] - int(state.length_N[0])
    rows = zip(
        state.beams.ids_NKT[0, :, first:].tolist(),
        state.beams.log_prob_NKT[0, :, first:].tolist(),
        state.beams.score_NK[0].tolist(),
        strict=True,
    )
    for ids, log_probs, score in rows:
        if score > -math.inf:
            yield tuple(ids), tuple(log_probs)


def _pieces(hypothesis: Hypothesis, end: int) -> Ids:
    """The pieces of an output, with its end if it came to one."""
    return (*hypothesis.ids, end) if hypothesis.stop == "end" else hypothesis.ids


def _nodes(scores: Mapping[Ids, tuple[float, ...]], stops: Mapping[Ids, str], best: Ids) -> Iterator[Node]:
    ways = sorted(
        {ids[:length] for ids in scores for length in range(len(ids) + 1)} | {()}, key=lambda ids: (len(ids), ids)
    )
    log_probs = {ids[:length]: each[:length] for ids, each in scores.items() for length in range(len(ids) + 1)}
    place = {ids: number for number, ids in enumerate(ways)}
    for ids in ways:
        along = log_probs.get(ids, ())
        yield Node(
            parent=place[ids[:-1]] if ids else -1,
            id=ids[-1] if ids else -1,
            depth=len(ids),
            log_prob=along[-1] if along else 0.0,
            score=math.fsum(along),
            stop=stops.get(ids, ""),
            best=ids == best[: len(ids)],
        )
