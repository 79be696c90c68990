"""Sampling, piece by piece.

N live sentences, K live beams, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from isthmus.generate.noise import uniform
from isthmus.generate.state import Candidates, SearchState

Warper = Callable[[Tensor], Tensor]


@dataclass(frozen=True, slots=True)
class Sample:
    """A piece drawn from the model's probabilities, warped first by temperature, top-k and the like.

    The inverse of the cumulative distribution at a number that depends on request, sample and position only.

    Attributes:
        warpers: functions from logits [N, V] to logits, applied in order.
    """

    warpers: tuple[Warper, ...] = ()

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
        token_N1 = token_N1.clamp(max=scores_NV.shape[1] - 1)  # where every piece is ruled out, none is found
        return Candidates(torch.zeros_like(token_N1), token_N1, state.beams.score_NK + scores_NV.gather(1, token_N1))
