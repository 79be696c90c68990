"""Attention that writes back into the memory: interactive attention (Meng et al. 2016, section 3).

B query rows, N sources, T target position, S source position, D model, A size of a prepared key.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Literal, final

import torch
from torch import Tensor

from isthmus.model.connections.connection import Connection, ConnectionKind, Link, Reading
from isthmus.model.memory import Memory
from isthmus.model.similarity import Similarity, SimilarityKind
from isthmus.model.sizes import Sizes
from isthmus.nn.attention import masked_softmax, projection


class InteractiveAttentionConfig(ConnectionKind):
    """Configuration of interactive attention.

    Attributes:
        kind: names the connection.
        similarity: what compares the decoder's state with a position, to read and to write; `additive` in the paper.
    """

    kind: Literal["interactive-attention"] = "interactive-attention"
    similarity: SimilarityKind = "additive"

    def build(self, sizes: Sizes) -> InteractiveAttention:
        """Build the connection for a decoder of `sizes.d_model` over a memory of `sizes.d_memory`.

        Raises:
            ConfigError: the similarity cannot compare vectors of these sizes.
        """
        read, write = (Similarity(self.similarity, sizes.d_model, sizes.d_memory) for _ in range(2))
        return InteractiveAttention(read, write, sizes.d_model, sizes.d_memory)


@final
class InteractiveAttention(Connection):
    """Before a read, the decoder's state writes: hₛ ← hₛ (1 - wₛ F) + wₛ U, F = sigmoid(W_F q), U = sigmoid(W_U q).

    The weights w and those of the read are softmaxes of two similarities. In Bahdanau's order the query of a position is the state
    that the position before has made, so that writing before a read is the paper's writing at the end of a step; the first
    position, which nothing came before, writes nothing.

    Two-way: training goes over the target position by position and holds the memory of every position for the backward pass, the keys
    are made anew after every write, and each row of a search has a memory of its own.

    Args:
        read: compares queries with states, to read.
        write: the same, to write.
        d_model: size of the queries.
        d_memory: size of the states.
    """

    one_way = False

    def __init__(self, read: Similarity, write: Similarity, d_model: int, d_memory: int) -> None:
        super().__init__()
        self.read, self.write = read, write
        self.forget, self.update = projection(d_model, d_memory, bias=True), projection(d_model, d_memory, bias=True)

    def prepare(self, memory: Memory) -> Link:
        """The states [N, S, D], which will be written into."""
        states_NSD = memory.states_BSD
        return Link(states_NSD, states_NSD, memory.mask_BS, (states_NSD,))

    def forward(self, query_BTD: Tensor, link: Link, position_B: Tensor, weights: bool = False) -> tuple[Reading, Link]:
        """Write and read from one position after the other."""
        B, T, _ = query_BTD.shape
        link = link.of_rows(B)
        (states_BSD,) = link.written
        read = [query_BTD.new_zeros(B, 0, link.mask_BS.shape[1], dtype=torch.float32)]
        contexts = [states_BSD.new_zeros(B, 0, states_BSD.shape[2])]
        for t in range(T):
            query_B1D = query_BTD[:, t, None]
            states_BSD = self._written(states_BSD, query_B1D, link.mask_BS, position_B + t)
            weight_B1S = self._weights(self.read, query_B1D, states_BSD, link.mask_BS)
            contexts.append(weight_B1S.to(states_BSD.dtype) @ states_BSD)
            read.append(weight_B1S)
        reading = Reading(torch.cat(contexts, dim=1), torch.cat(read, dim=1)[:, None] if weights else None)
        return reading, replace(link, written=(states_BSD,))

    def _written(self, states_BSD: Tensor, query_B1D: Tensor, mask_BS: Tensor, position_B: Tensor) -> Tensor:
        """The memory after a write; unchanged at position 0."""
        weight_B1S = self._weights(self.write, query_B1D, states_BSD, mask_BS)
        weight_BS1 = (weight_B1S * (position_B > 0)[:, None, None]).transpose(1, 2).to(states_BSD.dtype)
        forget_B1D: Tensor = self.forget(query_B1D).sigmoid()
        update_B1D: Tensor = self.update(query_B1D).sigmoid()
        return states_BSD * (1 - weight_BS1 * forget_B1D) + weight_BS1 * update_B1D

    def _weights(self, by: Similarity, query_B1D: Tensor, states_BSD: Tensor, mask_BS: Tensor) -> Tensor:
        score_B1S: Tensor = by(query_B1D, by.prepare(states_BSD))
        return masked_softmax(score_B1S, mask_BS[:, None])
