"""Lexically constrained beam search.

Post and Vilar 2018, Fast Lexically Constrained Decoding with Dynamic Beam Allocation for Neural Machine Translation;
Hu et al. 2019, Improved Lexically Constrained Decoding for Translation and Monolingual Rewriting (the vectorised form).
N live sentences, K live beams, V vocabulary, C candidates, T pieces.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from isthmus.generate.choose import NEVER
from isthmus.generate.expand.candidates import best
from isthmus.generate.phrases import missing, wanted
from isthmus.generate.state import Candidates, SearchState


@dataclass(frozen=True, slots=True)
class Constrained:
    """Beam search for outputs in which the phrases of `Requests.phrases_NQAL` appear.

    Looked at are the best continuations over all beams, the best of each beam, and those that bring a phrase nearer.
    They are divided into banks by how many pieces are still missing, and the banks take turns: first the best of each
    bank, then the second of each, the bank with fewer missing pieces first. An output cannot end before nothing is
    missing. Where there are no phrases this is beam search.

    Attributes:
        width: the number of beams.
        end: the id that ends an output.
    """

    width: int
    end: int

    def __call__(self, scores_NKV: Tensor, state: SearchState) -> Candidates:
        """At most 2 x width candidates a sentence, in the order of the turns."""
        found = self._pool(scores_NKV, state)
        sentence_N1 = torch.arange(scores_NKV.shape[0], device=scores_NKV.device).unsqueeze(1)
        past_NCT = state.beams.ids_NKT[sentence_N1, found.parent_NC]
        ids_NCT = torch.cat([past_NCT, found.token_NC.unsqueeze(-1)], dim=-1)
        bank_NC = missing(ids_NCT, state.length_N + 1, state.requests.phrases_NQAL)
        bank_NC = bank_NC.masked_fill(found.score_NC == NEVER, int(bank_NC.max()) + 1)
        turn_NC = (bank_NC.unsqueeze(-1) == bank_NC.unsqueeze(-2)).tril(-1).sum(dim=-1)
        turn_NC = turn_NC.masked_fill(found.score_NC == NEVER, turn_NC.shape[1])
        order_NC = (turn_NC * (bank_NC.max() + 1) + bank_NC).argsort(dim=1, stable=True)[:, : 2 * self.width]
        return Candidates(
            found.parent_NC.gather(1, order_NC), found.token_NC.gather(1, order_NC), found.score_NC.gather(1, order_NC)
        )

    def _pool(self, scores_NKV: Tensor, state: SearchState) -> Candidates:
        """The continuations that are looked at, each once, best first."""
        ids_NKT, length_N, phrases_NQAL = state.beams.ids_NKT, state.length_N, state.requests.phrases_NQAL
        total_NKV = state.beams.score_NK.unsqueeze(-1) + scores_NKV
        early_NK = missing(ids_NKT, length_N, phrases_NQAL) > 0
        total_NKV[..., self.end] = total_NKV[..., self.end].masked_fill(early_NK, NEVER)
        wanted_NKV = wanted(ids_NKT, length_N, phrases_NQAL, total_NKV.shape[-1])
        wanted_NKV.scatter_(2, total_NKV.argmax(dim=-1, keepdim=True), True)
        overall = best(total_NKV, 2 * self.width)
        sentence_N1 = torch.arange(total_NKV.shape[0], device=total_NKV.device).unsqueeze(1)
        wanted_NKV[sentence_N1, overall.parent_NC, overall.token_NC] = True
        most = int(wanted_NKV.flatten(1).sum(dim=1).max())
        return best(total_NKV.masked_fill(~wanted_NKV, NEVER), most)
