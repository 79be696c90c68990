"""Search: from the log-probabilities of the next piece to whole outputs.

    for state in search(step, initial, rules):
        ...                                        # stream it, draw it, stop it; the last state holds the answer

All searches (see `expand`) are one loop: feed the live beams to the model, rule out what may not come, look for the best
continuations (`rules.expand`), put aside those that end, go on with the others, and let a sentence leave
the batch when nothing that is still alive can improve what it has.

N live sentences, K live beams, B = N x K rows of the engine, C candidates, V vocabulary, T pieces so far, S source.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Literal

import torch
from torch import Tensor

from isthmus.core.errors import InputError, IsthmusError
from isthmus.engines.engine import EngineState
from isthmus.generate.choose import NEVER
from isthmus.generate.coverage import coverage
from isthmus.generate.expand import Expand
from isthmus.generate.state import Beams, Candidates, Hypothesis, Requests, SearchState, StopReason

Step = Callable[[Tensor, EngineState], tuple[Tensor, EngineState, Tensor | None]]
Chooser = Callable[[Tensor, SearchState], Tensor]


@dataclass(frozen=True, slots=True)
class Rules:
    """What a search may produce, how it looks for it, and when it stops.

    Attributes:
        end: the id that ends an output.
        expand: where one search differs from another.
        choosers: rule pieces out before the search sees them: from scores [N, K, V] and the state to scores.
        length_penalty: hypotheses of different length are compared by score / length ** length_penalty, where the
            length counts the end; above 0 favours long outputs, 0 leaves the score alone.
        early_stopping: when a sentence of which `width` hypotheses have finished is done. True: at once. False: when
            its best live beam, normalised by its present length, is no better than the worst of them; a good guess,
            since a longer output might still normalise better. "never": when no continuation up to the maximum length
            can be better, which is exact. (With one beam the first end is the end, whatever this says.)
        coverage_penalty: so many times how much of the source an output has read (see `coverage`) is added where
            finished outputs are compared; the engine must give its attention.
    """

    end: int
    expand: Expand
    choosers: tuple[Chooser, ...] = ()
    length_penalty: float = 1.0
    early_stopping: bool | Literal["never"] = False
    coverage_penalty: float = 0.0

    def normalise(self, score: Tensor, length: Tensor) -> Tensor:
        """Scores of outputs of different lengths, made comparable."""
        return score / length.clamp(min=1).float() ** self.length_penalty

    def compared(self, beams: Beams, length_N: Tensor, requests: Requests) -> Tensor:
        """What outputs are compared by when they have stopped; [N, K].

        Raises:
            InputError: coverage is asked for, and the engine does not say where it looked in the source.
        """
        normalised_NK = self.normalise(beams.score_NK, length_N.unsqueeze(1))
        if self.coverage_penalty == 0 or beams.ids_NKT.shape[2] == 0:
            return normalised_NK
        if beams.attention_NKTS is None or beams.attention_NKTS.shape[3] > requests.source_NS.shape[1]:
            raise InputError(
                "a coverage penalty needs to know how much of each piece of the source was read",
                expected="a model with attention over its source",
                got="a model without" if beams.attention_NKTS is None else "attention over more than the source",
                where="coverage_penalty",
                fix="leave out `coverage_penalty`",
            )
        real_NS = requests.source_NS[:, : beams.attention_NKTS.shape[3]] >= 0
        return normalised_NK + self.coverage_penalty * coverage(beams.attention_NKTS, real_NS)

    def beaten(self, score_NK: Tensor, length_N: Tensor, bar_N: Tensor, requests: Requests) -> Tensor:
        """Which sentences are done because no live beam can better what has finished; bool [N]."""
        full_N = bar_N > NEVER
        if self.early_stopping is True or self.expand.width == 1:
            return full_N
        if self.early_stopping == "never" and self.length_penalty > 0:
            length_N = requests.max_length_N + 1
        return full_N & (self.normalise(score_NK.amax(dim=1), length_N) <= bar_N)


def search(step: Step, initial: SearchState, rules: Rules) -> Iterator[SearchState]:
    """Search, and give every moment of it: first `initial`, at last a state with nothing alive.

    A search can be stopped after any state and taken up from it: `initial` is a state like the others.
    """
    state = initial
    yield state
    while state.live:
        with torch.inference_mode():
            log_probs_BV, cache, attention_BS = step(state.feed_BT, state.cache)
            state = _advance(state, log_probs_BV, cache, attention_BS, rules)
        yield state


def run(step: Step, initial: SearchState, rules: Rules) -> tuple[tuple[Hypothesis, ...], ...]:
    """Search to the end: the finished hypotheses of each sentence, best first."""
    state = initial
    for state in search(step, initial, rules):  # noqa: B007 - the last state is the answer
        pass
    return state.finished


def _advance(
    state: SearchState, log_probs_BV: Tensor, cache: EngineState, attention_BS: Tensor | None, rules: Rules
) -> SearchState:
    """One step of the search, given what the model says may come next."""
    sentences, beams = state.beams.score_NK.shape
    log_probs_NKV = scores_NKV = log_probs_BV.reshape(sentences, beams, -1)
    for choose in rules.choosers:
        scores_NKV = choose(scores_NKV, state)
    found = rules.expand(scores_NKV, state)
    _check_numbers(found.score_NC)
    attention_NKS = None if attention_BS is None else attention_BS.reshape(sentences, beams, -1)

    ended_NC = found.token_NC == rules.end
    finished, bar_N, going = state.finished, state.bar_N, found.first(rules.expand.width)
    if bool(ended_NC.any()):
        finished, bar_N = _put_aside(state, state.beams.extend(found, log_probs_NKV, attention_NKS), rules)
        going = _going_on(found, ended_NC, rules)
    alive = state.beams.extend(going, log_probs_NKV, attention_NKS)
    length_N = state.length_N + 1
    full_N = length_N > state.requests.max_length_N
    stuck_N = alive.score_NK.amax(dim=1) == NEVER
    done_N = full_N | stuck_N | rules.beaten(alive.score_NK, length_N, bar_N, state.requests)
    requests, staying = state.requests, torch.arange(sentences, device=done_N.device)
    if bool(done_N.any()):
        for place in (done_N & (bar_N == NEVER)).nonzero().flatten().tolist():
            finished = _cut_off(state, found, place, finished, rules)
        staying = (~done_N).nonzero().flatten()
        alive, requests = alive.select(staying), requests.select(staying)
        length_N, bar_N = length_N[staying], bar_N[staying]
    rows = (staying.unsqueeze(1) * beams + alive.parent_NK).flatten()
    return SearchState(
        cache=cache if _in_place(rows, sentences * beams) else cache.select(rows),
        feed_BT=alive.ids_NKT[:, :, -1:].flatten(0, 1),
        requests=requests,
        length_N=length_N,
        beams=alive,
        finished=finished,
        bar_N=bar_N,
    )


def _put_aside(state: SearchState, grown: Beams, rules: Rules) -> tuple[tuple[tuple[Hypothesis, ...], ...], Tensor]:
    """Keep what has just ended, if it is among the best `width` continuations of its sentence and beats the bar."""
    finished, bar_N = list(state.finished), state.bar_N.clone()
    normalised_NC = rules.compared(grown, state.length_N + 1, state.requests)
    ended_NC = _ended(grown.ids_NKT[:, :, -1], grown.score_NK, rules)
    better_NC = ended_NC & (normalised_NC > bar_N.unsqueeze(1))
    for sentence, column in better_NC.nonzero().tolist():
        index, length = int(state.requests.index_N[sentence]), int(state.length_N[sentence]) + 1
        normalised = float(normalised_NC[sentence, column])
        new = grown.hypothesis((sentence, column), length, normalised, "end", state.requests)
        finished[index] = _ranked((*finished[index], new), rules)
        if len(finished[index]) == rules.expand.width:
            bar_N[sentence] = finished[index][-1].normalised
    return tuple(finished), bar_N


def _going_on(found: Candidates, ended_NC: Tensor, rules: Rules) -> Candidates:
    """The best continuations that have not ended; where there are too few, beams that lead nowhere fill up."""
    column_NK = ended_NC.int().argsort(dim=1, stable=True)[:, : rules.expand.width]
    going = found.take(column_NK)
    return replace(going, score_NC=going.score_NC.masked_fill(ended_NC.gather(1, column_NK), NEVER))


def _cut_off(
    state: SearchState, found: Candidates, place: int, finished: tuple[tuple[Hypothesis, ...], ...], rules: Rules
) -> tuple[tuple[Hypothesis, ...], ...]:
    """Take the beams of a sentence that cannot go on and have not ended, since too few have: it is said, not hidden."""
    length = int(state.length_N[place])
    stop: StopReason = "max_length" if length >= int(state.requests.max_length_N[place]) else "dead_end"
    ended = set(found.parent_NC[place][_ended(found.token_NC, found.score_NC, rules)[place]].tolist())
    normalised_K = rules.compared(state.beams, state.length_N, state.requests)[place]
    index = int(state.requests.index_N[place])
    cut = [
        state.beams.hypothesis((place, beam), length, normalised, stop, state.requests)
        for beam, normalised in enumerate(normalised_K.tolist())
        if beam not in ended and normalised > NEVER
    ]
    return (*finished[:index], _ranked((*finished[index], *cut), rules), *finished[index + 1 :])


def _ended(token_NC: Tensor, score_NC: Tensor, rules: Rules) -> Tensor:
    """Which of the best `width` continuations have ended; bool [N, C]."""
    ended_NC = (token_NC == rules.end) & (score_NC > NEVER)
    ended_NC[:, rules.expand.width :] = False
    return ended_NC


def _ranked(hypotheses: tuple[Hypothesis, ...], rules: Rules) -> tuple[Hypothesis, ...]:
    """The best `width`: those that ended first, then those that meet most, then by score; of equals the first found."""
    ordered = sorted(hypotheses, key=lambda one: (one.stop != "end", one.met.count(False), -one.normalised))
    return tuple(ordered[: rules.expand.width])


def _in_place(rows: Tensor, count: int) -> bool:
    """Whether every row of the engine stays where it is, or none is left."""
    if rows.shape[0] == 0:
        return True
    return rows.shape[0] == count and torch.equal(rows, torch.arange(count, device=rows.device))


def _check_numbers(score_NC: Tensor) -> None:
    if math.isnan(float(score_NC.sum())):  # a sum is not a number if one of its parts is none
        raise IsthmusError(
            "the model gave scores that are not numbers",
            expected="log-probabilities",
            got="NaN",
            fix="look for NaN in the weights, or compute in float32",
        )
