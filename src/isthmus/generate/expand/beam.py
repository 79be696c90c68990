"""Beam search.

N live sentences, K live beams, V vocabulary.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from isthmus.generate.expand.candidates import best
from isthmus.generate.state import Candidates, SearchState


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
        return best(scores_NKV, 2 * self.width, state.beams.score_NK)
