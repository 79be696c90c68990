"""What a search looks at next, and how it says so.

N live sentences, K live beams, V vocabulary, C candidates, G blocks, X places.
"""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor

from isthmus.generate.state import Candidates, SearchState

BLOCK = 64  # so many scores are looked at together
BLOCKS_FROM = 8  # so many rows: for fewer, looking at blocks costs more than it saves


class Expand(Protocol):
    """How a search looks for continuations."""

    @property
    def width(self) -> int:
        """How many beams of a sentence stay alive, and how many finished hypotheses are kept."""

    def __call__(self, scores_NKV: Tensor, state: SearchState) -> Candidates:
        """The candidates, given the scores of every piece after every live beam (-inf where ruled out).

        Of the first `width`, those that end are put aside; the first `width` that do not end go on.
        """


def best(scores_NKV: Tensor, count: int, before_NK: Tensor | None = None) -> Candidates:
    """The best continuations over all beams; of equals, those of the lower beam, then those with the lower id.

    Args:
        scores_NKV: of every continuation.
        count: how many to find.
        before_NK: what the beams had before, which is added, but not to all of the scores.
    """
    size = scores_NKV.shape[-1]
    score_NC, place_NC = _top(scores_NKV, before_NK, count)
    parent_NC = torch.div(place_NC, size, rounding_mode="floor")
    return Candidates(parent_NC, place_NC - parent_NC * size, score_NC)


def highest(scores_NV: Tensor) -> tuple[Tensor, Tensor]:
    """The best score of each row and its place [N, 1]; of equals, the lower place."""
    N, V = scores_NV.shape
    if N < BLOCKS_FROM or V % BLOCK or V == BLOCK:
        value_N1, place_N1 = scores_NV.max(dim=-1, keepdim=True)
        return value_N1, place_N1
    scores_NGX = scores_NV.view(N, -1, BLOCK)
    block_N1 = scores_NGX.amax(dim=-1).max(dim=-1, keepdim=True).indices
    inside_NX = scores_NGX.gather(1, block_N1.unsqueeze(-1).expand(-1, -1, BLOCK)).squeeze(1)
    value_N1, place_N1 = inside_NX.max(dim=-1, keepdim=True)
    return value_N1, block_N1 * BLOCK + place_N1


def top(scores_NX: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """The best scores of each row and their places, best first; of equal scores, the lower place first.

    `torch.topk` alone leaves open which of equal scores it takes, and in which order.
    """
    return _top(scores_NX.unsqueeze(1), None, count)


def _top(scores_NKV: Tensor, before_NK: Tensor | None, count: int) -> tuple[Tensor, Tensor]:
    """As `top`, over the axes K and V together."""
    _, K, V = scores_NKV.shape
    count = min(count, K * V)
    if 2 * count >= K * (V // BLOCK):
        value_NX = _sums(scores_NKV, before_NK)
        index_NC = chosen_NC = _first_best(value_NX, count)
    else:
        value_NX, place_NX = _best_blocks(scores_NKV, before_NK, count)
        chosen_NC = _first_best(value_NX, count)
        index_NC = place_NX.gather(1, chosen_NC)
    value_NC, order_NC = value_NX.gather(1, chosen_NC).sort(dim=1, descending=True, stable=True)
    return value_NC, index_NC.gather(1, order_NC)


def _best_blocks(scores_NKV: Tensor, before_NK: Tensor | None, count: int) -> tuple[Tensor, Tensor]:
    """The values and places, in ascending order, of the `count` blocks with the highest maxima; of equals, the first blocks.

    The best `count` scores lie in them, the first of equals too: whatever equal score lies in a block left out, as many lie before it.
    This is several times faster than `torch.topk` on long rows. A sum grows with its parts, rounded or not, so that the maximum of
    a block can be taken before adding.
    """
    N, K, V = scores_NKV.shape
    whole = V // BLOCK
    rest = V - whole * BLOCK  # the last block reaches back into the one before it, which is blanked out there
    highest_NKG = scores_NKV[:, :, : whole * BLOCK].view(N, K, whole, BLOCK).amax(dim=-1)
    if rest:
        highest_NKG = torch.cat([highest_NKG, scores_NKV[:, :, -rest:].amax(dim=-1, keepdim=True)], dim=-1)
    block_NC = _first_best(_sums(highest_NKG, before_NK), count)
    beam_NC = torch.div(block_NC, highest_NKG.shape[2], rounding_mode="floor")
    block_NC = block_NC - beam_NC * highest_NKG.shape[2]
    inside_X = torch.arange(BLOCK, device=scores_NKV.device)
    begin_NC = beam_NC * V + (block_NC * BLOCK).clamp(max=V - BLOCK)
    place_NX = (begin_NC.unsqueeze(-1) + inside_X).flatten(1)
    value_NX = scores_NKV.flatten(1).gather(1, place_NX)
    if before_NK is not None:
        value_NX = before_NK.gather(1, beam_NC).repeat_interleave(BLOCK, dim=1) + value_NX
    if rest:
        twice_NCX = (block_NC == whole).unsqueeze(-1) & (inside_X < BLOCK - rest)
        value_NX = value_NX.masked_fill(twice_NCX.flatten(1), float("-inf"))
    return value_NX, place_NX


def _first_best(scores_NX: Tensor, count: int) -> Tensor:
    """The places of the best scores of each row, in ascending order; of equals, the lower places."""
    value_NC, index_NC = torch.topk(scores_NX, min(count + 1, scores_NX.shape[1]))
    if value_NC.shape[1] > count:
        edge_N = value_NC[:, count - 1]
        tied_N = (value_NC[:, count] == edge_N) & (edge_N > float("-inf"))
        index_NC = index_NC[:, :count]
        if bool(tied_N.any()):
            tied = tied_N.nonzero().flatten()
            index_NC[tied] = _first_of_equals(scores_NX[tied], edge_N[tied].unsqueeze(1), count)
    return index_NC.sort(dim=1).values


def _sums(scores_NKX: Tensor, before_NK: Tensor | None) -> Tensor:
    """What each beam had before and its scores [N, K x X]."""
    return (scores_NKX if before_NK is None else before_NK.unsqueeze(-1) + scores_NKX).flatten(1)


def _first_of_equals(scores_NX: Tensor, edge_N1: Tensor, count: int) -> Tensor:
    """The places of what is above the edge and of the first that lie on it, `count` in all."""
    above_NX, on_NX = scores_NX > edge_N1, scores_NX == edge_N1
    room_N1 = count - above_NX.sum(dim=1, keepdim=True)
    chosen_NX = above_NX | (on_NX & (on_NX.cumsum(dim=1, dtype=torch.int32) <= room_N1))
    return chosen_NX.nonzero()[:, 1].view(-1, count)
