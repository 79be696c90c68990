"""What a search looks at next, and how it says so.

N live sentences, K live beams, V vocabulary, C candidates, X places.
"""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor

from isthmus.generate.state import Candidates, SearchState

BLOCK = 64  # so many scores are looked at together


class Expand(Protocol):
    """How a search looks for continuations."""

    @property
    def width(self) -> int:
        """How many beams of a sentence stay alive, and how many finished hypotheses are kept."""

    def __call__(self, scores_NKV: Tensor, state: SearchState) -> Candidates:
        """The candidates, given the scores of every piece after every live beam (-inf where ruled out).

        Of the first `width`, those that end are put aside; the first `width` that do not end go on.
        """


def best(total_NKV: Tensor, count: int) -> Candidates:
    """The best continuations over all beams; of equals, those of the lower beam, then those with the lower id."""
    size = total_NKV.shape[-1]
    score_NC, place_NC = top(total_NKV.flatten(1), count)
    return Candidates(place_NC // size, place_NC % size, score_NC)


def top(scores_NX: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """The best scores of each row and their places, best first; of equal scores, the lower place first.

    `torch.topk` alone leaves open which of equal scores it takes, and in which order.
    """
    count = min(count, scores_NX.shape[1])
    value_NC, index_NC = _largest(scores_NX, min(count + 1, scores_NX.shape[1]))
    edge_N = value_NC[:, count - 1]
    index_NC = index_NC[:, :count]
    if value_NC.shape[1] > count:
        tied = ((value_NC[:, count] == edge_N) & (edge_N > float("-inf"))).nonzero().flatten()
        if tied.shape[0]:
            index_NC[tied] = _first_of_equals(scores_NX[tied], edge_N[tied].unsqueeze(1), count)
    index_NC = index_NC.sort(dim=1).values
    value_NC, order_NC = scores_NX.gather(1, index_NC).sort(dim=1, descending=True, stable=True)
    return value_NC, index_NC.gather(1, order_NC)


def _largest(scores_NX: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """What `torch.topk` gives, several times faster on long rows: the best lie in the blocks with the highest maxima."""
    N, X = scores_NX.shape
    blocks = X // BLOCK
    if blocks <= 2 * count:
        value_NC, index_NC = torch.topk(scores_NX, count)
        return value_NC, index_NC
    highest_NB = scores_NX[:, : blocks * BLOCK].view(N, blocks, BLOCK).amax(dim=-1)
    block_NC = torch.topk(highest_NB, count).indices
    place_NX = (block_NC.unsqueeze(-1) * BLOCK + torch.arange(BLOCK, device=scores_NX.device)).flatten(1)
    rest_NX = torch.arange(blocks * BLOCK, X, device=scores_NX.device).expand(N, -1)
    place_NX = torch.cat([place_NX, rest_NX], dim=1)
    value_NC, order_NC = torch.topk(scores_NX.gather(1, place_NX), count)
    return value_NC, place_NX.gather(1, order_NC)


def _first_of_equals(scores_NX: Tensor, edge_N1: Tensor, count: int) -> Tensor:
    """The places of what is above the edge and of the first that lie on it, `count` in all."""
    above_NX, on_NX = scores_NX > edge_N1, scores_NX == edge_N1
    room_N1 = count - above_NX.sum(dim=1, keepdim=True)
    chosen_NX = above_NX | (on_NX & (on_NX.cumsum(dim=1, dtype=torch.int32) <= room_N1))
    return chosen_NX.nonzero()[:, 1].view(-1, count)
