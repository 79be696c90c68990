"""How well a query and a key match: the one number a position from which attention is made.

N source, Q query, S source position, D model, A inner size.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from isthmus.core.errors import ConfigError
from isthmus.nn.attention import projection

SimilarityKind = Literal["dot", "scaled-dot", "general", "additive", "cosine"]

FIRST_STRENGTH = 5.0


class Similarity(nn.Module):
    """sim(q, k) for every query and key of a source.

    - `dot`: q · k (Luong et al. 2015, section 3.1);
    - `scaled-dot`: q · k / sqrt(D) (Vaswani et al. 2017, section 3.2.1);
    - `general`: q · W k (Luong et al. 2015, section 3.1);
    - `additive`: v · tanh(W q + U k + b) (Bahdanau et al. 2015, appendix A.1.2); costs an A-vector for each pair;
    - `cosine`: β cos(q, k), β > 0 learned (Graves et al. 2014, section 3.3.1).

    Args:
        kind: which of them.
        d_query: size of queries.
        d_key: size of keys; `dot`, `scaled-dot` and `cosine` need that of queries.

    Raises:
        ConfigError: sizes differ where they must be equal.
    """

    def __init__(self, kind: SimilarityKind, d_query: int, d_key: int) -> None:
        super().__init__()
        if kind in ("dot", "scaled-dot", "cosine") and d_query != d_key:
            raise ConfigError(
                f"the similarity `{kind}` compares vectors of one size",
                expected=f"keys of size {d_query}",
                got=f"size {d_key}",
                where="model.connection.similarity",
                fix='take "general" or "additive"',
            )
        self.kind = kind
        self.key: nn.Linear | None = None
        self.query: nn.Linear | None = None
        self.score: nn.Linear | None = None
        self.strength: nn.Parameter | None = None
        if kind == "general":
            self.key = projection(d_key, d_query, bias=False)
        elif kind == "additive":
            self.key, self.query = projection(d_key, d_query, bias=True), projection(d_query, d_query, bias=False)
            self.score = projection(d_query, 1, bias=False)
        elif kind == "cosine":
            self.strength = nn.Parameter(torch.tensor([FIRST_STRENGTH]).log())

    def prepare(self, states_NSD: Tensor) -> Tensor:
        """What of the keys depends on no query: W k, U k + b, or k / |k| [N, S, A]."""
        if self.key is not None:
            key_NSA: Tensor = self.key(states_NSD)
            return key_NSA
        return functional.normalize(states_NSD, dim=-1) if self.kind == "cosine" else states_NSD

    def forward(self, query_NQD: Tensor, key_NSA: Tensor) -> Tensor:
        """Scores [N, Q, S] of queries with prepared keys."""
        if self.query is not None and self.score is not None:
            both_NQSA = self.query(query_NQD)[:, :, None] + key_NSA[:, None]
            score_NQS: Tensor = self.score(both_NQSA.tanh())[..., 0]
            return score_NQS
        if self.strength is not None:
            query_NQD = functional.normalize(query_NQD, dim=-1) * self.strength.exp()
        elif self.kind == "scaled-dot":
            query_NQD = query_NQD * query_NQD.shape[2] ** -0.5
        return torch.matmul(query_NQD, key_NSA.transpose(1, 2))
