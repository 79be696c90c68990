"""Diverse beam search (Vijayakumar et al. 2018, Diverse Beam Search for Improved Description of Complex Scenes).

N live sentences, K live beams, V vocabulary, C candidates, R requests, M sentences of one group.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from isthmus.generate.choose import NEVER
from isthmus.generate.expand.candidates import best
from isthmus.generate.state import Candidates, SearchState


@dataclass(frozen=True, slots=True)
class Diverse:
    """Beam search in groups, each of which keeps away from what the groups before it have just chosen.

    A group is a sentence of the search with beams, finished outputs and an end of its own; the groups of a request are
    told apart by `Requests.sample_N`, and their order is the order of the groups. Step by step (Algorithm 1), the
    first group searches as always. For each that follows, a piece with which n beams of earlier groups go on now costs
    `penalty` x n (Hamming diversity). What was paid stays in the score that the search ranks by. The end
    of an output costs nothing, and a group that is done disturbs no other.

    Attributes:
        width: the number of beams of one group.
        penalty: lambda in the paper; 0 makes all groups the same.
        end: the id that ends an output.
    """

    width: int
    penalty: float
    end: int

    def __call__(self, scores_NKV: Tensor, state: SearchState) -> Candidates:
        """At most 2 x width candidates a sentence."""
        group_N = state.requests.sample_N
        first_N = state.requests.index_N - group_N  # the same for all groups of a request
        request_N = (first_N.unsqueeze(1) == first_N).int().argmax(dim=1)
        used_RV = scores_NKV.new_zeros(first_N.shape[0], scores_NKV.shape[-1])
        total_NKV = state.beams.score_NK.unsqueeze(-1) + scores_NKV
        parts, places = [], []
        for group in sorted(set(group_N.tolist())):
            place_M = (group_N == group).nonzero().flatten()
            penalty_MV = self.penalty * used_RV[request_N[place_M]]
            found = best(total_NKV[place_M] - penalty_MV.unsqueeze(1), 2 * self.width)
            used_RV += self._going_on(found, request_N[place_M], used_RV)
            parts.append(found)
            places.append(place_M)
        back_N = torch.cat(places).argsort()
        return Candidates(
            torch.cat([one.parent_NC for one in parts])[back_N],
            torch.cat([one.token_NC for one in parts])[back_N],
            torch.cat([one.score_NC for one in parts])[back_N],
        )

    def _going_on(self, found: Candidates, request_M: Tensor, used_RV: Tensor) -> Tensor:
        """With how many beams of this group each piece goes on; float [R, V]."""
        lives_MC = (found.token_NC != self.end) & (found.score_NC > NEVER)
        lives_MC &= lives_MC.cumsum(dim=1) <= self.width
        counts_RV = torch.zeros_like(used_RV)
        where = (request_M.unsqueeze(1).expand_as(found.token_NC), found.token_NC)
        return counts_RV.index_put_(where, lives_MC.to(counts_RV.dtype), accumulate=True)
