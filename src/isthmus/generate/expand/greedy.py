"""Greedy search.

N live sentences, K live beams, V vocabulary.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from isthmus.generate.expand.candidates import highest
from isthmus.generate.state import Candidates, SearchState


@dataclass(frozen=True, slots=True)
class Greedy:
    """The most probable piece, always; of equals, the one with the lower id."""

    @property
    def width(self) -> int:
        """One beam."""
        return 1

    def __call__(self, scores_NKV: Tensor, state: SearchState) -> Candidates:
        """One candidate a sentence."""
        score_N1, token_N1 = highest(scores_NKV[:, 0])
        return Candidates(torch.zeros_like(token_N1), token_N1, state.beams.score_NK + score_N1)
