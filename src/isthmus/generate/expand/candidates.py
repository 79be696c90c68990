"""What a search looks at next, and how it says so.

N live sentences, K live beams, V vocabulary, C candidates, B or G blocks, X places.
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
    every = scores_NKV.shape[1] * scores_NKV.shape[2]
    count = min(count, every)
    value_NC, index_NC = _largest(scores_NKV, before_NK, min(count + 1, every))
    edge_N = value_NC[:, count - 1]
    index_NC = index_NC[:, :count]
    if value_NC.shape[1] > count:
        tied_N = (value_NC[:, count] == edge_N) & (edge_N > float("-inf"))
        if bool(tied_N.any()):
            tied = tied_N.nonzero().flatten()
            before = None if before_NK is None else before_NK[tied]
            index_NC[tied] = _first_of_equals(_sums(scores_NKV[tied], before), edge_N[tied].unsqueeze(1), count)
    index_NC = index_NC.sort(dim=1).values
    value_NC, order_NC = _at(scores_NKV, before_NK, index_NC).sort(dim=1, descending=True, stable=True)
    return value_NC, index_NC.gather(1, order_NC)


def _sums(scores_NKV: Tensor, before_NK: Tensor | None) -> Tensor:
    """What each beam had before and its scores [N, K x V]."""
    return (scores_NKV if before_NK is None else before_NK.unsqueeze(-1) + scores_NKV).flatten(1)


def _at(scores_NKV: Tensor, before_NK: Tensor | None, place_NX: Tensor) -> Tensor:
    """`_sums` at some places only."""
    value_NX = scores_NKV.flatten(1).gather(1, place_NX)
    if before_NK is None:
        return value_NX
    return before_NK.gather(1, torch.div(place_NX, scores_NKV.shape[2], rounding_mode="floor")) + value_NX


def _largest(scores_NKV: Tensor, before_NK: Tensor | None, count: int) -> tuple[Tensor, Tensor]:
    """What `torch.topk` of `_sums` gives, several times faster on long rows: the best lie in the blocks with the highest maxima.

    A sum grows with its parts, rounded or not, so that the maximum of a block can be taken before adding.
    """
    N, K, V = scores_NKV.shape
    blocks = V // BLOCK
    if K * blocks <= 2 * count:
        value_NC, index_NC = torch.topk(_sums(scores_NKV, before_NK), count)
        return value_NC, index_NC
    device = scores_NKV.device
    highest_NKB = scores_NKV[:, :, : blocks * BLOCK].view(N, K, blocks, BLOCK).amax(dim=-1)
    block_NC = torch.topk(_sums(highest_NKB, before_NK), count).indices
    begin_NC = torch.div(block_NC, blocks, rounding_mode="floor") * (V - blocks * BLOCK) + block_NC * BLOCK
    place_NX = (begin_NC.unsqueeze(-1) + torch.arange(BLOCK, device=device)).flatten(1)
    if blocks * BLOCK < V:
        rest_KX = torch.arange(K, device=device).unsqueeze(1) * V + torch.arange(blocks * BLOCK, V, device=device)
        place_NX = torch.cat([place_NX, rest_KX.flatten().expand(place_NX.shape[0], -1)], dim=1)
    value_NC, order_NC = torch.topk(_at(scores_NKV, before_NK, place_NX), count)
    return value_NC, place_NX.gather(1, order_NC)


def _first_of_equals(scores_NX: Tensor, edge_N1: Tensor, count: int) -> Tensor:
    """The places of what is above the edge and of the first that lie on it, `count` in all."""
    above_NX, on_NX = scores_NX > edge_N1, scores_NX == edge_N1
    room_N1 = count - above_NX.sum(dim=1, keepdim=True)
    chosen_NX = above_NX | (on_NX & (on_NX.cumsum(dim=1, dtype=torch.int32) <= room_N1))
    return chosen_NX.nonzero()[:, 1].view(-1, count)
