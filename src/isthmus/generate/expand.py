"""Which continuations to look at next: the one part in which greedy search, beam search and sampling differ.

N live sentences, K live beams, V vocabulary, C candidates.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from isthmus.generate.noise import uniform
from isthmus.generate.state import SearchState


@dataclass(frozen=True, slots=True)
class Candidates:
    """Continuations of each sentence, best first.

    Attributes:
        parent_NC: the beam that each continues.
        token_NC: the piece that it adds.
        score_NC: what the search ranks by, the new piece included; -inf is none.
    """

    parent_NC: Tensor
    token_NC: Tensor
    score_NC: Tensor


class Expand(Protocol):
    """How a search looks for continuations."""

    @property
    def width(self) -> int:
        """How many beams of a sentence stay alive, and how many finished hypotheses are kept."""

    def __call__(self, scores_NKV: Tensor, state: SearchState) -> Candidates:
        """The candidates, given the scores of every piece after every live beam (-inf where ruled out)."""


@dataclass(frozen=True, slots=True)
class Greedy:
    """The most probable piece, always; of equals, the one with the lower id."""

    @property
    def width(self) -> int:
        """One beam."""
        return 1

    def __call__(self, scores_NKV: Tensor, state: SearchState) -> Candidates:
        """One candidate a sentence."""
        score_N1, token_N1 = scores_NKV[:, 0].max(dim=-1, keepdim=True)
        return Candidates(torch.zeros_like(token_N1), token_N1, state.beams.score_NK + score_N1)


@dataclass(frozen=True, slots=True)
class Beam:
    """The best continuations over all beams of a sentence.

    Twice as many candidates as beams: a beam has one way to end, so at least as many as there are beams go on.

    Attributes:
        width: the number of beams.
    """

    width: int

    def __call__(self, scores_NKV: Tensor, state: SearchState) -> Candidates:
        """At most 2 x width candidates a sentence."""
        size = scores_NKV.shape[-1]
        score_NC, index_NC = top((state.beams.score_NK.unsqueeze(-1) + scores_NKV).flatten(1), 2 * self.width)
        return Candidates(index_NC // size, index_NC % size, score_NC)


@dataclass(frozen=True, slots=True)
class Sample:
    """A piece drawn from the model's probabilities, warped first by temperature, top-k and the like.

    The inverse of the cumulative distribution at a number that depends on request, sample and position only.

    Attributes:
        warpers: functions from logits [N, V] to logits, applied in order.
    """

    warpers: tuple[Callable[[Tensor], Tensor], ...] = ()

    @property
    def width(self) -> int:
        """One beam: each sample is a sentence of its own."""
        return 1

    def __call__(self, scores_NKV: Tensor, state: SearchState) -> Candidates:
        """One candidate a sentence, scored by the model's probability and not by the warped one."""
        scores_NV = logits_NV = scores_NKV[:, 0]
        for warp in self.warpers:
            logits_NV = warp(logits_NV)
        cumulative_NV = logits_NV.softmax(dim=-1).cumsum(dim=-1, dtype=torch.float64)
        draw_N = uniform(state.requests.seed_N, state.requests.sample_N, state.length_N)
        token_N1 = torch.searchsorted(cumulative_NV, draw_N.unsqueeze(1) * cumulative_NV[:, -1:], right=True)
        return Candidates(torch.zeros_like(token_N1), token_N1, state.beams.score_NK + scores_NV.gather(1, token_N1))


def top(scores_NX: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """The best scores of each row and their places, best first; of equal scores, the lower place first.

    `torch.topk` alone leaves open which of equal scores it takes, and in which order.
    """
    count = min(count, scores_NX.shape[1])
    value, index = torch.topk(scores_NX, min(count + 1, scores_NX.shape[1]))
    edge = value[:, count - 1]
    if value.shape[1] > count and bool(((value[:, count] == edge) & (edge > float("-inf"))).any()):
        value, index = torch.sort(scores_NX, dim=1, descending=True, stable=True)
        return value[:, :count], index[:, :count]
    index, order = index[:, :count].sort(dim=1)
    value, order = value.gather(1, order).sort(dim=1, descending=True, stable=True)
    return value, index.gather(1, order)
