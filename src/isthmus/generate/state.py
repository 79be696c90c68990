"""A moment of a search, and what a search returns: frozen records.

N live sentences, K live beams of each, B = N x K rows of the engine, T pieces produced so far, S source, P forced pieces,
C candidates, V vocabulary, Q constraints, A alternatives, L pieces of a phrase.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from isthmus.engines.engine import EngineState
from isthmus.generate import phrases

StopReason = Literal["end", "max_length", "dead_end"]


@dataclass(frozen=True, slots=True)
class Hypothesis:
    """One output.

    Attributes:
        ids: the produced pieces, without start and end.
        token_scores: the model's log-probability of each piece, and of the end where the output ended by itself; empty if they
            were not asked for and the engine, which searched by itself, did not say.
        score: their sum: what scoring the output again gives.
        normalised: what the search ranked by: its score over length ** length_penalty, where the length counts the end.
        stop: `end`: the model ended it; `max_length`: it was still going when it reached the limit; `dead_end`: the
            rules left nothing that could follow.
        attention_TS: where the decoder looked for each piece (and for the end), if asked for; rows sum to 1.
        met: for each constraint of the request (see `phrases`), whether it is met.
    """

    ids: tuple[int, ...]
    token_scores: tuple[float, ...]
    score: float
    normalised: float
    stop: StopReason
    attention_TS: Tensor | None = None
    met: tuple[bool, ...] = ()

    @property
    def length(self) -> int:
        """How many pieces it has, with the end if the output ended by itself."""
        return len(self.ids) + (self.stop == "end")


@dataclass(frozen=True, slots=True)
class Requests:
    """What differs from one live sentence to the next.

    Attributes:
        index_N: the place in `SearchState.finished` that belongs to the sentence.
        max_length_N: the most pieces to produce, without start and end.
        min_length_N: the end is ruled out before so many pieces.
        seed_N: the request's seed (see `noise.request_seed`).
        sample_N: which of the request's samples this is.
        prefix_NP: pieces that an output must begin with, -1 where it is free.
        source_NS: the pieces of the source, -1 where it is over.
        phrases_NQAL: constraints, each the phrases of which one must appear, padded with -1 (see `phrases`).
    """

    index_N: Tensor
    max_length_N: Tensor
    min_length_N: Tensor
    seed_N: Tensor
    sample_N: Tensor
    prefix_NP: Tensor
    source_NS: Tensor
    phrases_NQAL: Tensor

    @classmethod
    def of(
        cls,
        max_length: Sequence[int],
        *,
        min_length: int | Sequence[int] = 0,
        seeds: Sequence[int] | None = None,
        samples: int = 1,
        prefixes: Sequence[Sequence[int]] | None = None,
        sources: Sequence[Sequence[int]] | None = None,
        constraints: Sequence[Sequence[phrases.Constraint]] | None = None,
    ) -> Requests:
        """The requests of a batch, each repeated once a sample; the samples of a sentence stand together."""
        count = len(max_length)
        rows = torch.arange(count).repeat_interleave(samples)
        shortest = [min_length] * count if isinstance(min_length, int) else min_length
        return cls(
            index_N=torch.arange(count * samples),
            max_length_N=torch.tensor(max_length, dtype=torch.int64)[rows],
            min_length_N=torch.tensor(shortest, dtype=torch.int64)[rows],
            seed_N=torch.tensor(seeds or [0] * count, dtype=torch.int64)[rows],
            sample_N=torch.arange(samples).repeat(count),
            prefix_NP=_padded(prefixes or [()] * count)[rows],
            source_NS=_padded(sources or [()] * count)[rows],
            phrases_NQAL=phrases.padded(constraints or [()] * count)[rows],
        )

    def select(self, sentences: Tensor) -> Requests:
        """The requests of the given live sentences."""
        return self._each(lambda values: values[sentences])

    def to(self, device: torch.device | str) -> Requests:
        """The same requests on a device."""
        return self._each(lambda values: values.to(device))

    def met(self, sentence: int, ids: Sequence[int]) -> tuple[bool, ...]:
        """Which constraints of a live sentence some pieces meet."""
        phrases_1QAL = self.phrases_NQAL[sentence : sentence + 1]
        if phrases_1QAL.numel() == 0:
            return ()
        ids_11T = torch.tensor([[list(ids)]], dtype=torch.int64, device=phrases_1QAL.device)
        length_1 = torch.tensor([len(ids)], device=phrases_1QAL.device)
        exists_Q = (phrases_1QAL[0] >= 0).any(dim=2).any(dim=1)
        return tuple(phrases.met(ids_11T, length_1, phrases_1QAL)[0, 0, exists_Q].tolist())

    def _each(self, change: Callable[[Tensor], Tensor]) -> Requests:
        return Requests(
            change(self.index_N),
            change(self.max_length_N),
            change(self.min_length_N),
            change(self.seed_N),
            change(self.sample_N),
            change(self.prefix_NP),
            change(self.source_NS),
            change(self.phrases_NQAL),
        )


def _padded(rows: Sequence[Sequence[int]]) -> Tensor:
    """Rows of ids as one tensor, with -1 behind the shorter ones."""
    width = max((len(row) for row in rows), default=0)
    padded = [[*row, *[-1] * (width - len(row))] for row in rows]
    return torch.tensor(padded, dtype=torch.int64).reshape(len(rows), width)


@dataclass(frozen=True, slots=True)
class Candidates:
    """Continuations of each sentence, best first.

    Attributes:
        parent_NC: the beam that each continues.
        token_NC: the piece that it adds.
        score_NC: what the search ranks by, the new piece included; -inf is none.
        memory_NC: a number that the search wants to find again in `Beams.memory_NK`, if it needs one.
    """

    parent_NC: Tensor
    token_NC: Tensor
    score_NC: Tensor
    memory_NC: Tensor | None = None

    def first(self, count: int) -> Candidates:
        """The best so many of each sentence."""
        if self.token_NC.shape[1] <= count:
            return self
        memory_NC = None if self.memory_NC is None else self.memory_NC[:, :count]
        return Candidates(self.parent_NC[:, :count], self.token_NC[:, :count], self.score_NC[:, :count], memory_NC)

    def take(self, column_NK: Tensor) -> Candidates:
        """The candidates in the given columns."""
        return Candidates(
            self.parent_NC.gather(1, column_NK),
            self.token_NC.gather(1, column_NK),
            self.score_NC.gather(1, column_NK),
            None if self.memory_NC is None else self.memory_NC.gather(1, column_NK),
        )


@dataclass(frozen=True, slots=True)
class Beams:
    """Outputs in the making, best first in each sentence.

    Produced pieces stand at the right end of the axis T, so that sentences that have produced differently many can stand
    in one state: the last `SearchState.length_N` of them count.

    Attributes:
        ids_NKT: the pieces.
        log_prob_NKT: the model's log-probability of each.
        score_NK: what the search ranks by, before length normalisation; -inf leads nowhere.
        parent_NK: which beam of the state before each continues (sentences are matched by `Requests.index_N`).
        attention_NKTS: where the decoder looked for each piece, if the engine says so.
        memory_NK: a number that the search remembers of each beam, if it needs one.
    """

    ids_NKT: Tensor
    log_prob_NKT: Tensor
    score_NK: Tensor
    parent_NK: Tensor
    attention_NKTS: Tensor | None = None
    memory_NK: Tensor | None = None

    def extend(self, found: Candidates, log_probs_NKV: Tensor, attention_NKS: Tensor | None) -> Beams:
        """C continuations of each sentence: beam `parent` with the piece `token` behind it."""
        parent_NC, token_NC = found.parent_NC, found.token_NC
        if self.score_NK.shape[1] == 1 and token_NC.shape[1] == 1:  # each goes on with its only beam
            attention_NKTS = self.attention_NKTS
            if attention_NKS is not None:
                now_NKTS = attention_NKS.unsqueeze(2)
                attention_NKTS = now_NKTS if attention_NKTS is None else torch.cat([attention_NKTS, now_NKTS], dim=2)
            log_prob_N11 = log_probs_NKV.gather(2, token_NC.unsqueeze(2))
            return Beams(
                torch.cat([self.ids_NKT, token_NC.unsqueeze(2)], dim=2),
                torch.cat([self.log_prob_NKT, log_prob_N11], dim=2),
                found.score_NC,
                parent_NC,
                attention_NKTS,
                found.memory_NC,
            )
        row_N1 = torch.arange(parent_NC.shape[0], device=parent_NC.device).unsqueeze(1)
        log_prob_NC = log_probs_NKV[row_N1, parent_NC, token_NC]
        past_NCTS = None if self.attention_NKTS is None else self.attention_NKTS[row_N1, parent_NC]
        now_NCTS = None if attention_NKS is None else attention_NKS[row_N1, parent_NC].unsqueeze(2)
        return Beams(
            torch.cat([self.ids_NKT[row_N1, parent_NC], token_NC.unsqueeze(2)], dim=2),
            torch.cat([self.log_prob_NKT[row_N1, parent_NC], log_prob_NC.unsqueeze(2)], dim=2),
            found.score_NC,
            parent_NC,
            now_NCTS if past_NCTS is None or now_NCTS is None else torch.cat([past_NCTS, now_NCTS], dim=2),
            found.memory_NC,
        )

    def select(self, sentences: Tensor) -> Beams:
        """The beams of the given sentences, in that order."""
        return Beams(
            self.ids_NKT[sentences],
            self.log_prob_NKT[sentences],
            self.score_NK[sentences],
            self.parent_NK[sentences],
            None if self.attention_NKTS is None else self.attention_NKTS[sentences],
            None if self.memory_NK is None else self.memory_NK[sentences],
        )

    def hypothesis(
        self, place: tuple[int, int], length: int, normalised: float, stop: StopReason, requests: Requests
    ) -> Hypothesis:
        """One of the beams as a finished output; `length` counts the end where it stopped by `end`."""
        first = self.ids_NKT.shape[2] - length
        ids = self.ids_NKT[place][first:].tolist()
        token_scores = tuple(self.log_prob_NKT[place][first:].tolist())
        return Hypothesis(
            ids=tuple(ids[:-1] if stop == "end" else ids),
            token_scores=token_scores,
            score=math.fsum(token_scores),
            normalised=normalised,
            stop=stop,
            attention_TS=None if self.attention_NKTS is None else self.attention_NKTS[place][first:].clone(),
            met=requests.met(place[0], ids),
        )


@dataclass(frozen=True, slots=True)
class SearchState:
    """A moment of the search: what is alive, and what has finished.

    Attributes:
        cache: how the engine left the rows; consumed when the search goes on.
        feed_BT: what the engine is fed next.
        requests: the live sentences.
        length_N: how many pieces each of them has produced.
        beams: their live beams.
        finished: the finished hypotheses of every sentence of the batch, best first; those that ended come before those
            that did not.
        bar_N: the normalised score that a new hypothesis must beat; -inf while fewer have ended than there are beams.
    """

    cache: EngineState
    feed_BT: Tensor
    requests: Requests
    length_N: Tensor
    beams: Beams
    finished: tuple[tuple[Hypothesis, ...], ...]
    bar_N: Tensor

    @property
    def live(self) -> int:
        """How many sentences are still being searched."""
        return self.length_N.shape[0]

    @classmethod
    def begin(cls, cache: EngineState, start_ids: Sequence[int], requests: Requests) -> SearchState:
        """The state before the first step: one row a sentence, nothing produced."""
        device = requests.index_N.device
        count = requests.index_N.shape[0]
        return cls(
            cache=cache,
            feed_BT=torch.tensor([list(start_ids)], dtype=torch.int64, device=device).expand(count, -1),
            requests=requests,
            length_N=torch.zeros(count, dtype=torch.int64, device=device),
            beams=Beams(
                torch.zeros((count, 1, 0), dtype=torch.int64, device=device),
                torch.zeros((count, 1, 0), device=device),
                torch.zeros((count, 1), device=device),
                torch.zeros((count, 1), dtype=torch.int64, device=device),
            ),
            finished=((),) * count,
            bar_N=torch.full((count,), float("-inf"), device=device),
        )
