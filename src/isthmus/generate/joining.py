"""Searches that become one, and one that goes on without some of its sentences.

A search can be taken up from any of its states, so what has begun apart can go on together: a sentence keeps its own position, its
own limits and its own random numbers, and finds the same output in whatever company.

N live sentences, K live beams, T pieces so far, S source, P pieces to begin with, Q constraints, A alternatives, L pieces.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor
from torch.nn.functional import pad

from isthmus.core.errors import StateError
from isthmus.engines.engine import EngineState
from isthmus.generate.state import Beams, Hypothesis, Requests, SearchState
from isthmus.model.state import DecoderState


def can_join(state: SearchState) -> bool:
    """Whether the engine's state is of a kind that can be joined with others."""
    return isinstance(state.cache, DecoderState)


def joined(states: Sequence[SearchState]) -> SearchState:
    """The sentences of several searches by the same rules, one after the other; consumes them.

    Each must have made its first step (before it there is one beam a sentence, and the start ids are still to be fed), or be over.

    Args:
        states: at least one; `finished` and `index_N` follow one another in the same order.

    Raises:
        StateError: the states are of an engine whose states cannot be joined.
    """
    first, counts = 0, []
    for state in states:
        counts.append(first)
        first += len(state.finished)
    alive = [(state, start) for state, start in zip(states, counts, strict=True) if state.live]
    finished = tuple(one for state in states for one in state.finished)
    if len(alive) < 2:
        ((state, start),) = alive or [(states[0], 0)]
        return _renumbered(state, state.requests.index_N + start, finished)
    requests = joined_requests([state.requests for state, _ in alive])
    index_N = torch.cat([state.requests.index_N + start for state, start in alive])
    whole = SearchState(
        cache=_joined_caches([state.cache for state, _ in alive]),
        feed_BT=torch.cat([state.feed_BT for state, _ in alive]),
        requests=requests,
        length_N=torch.cat([state.length_N for state, _ in alive]),
        beams=_joined_beams([_cut(state) for state, _ in alive]),
        finished=finished,
        bar_N=torch.cat([state.bar_N for state, _ in alive]),
    )
    return _renumbered(whole, index_N, finished)


def without(state: SearchState, leaving: Sequence[int]) -> SearchState:
    """The same search, consumed, with the given places of `finished` left out, whether their sentences are done or not.

    Args:
        state: a moment of the search.
        leaving: places in `finished`; those that stay move up.
    """
    gone = set(leaving)
    staying = [place for place in range(len(state.finished)) if place not in gone]
    place_of = torch.full((max(1, len(state.finished)),), -1, dtype=torch.int64)
    place_of[staying] = torch.arange(len(staying))
    index_N = place_of.to(state.requests.index_N.device)[state.requests.index_N]
    finished = tuple(state.finished[place] for place in staying)
    if bool((index_N >= 0).all()):
        return _renumbered(state, index_N, finished)
    kept = (index_N >= 0).nonzero().flatten()
    beams = state.beams.score_NK.shape[1]
    beams_1K = torch.arange(beams, device=kept.device).unsqueeze(0)
    rows = (kept.unsqueeze(1) * beams + beams_1K).flatten()
    slim = SearchState(
        cache=state.cache.select(rows) if kept.shape[0] else state.cache,
        feed_BT=state.feed_BT[rows],
        requests=state.requests.select(kept),
        length_N=state.length_N[kept],
        beams=state.beams.select(kept),
        finished=finished,
        bar_N=state.bar_N[kept],
    )
    return _renumbered(slim, index_N[kept], finished)


def joined_requests(several: Sequence[Requests]) -> Requests:
    """The requests of several searches, one after the other; rows of ids are padded with -1 as within one search."""
    return Requests(
        torch.cat([one.index_N for one in several]),
        torch.cat([one.max_length_N for one in several]),
        torch.cat([one.min_length_N for one in several]),
        torch.cat([one.seed_N for one in several]),
        torch.cat([one.sample_N for one in several]),
        _stacked([one.prefix_NP for one in several], -1),
        _stacked([one.source_NS for one in several], -1),
        _stacked([one.phrases_NQAL for one in several], -1),
    )


def _stacked(parts: Sequence[Tensor], value: float) -> Tensor:
    """Tensors one after the other along the first axis; the others grow at their end to the largest, filled with a value."""
    shape = [max(part.shape[axis] for part in parts) for axis in range(1, parts[0].dim())]
    return torch.cat([_grown(part, shape, value) for part in parts])


def _grown(part: Tensor, shape: Sequence[int], value: float) -> Tensor:
    more = [wanted - size for wanted, size in zip(shape, part.shape[1:], strict=True)]
    return pad(part, [end for count in reversed(more) for end in (0, count)], value=value) if any(more) else part


def _joined_caches(caches: Sequence[EngineState]) -> EngineState:
    own = [cache for cache in caches if isinstance(cache, DecoderState)]
    if len(own) < len(caches):
        raise StateError(
            "searches can be joined only where the engine's states can",
            expected="states of one model in PyTorch",
            got=", ".join(sorted({type(cache).__name__ for cache in caches})),
            fix="ask `can_join` first",
        )
    return DecoderState.join(own)


def _cut(state: SearchState) -> Beams:
    """The beams without what stands before the longest output of those that are alive."""
    beams, attention_NKTS = state.beams, state.beams.attention_NKTS
    extra = beams.ids_NKT.shape[2] - int(state.length_N.max())
    return replace(
        beams,
        ids_NKT=beams.ids_NKT[:, :, extra:],
        log_prob_NKT=beams.log_prob_NKT[:, :, extra:],
        attention_NKTS=None if attention_NKTS is None else attention_NKTS[:, :, extra:],
    )


def _joined_beams(several: Sequence[Beams]) -> Beams:
    """Beams one after the other: pieces stay at the right end, attention grows by source positions that nobody looks at."""
    width = max(one.ids_NKT.shape[2] for one in several)
    attentions = [one.attention_NKTS for one in several if one.attention_NKTS is not None]
    memories = [one.memory_NK for one in several if one.memory_NK is not None]
    longer = [pad(one, (0, 0, width - one.shape[2], 0)) for one in attentions]
    return Beams(
        torch.cat([pad(one.ids_NKT, (width - one.ids_NKT.shape[2], 0)) for one in several]),
        torch.cat([pad(one.log_prob_NKT, (width - one.log_prob_NKT.shape[2], 0)) for one in several]),
        torch.cat([one.score_NK for one in several]),
        torch.cat([one.parent_NK for one in several]),
        _stacked(longer, 0.0) if longer else None,
        torch.cat(memories) if memories else None,
    )


def _renumbered(state: SearchState, index_N: Tensor, finished: tuple[tuple[Hypothesis, ...], ...]) -> SearchState:
    """The state with other places in `finished`."""
    return replace(state, requests=replace(state.requests, index_N=index_N), finished=finished)
