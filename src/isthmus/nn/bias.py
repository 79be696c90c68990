"""What the distance between two positions adds to their score in self-attention: ALiBi, T5's relative bias, Transformer-XL.

Distances are query minus key, so that earlier keys are at positive ones. None of the three knows a longest sequence.

B batch, T query position, S key position, D model, H heads, G key/value heads, K key size, R distance.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from typing import final

import torch
from torch import Tensor, nn

from isthmus.nn.positions import sinusoids


class ScoreBias(nn.Module, ABC):
    """An addend to the scores of self-attention."""

    @abstractmethod
    def forward(self, query_BHTK: Tensor, key_BGSK: Tensor, distance_BTS: Tensor) -> Tensor:
        """What is added to the scaled scores, broadcastable to [B, H, T, S].

        Args:
            query_BHTK: queries.
            key_BGSK: keys.
            distance_BTS: int64, [B or 1, T, S]: query position minus key position.
        """


def alibi_slopes(heads: int) -> tuple[float, ...]:
    """2^(-8/H), 2^(-16/H), ... for H a power of 2; else those of the power below, then every other one of the power above.

    Press et al. 2022, section 3, and the authors' code for other numbers of heads.
    """
    power = 1 << (heads.bit_length() - 1)
    slopes = [2.0 ** (-8 * (head + 1) / power) for head in range(power)]
    between = [2.0 ** (-4 * (head + 1) / power) for head in range(0, 2 * power, 2)]
    return tuple(slopes + between[: heads - power])


@final
class Alibi(ScoreBias):
    """-slope · |distance|, a fixed slope a head (Press et al. 2022, section 3); the same to either side in an encoder.

    Args:
        heads: query heads H.
    """

    def __init__(self, heads: int) -> None:
        super().__init__()
        self.slopes = alibi_slopes(heads)

    def forward(self, query_BHTK: Tensor, key_BGSK: Tensor, distance_BTS: Tensor) -> Tensor:  # noqa: ARG002
        """The addend [B or 1, H, T, S]."""
        slope_H = torch.tensor(self.slopes, dtype=torch.float32, device=distance_BTS.device)
        return distance_BTS.abs()[:, None] * -slope_H[:, None, None]


@final
class RelativeBias(ScoreBias):
    """A trained number for each head and bucket of distances (Raffel et al. 2020, section 2.1).

    Half of the buckets hold one small distance each, the others logarithmically growing ranges up to `farthest`; what is farther
    shares the last. Where keys stand to either side, half of all buckets are for later ones.

    Args:
        heads: query heads H.
        buckets: how many buckets.
        farthest: where the last begins, about.
        causal: whether keys never stand behind the query.
    """

    def __init__(self, heads: int, buckets: int, farthest: int, causal: bool) -> None:
        super().__init__()
        self.buckets, self.farthest, self.causal = buckets, farthest, causal
        self.weight = nn.Parameter(torch.randn(buckets, heads) * 0.1)

    def bucket(self, distance: Tensor) -> Tensor:
        """The bucket of each distance (int64 to int64)."""
        buckets = self.buckets if self.causal else self.buckets // 2
        behind = torch.zeros_like(distance) if self.causal else (distance < 0) * buckets
        size = distance.clamp(min=0) if self.causal else distance.abs()
        single = buckets // 2
        growth = (buckets - single) / math.log(self.farthest / single)
        wide = single + (torch.log(size.clamp(min=1).float() / single) * growth).long()
        return behind + torch.where(size < single, size, wide.clamp(max=buckets - 1))

    def forward(self, query_BHTK: Tensor, key_BGSK: Tensor, distance_BTS: Tensor) -> Tensor:  # noqa: ARG002
        """The addend [B or 1, H, T, S]."""
        return nn.functional.embedding(self.bucket(distance_BTS), self.weight).permute(0, 3, 1, 2)


@final
class RelativeAttention(ScoreBias):
    """u·k + (q + v)·W r(distance), times the scale of the scores; r are sine and cosine waves (Dai et al. 2019, section 3.3).

    With q·k, which attention adds itself, these are the paper's terms (c), (b) and (d). The products with every distance are made
    once and then picked, so that no [T, S, K] tensor exists (appendix B).

    Args:
        sizes: (D, H, K) of the attention.
        scale: the factor on its query-key products.
        causal: whether keys never stand behind the query.
        terms: u and v [2, H, K], shared by layers in the paper; `None` makes them.
    """

    def __init__(
        self, sizes: tuple[int, int, int], scale: float, causal: bool, terms: nn.Parameter | None = None
    ) -> None:
        super().__init__()
        self.d_model, heads, head_size = sizes
        self.scale, self.causal = scale, causal
        self.terms = nn.Parameter(torch.randn(2, heads, head_size) * 0.02) if terms is None else terms
        self.wave = nn.Linear(self.d_model, heads * head_size, bias=False)
        nn.init.xavier_uniform_(self.wave.weight)

    def forward(self, query_BHTK: Tensor, key_BGSK: Tensor, distance_BTS: Tensor) -> Tensor:
        """The addend [B, H, T, S]; every distance must be under S, the number of keys."""
        B, H, T, K = query_BHTK.shape
        G, S = key_BGSK.shape[1:3]
        key_term_HK, query_term_HK = self.terms
        content_BHS = torch.einsum("grk,bgsk->bgrs", key_term_HK.view(G, H // G, K), key_BGSK).flatten(1, 2)
        first = 0 if self.causal else 1 - S
        distance_R = torch.arange(first, S + 1, device=distance_BTS.device)
        wave_RHK = self.wave(sinusoids(distance_R, self.d_model).to(query_BHTK.dtype)).view(-1, H, K)
        waves_BHTR = torch.einsum("bhtk,rhk->bhtr", query_BHTK + query_term_HK[:, None], wave_RHK)
        place_BTS = (distance_BTS - first).clamp(0, S - first)
        picked_BHTS = waves_BHTR.gather(3, place_BTS[:, None].expand(B, H, T, S))
        return (content_BHS[:, :, None] + picked_BHTS) * self.scale
