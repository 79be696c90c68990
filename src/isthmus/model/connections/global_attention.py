"""Attention of one head over the whole memory, with any similarity: additive (Bahdanau et al. 2015, section 3.1), multiplicative
(Luong et al. 2015, section 3.1).

B query rows, N sources, T target position, S source position, D model, A size of a prepared key, Q = (B / N)·T queries of a source.
"""

from __future__ import annotations

from typing import Literal, final

from pydantic import Field
from torch import Tensor

from isthmus.model.connections.connection import Connection, ConnectionKind, Link, Reading
from isthmus.model.memory import Memory
from isthmus.model.similarity import Similarity, SimilarityKind
from isthmus.model.sizes import Sizes
from isthmus.nn.attention import masked_softmax
from isthmus.nn.dropout import dropout as drop


class GlobalAttentionConfig(ConnectionKind):
    """Configuration of global attention.

    Attributes:
        kind: names the connection.
        similarity: what compares the decoder's state with a position: `additive` is Bahdanau's, `general` Luong's.
        dropout: probability to drop an attention weight.
    """

    kind: Literal["global-attention"] = "global-attention"
    similarity: SimilarityKind = "general"
    dropout: float = Field(default=0.0, ge=0, lt=1)

    def build(self, sizes: Sizes) -> GlobalAttention:
        """Build the connection for a decoder of `sizes.d_model` over a memory of `sizes.d_memory`.

        Raises:
            ConfigError: the similarity cannot compare vectors of these sizes.
        """
        return GlobalAttention(Similarity(self.similarity, sizes.d_model, sizes.d_memory), self.dropout)


@final
class GlobalAttention(Connection):
    """context = Σₛ softmaxₛ(sim(q, hₛ)) hₛ: the states of the memory themselves are read.

    Args:
        similarity: compares queries with the memory's states.
        dropout: probability to drop an attention weight.
    """

    def __init__(self, similarity: Similarity, dropout: float = 0.0) -> None:
        super().__init__()
        self.similarity, self.dropout = similarity, dropout

    def prepare(self, memory: Memory) -> Link:
        """Prepared keys [N, S, A] and the states [N, S, D]."""
        return Link(self.similarity.prepare(memory.states_BSD), memory.states_BSD, memory.mask_BS)

    def forward(self, query_BTD: Tensor, link: Link, position_B: Tensor, weights: bool = False) -> tuple[Reading, Link]:  # noqa: ARG002
        """Attend; the rows of a source are read as queries of one row, so that its keys are never repeated."""
        B, T, D = query_BTD.shape
        N, S = link.mask_BS.shape
        query_NQD = query_BTD.view(N, link.readers(B) * T, D)
        weight_NQS = masked_softmax(self.similarity(query_NQD, link.keys), link.mask_BS[:, None])
        dropped_NQS = drop(weight_NQS, self.dropout, self.training).to(link.values.dtype)
        context_BTD = (dropped_NQS @ link.values).view(B, T, link.values.shape[2])
        return Reading(context_BTD, weight_NQS.view(B, 1, T, S) if weights else None), link
