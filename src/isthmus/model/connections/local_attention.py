"""Local attention with a predicted centre, local-p (Luong et al. 2015, section 3.2): the decoder says where it reads, and reads
only around there.

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
from isthmus.nn.attention import masked_softmax, projection


class LocalAttentionConfig(ConnectionKind):
    """Configuration of local attention.

    Attributes:
        kind: names the connection.
        similarity: what compares the decoder's state with a position.
        window: how many positions to each side of the centre are read; the paper's D, which is 10 there.
    """

    kind: Literal["local-attention"] = "local-attention"
    similarity: SimilarityKind = "general"
    window: int = Field(default=10, ge=1)

    def build(self, sizes: Sizes) -> LocalAttention:
        """Build the connection for a decoder of `sizes.d_model` over a memory of `sizes.d_memory`.

        Raises:
            ConfigError: the similarity cannot compare vectors of these sizes.
        """
        return LocalAttention(Similarity(self.similarity, sizes.d_model, sizes.d_memory), sizes.d_model, self.window)


@final
class LocalAttention(Connection):
    """context = Σₛ aₛ hₛ with aₛ ∝ exp(sim(q, hₛ)) · exp(-(s - p)² / 2σ²) for |s - p| ≤ window, σ = window / 2.

    The centre is p = L · sigmoid(v · tanh(W q)), L the number of real positions. The paper multiplies by the Gaussian after the
    softmax, so that its weights sum to less than 1; here they are probabilities.

    Args:
        similarity: compares queries with the memory's states.
        d_model: size of the queries.
        window: how many positions to each side are read.
    """

    def __init__(self, similarity: Similarity, d_model: int, window: int) -> None:
        super().__init__()
        self.similarity, self.window = similarity, window
        self.inner = projection(d_model, d_model, bias=False)
        self.centre = projection(d_model, 1, bias=False)

    def prepare(self, memory: Memory) -> Link:
        """Prepared keys [N, S, A] and the states [N, S, D]."""
        return Link(self.similarity.prepare(memory.states_BSD), memory.states_BSD, memory.mask_BS)

    def forward(self, query_BTD: Tensor, link: Link, position_B: Tensor, weights: bool = False) -> tuple[Reading, Link]:  # noqa: ARG002
        """Attend around the predicted centre of each query."""
        B, T, D = query_BTD.shape
        N, S = link.mask_BS.shape
        query_NQD = query_BTD.view(N, link.readers(B) * T, D)
        away_NQS = self._away(query_NQD, link.mask_BS)
        near_NQS = link.mask_BS[:, None] & (away_NQS.abs() <= self.window)
        score_NQS = self.similarity(query_NQD, link.keys).float() - 2 * (away_NQS / self.window) ** 2
        weight_NQS = masked_softmax(score_NQS, near_NQS)
        context_BTD = (weight_NQS.to(link.values.dtype) @ link.values).view(B, T, link.values.shape[2])
        return Reading(context_BTD, weight_NQS.view(B, 1, T, S) if weights else None), link

    def _away(self, query_NQD: Tensor, mask_NS: Tensor) -> Tensor:
        """How far each source position is from the centre of each query, counted in real positions [N, Q, S]."""
        share_NQ1: Tensor = self.centre(self.inner(query_NQD).tanh()).float().sigmoid()
        count_N = mask_NS.sum(dim=1)
        place_NS = mask_NS.cumsum(dim=1) - 1
        away_NQS: Tensor = place_NS[:, None] - share_NQ1 * count_N[:, None, None]
        return away_NQS
