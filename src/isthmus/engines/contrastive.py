"""Contrastive decoding: what a strong model knows and a weak one does not.

Li et al. 2023, Contrastive Decoding: Open-ended Text Generation as Optimization, section 3.

V vocabulary.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

from torch import Tensor

from isthmus.core.errors import InputError


@final
@dataclass(frozen=True, slots=True)
class Contrast:
    """Mixes the predictions of two engines, an expert and an amateur, for an `Ensemble`.

    Among plausible pieces, {y : p_expert(y) ≥ α max p_expert} (equation 2), the score is
    log p_expert(y) - β log p_amateur(y) (equation 3, where β = 1); no other piece may follow. The scores are normalised,
    so that they are log-probabilities, which is what a search builds on: at one position this moves all of them alike,
    and greedy search and sampling choose as in the paper.

    Attributes:
        plausibility: α: how probable a piece must be, as a share of the best one's probability; in (0, 1].
        strength: β: how much the amateur counts; 0 leaves the plausible pieces as the expert has them.

    Raises:
        InputError: one of them lies outside its bounds.
    """

    plausibility: float = 0.1
    strength: float = 1.0

    def __post_init__(self) -> None:
        if not (0 < self.plausibility <= 1 and 0 <= self.strength < math.inf):
            raise InputError(
                "contrastive decoding needs a plausibility and a strength",
                expected="0 < plausibility <= 1 and strength >= 0",
                got=f"plausibility={self.plausibility}, strength={self.strength}",
                fix="0.1 and 1 are those of the paper",
            )

    def __call__(self, predictions: Sequence[Tensor]) -> Tensor:
        """Log-probabilities [..., V], from those of the expert and of the amateur."""
        expert_V, amateur_V = predictions
        cut = expert_V.amax(dim=-1, keepdim=True) + math.log(self.plausibility)
        scores_V = expert_V - self.strength * amateur_V
        return scores_V.masked_fill(expert_V < cut, -math.inf).log_softmax(dim=-1)
