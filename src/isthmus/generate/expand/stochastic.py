"""Stochastic beam search: whole outputs sampled without replacement.

Kool, van Hoof and Welling 2019, Stochastic Beams and Where to Find Them, section 4.1 and appendix B.3.
N live sentences, K live beams, V vocabulary, C candidates.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from isthmus.generate.choose import NEVER
from isthmus.generate.expand.candidates import best
from isthmus.generate.expand.sample import Warper
from isthmus.generate.noise import uniform
from isthmus.generate.state import Candidates, SearchState


@dataclass(frozen=True, slots=True)
class Stochastic:
    """The k outputs with the highest perturbed log-probabilities: k samples without replacement, in order of drawing.

    A beam with log-probability φ has the perturbed one G = φ + Gumbel noise, and G is the greatest among all outputs that begin
    like it. Its continuations are perturbed under the condition that their greatest is G again; thus beam search over G finds the
    best k of all outputs without seeing them. The score of a beam is G, its memory φ. Noise is a function of request,
    position, beam and piece.

    For G to keep its meaning, nothing may be added to a score: search without length penalty.

    Attributes:
        width: how many samples.
        warpers: functions from logits [N, K, V] to logits, applied in order.
    """

    width: int
    warpers: tuple[Warper, ...] = ()

    def __call__(self, scores_NKV: Tensor, state: SearchState) -> Candidates:
        """At most 2 x width candidates a sentence, scored by perturbed log-probabilities."""
        logits_NKV = scores_NKV.double()
        for warp in self.warpers:
            logits_NKV = warp(logits_NKV)
        old_NK, phi_NK = state.beams.score_NK.double(), state.beams.memory_NK
        beam_1K = torch.arange(old_NK.shape[1], device=old_NK.device).unsqueeze(0)
        place_NK = state.length_N.unsqueeze(1) * self.width + beam_1K + 1
        if phi_NK is None:  # the first step: the empty output has phi = 0
            phi_NK = torch.zeros_like(old_NK)
            old_NK = gumbel(state.requests.seed_N.unsqueeze(1), torch.zeros_like(place_NK), torch.zeros_like(place_NK))
        piece_V = torch.arange(logits_NKV.shape[-1], device=old_NK.device)
        noise_NKV = gumbel(state.requests.seed_N[:, None, None], place_NK.unsqueeze(-1), piece_V)

        phi_NKV = phi_NK.unsqueeze(-1) + logits_NKV.log_softmax(dim=-1)
        none_NK1 = (old_NK == NEVER).unsqueeze(-1) | (logits_NKV.amax(dim=-1, keepdim=True) == NEVER)
        phi_NKV = phi_NKV.masked_fill(none_NK1, NEVER)
        found = best(conditioned(phi_NKV + noise_NKV, old_NK).to(scores_NKV.dtype), 2 * self.width)
        row_N1 = torch.arange(phi_NKV.shape[0], device=phi_NKV.device).unsqueeze(1)
        memory_NC = phi_NKV[row_N1, found.parent_NC, found.token_NC]
        return Candidates(found.parent_NC, found.token_NC, found.score_NC, memory_NC)


def gumbel(seed: Tensor, place: Tensor, piece: Tensor) -> Tensor:
    """Standard Gumbel noise for each triple; the arguments are broadcast against each other."""
    return -(-uniform(seed, place, piece).log()).log()


def conditioned(perturbed_NKV: Tensor, greatest_NK: Tensor) -> Tensor:
    """Perturbed log-probabilities, moved so that the greatest after each beam is the given one (appendix B.3)."""
    most_NK1 = perturbed_NKV.amax(dim=-1, keepdim=True)
    below_NKV = (perturbed_NKV - most_NK1).masked_fill(perturbed_NKV == NEVER, NEVER)
    gap_NKV = greatest_NK.unsqueeze(-1) - perturbed_NKV + torch.log(-torch.expm1(below_NKV))
    moved_NKV = greatest_NK.unsqueeze(-1) - gap_NKV.relu() - torch.log1p(torch.exp(-gap_NKV.abs()))
    return moved_NKV.masked_fill(perturbed_NKV == NEVER, NEVER)
