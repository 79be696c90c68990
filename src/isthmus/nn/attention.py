"""Scaled dot-product attention and the self-attention block around it.

B batch, T query position, S key position, D model, H heads, G key/value heads, K key size.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from isthmus.core.runtime import known
from isthmus.nn.cache import KeyValueCache
from isthmus.nn.dropout import dropout as drop
from isthmus.nn.masks import causal_TT, past_BTS
from isthmus.nn.positions import Rotary
from isthmus.nn.softmax import softmax

FUSED_FROM = (
    700 * 700
)  # so many pairs of positions: below, batched products are up to eight times faster (see docs/performance.md)


@dataclass(frozen=True, slots=True)
class HeadSizes:
    """The sizes of multi-head attention, named.

    Attributes:
        d_model: size of the states that come in and go out.
        heads: query heads H.
        key_value_heads: key/value heads G; H is a multiple of it (Ainslie et al. 2023, grouped-query attention).
        head_size: size K of a head; independent of `d_model`.
        scale: factor on query-key products; `None` is 1/sqrt(K).
        bias: whether the projections add a bias.
    """

    d_model: int
    heads: int
    key_value_heads: int
    head_size: int
    scale: float | None = None
    bias: bool = True

    @property
    def factor(self) -> float:
        """The factor that query-key products are multiplied with."""
        return 1 / math.sqrt(self.head_size) if self.scale is None else self.scale


def attend(
    query_BHTK: Tensor,
    key_BGSK: Tensor,
    value_BGSK: Tensor,
    allowed: Tensor | None,
    scale: float,
    dropout: float = 0.0,
    weights: bool = True,
) -> tuple[Tensor, Tensor | None]:
    """softmax(Q Kᵀ · scale) V, where not-allowed pairs get weight 0 (Vaswani et al. 2017, section 3.2.1).

    Args:
        query_BHTK: queries.
        key_BGSK: keys; G divides H, and H/G query heads in a row share one key head.
        value_BGSK: values.
        allowed: bool, broadcastable to [B, 1, T, S]; a query that may attend nothing gets context and weights 0.
        scale: factor on the products.
        dropout: probability to drop a weight.
        weights: whether the caller wants the weights; without them a fused kernel may be used.

    Returns:
        context_BHTK, and weights_BHTS (before dropout) or `None` if not wanted.
    """
    if not weights and _long(query_BHTK, key_BGSK, dropout):
        return _fused(query_BHTK, key_BGSK, value_BGSK, allowed, scale, dropout), None
    scores_BHTS = _scores(query_BHTK, key_BGSK, allowed, scale)
    weights_BHTS = torch.softmax(scores_BHTS, dim=-1, dtype=torch.float32) if weights else softmax(scores_BHTS)
    context_BHTK = _contexts(drop(weights_BHTS, dropout, True).to(value_BGSK.dtype), value_BGSK)
    if allowed is None or known(some := allowed.any(dim=-1, keepdim=True)):
        return context_BHTK, weights_BHTS if weights else None
    return context_BHTK * some, weights_BHTS * some if weights else None


def _long(query_BHTK: Tensor, key_BGSK: Tensor, dropout: float) -> bool:
    """Where torch's fused kernel is faster: off a CPU always; on one only for long sequences, and it knows no dropout there."""
    if query_BHTK.device.type != "cpu":
        return True
    return (
        not torch.compiler.is_compiling() and dropout == 0.0 and query_BHTK.shape[2] * key_BGSK.shape[2] >= FUSED_FROM
    )


def masked_softmax(scores: Tensor, allowed: Tensor) -> Tensor:
    """Softmax over the last axis in float32, with 0 where it is not allowed; 0 everywhere where nothing is.

    Args:
        scores: any numbers.
        allowed: bool, broadcastable to the scores.
    """
    lowest = torch.finfo(torch.float32).min
    return torch.softmax(scores.float().masked_fill(~allowed, lowest), dim=-1) * allowed


def _scores(query_BHTK: Tensor, key_BGSK: Tensor, allowed: Tensor | None, scale: float) -> Tensor:
    """Q Kᵀ · scale [B, H, T, S], the lowest number where not allowed.

    With a head of keys for each of queries, the mask is the addend of one batched product. H/G query heads in a row may also share
    a key head, which is not repeated in memory.
    """
    B, H, T, K = query_BHTK.shape
    G, S = key_BGSK.shape[1:3]
    lowest = torch.finfo(query_BHTK.dtype).min
    if H != G:
        scores_BHTS = torch.einsum("bgrtk,bgsk->bgrts", _grouped(query_BHTK * scale, G), key_BGSK).flatten(1, 2)
        return scores_BHTS if allowed is None else scores_BHTS.masked_fill(~allowed, lowest)
    query_CTK, key_CKS = query_BHTK.reshape(B * H, T, K), key_BGSK.reshape(B * H, S, K).transpose(1, 2)
    if allowed is None:
        return torch.bmm(query_CTK * scale, key_CKS).view(B, H, T, S)
    bias = torch.zeros_like(allowed, dtype=query_BHTK.dtype).masked_fill_(~allowed, lowest)
    bias_CTS = bias[0] if allowed.shape[:2] == (1, 1) else bias.expand(B, H, -1, S).reshape(B * H, bias.shape[2], S)
    return torch.baddbmm(bias_CTS, query_CTK, key_CKS, alpha=scale).view(B, H, T, S)


def _contexts(weights_BHTS: Tensor, value_BGSK: Tensor) -> Tensor:
    """The weighted sums of values [B, H, T, K], heads shared as in `_scores`."""
    G = value_BGSK.shape[1]
    if weights_BHTS.shape[1] == G:
        return torch.matmul(weights_BHTS, value_BGSK)
    return torch.einsum("bgrts,bgsk->bgrtk", _grouped(weights_BHTS, G), value_BGSK).flatten(1, 2)


def _grouped(x_BHTX: Tensor, groups: int) -> Tensor:
    """[B, H, T, X] -> [B, G, H/G, T, X]."""
    B, H, T, X = x_BHTX.shape
    return x_BHTX.reshape(B, groups, H // groups, T, X)


def _fused(
    query_BHTK: Tensor, key_BGSK: Tensor, value_BGSK: Tensor, allowed: Tensor | None, scale: float, dropout: float
) -> Tensor:
    context_BHTK = functional.scaled_dot_product_attention(
        query_BHTK,
        key_BGSK,
        value_BGSK,
        attn_mask=allowed,
        dropout_p=dropout,
        scale=scale,
        enable_gqa=key_BGSK.shape[1] != query_BHTK.shape[1],
    )
    return context_BHTK if allowed is None else torch.where(allowed.any(dim=-1, keepdim=True), context_BHTK, 0.0)


def project_together(x: Tensor, *linears: nn.Linear) -> tuple[Tensor, ...]:
    """What each layer makes of the same states; while weights are trained in one product, of which the backward pass profits."""
    if not torch.is_grad_enabled() or len(linears) == 1:
        return tuple(linear(x) for linear in linears)
    weight = torch.cat([linear.weight for linear in linears])
    bias = None if linears[0].bias is None else torch.cat([linear.bias for linear in linears])
    return torch.split(functional.linear(x, weight, bias), [linear.out_features for linear in linears], dim=-1)


def split_heads(x_BTF: Tensor, heads: int) -> Tensor:
    """[B, T, heads·K] -> [B, heads, T, K]."""
    B, T, F = x_BTF.shape
    return x_BTF.view(B, T, heads, F // heads).transpose(1, 2)


def join_heads(x_BHTK: Tensor) -> Tensor:
    """[B, H, T, K] -> [B, T, H·K]."""
    B, H, T, K = x_BHTK.shape
    return x_BHTK.transpose(1, 2).reshape(B, T, H * K)


def projection(inputs: int, outputs: int, bias: bool, parts: int = 1) -> nn.Linear:
    """A linear layer whose `parts` stacked blocks of outputs are each drawn Xavier-uniform (Glorot and Bengio 2010)."""
    linear = nn.Linear(inputs, outputs, bias=bias)
    for block in linear.weight.detach().chunk(parts):
        nn.init.xavier_uniform_(block)
    if bias:
        nn.init.zeros_(linear.bias)
    return linear


class SelfAttention(nn.Module):
    """Multi-head attention of a sequence over itself (Vaswani et al. 2017, section 3.2.2), with an optional cache.

    Args:
        sizes: heads and sizes.
        dropout: probability to drop an attention weight.
        rotary: rotates queries and keys by their position (Su et al. 2021), or `None`.
    """

    def __init__(self, sizes: HeadSizes, dropout: float = 0.0, rotary: Rotary | None = None) -> None:
        super().__init__()
        self.sizes, self.dropout, self.rotary = sizes, dropout, rotary
        inner, outer = sizes.heads * sizes.head_size, sizes.key_value_heads * sizes.head_size
        self.query = projection(sizes.d_model, inner, sizes.bias)
        self.key = projection(sizes.d_model, outer, sizes.bias)
        self.value = projection(sizes.d_model, outer, sizes.bias)
        self.output = projection(inner, sizes.d_model, sizes.bias)

    def forward(
        self, x_BTD: Tensor, allowed: Tensor | None, position_BT: Tensor, cache: KeyValueCache | None = None
    ) -> tuple[Tensor, KeyValueCache | None]:
        """Read the sequence, or the cache with the sequence written behind it.

        Args:
            x_BTD: states of the positions.
            allowed: bool, broadcastable to [B, 1, T, S].
            position_BT: positions of the states, [B or 1, T].
            cache: keys and values of earlier positions; it is written in place.

        Returns:
            context_BTD and the cache.
        """
        sizes = self.sizes
        query_BTF, key_BTF, value_BTF = project_together(x_BTD, self.query, self.key, self.value)
        query_BHTK = split_heads(query_BTF, sizes.heads)
        key_BGSK, value_BGSK = (split_heads(part, sizes.key_value_heads) for part in (key_BTF, value_BTF))
        if self.rotary is not None:
            query_BHTK, key_BGSK = self.rotary(query_BHTK, position_BT), self.rotary(key_BGSK, position_BT)
        if cache is not None:
            cache.write(key_BGSK, value_BGSK, position_BT)
            key_BGSK, value_BGSK = cache.keys_BGSK, cache.values_BGSK
        dropout = self.dropout if self.training else 0.0
        context_BHTK, _ = attend(query_BHTK, key_BGSK, value_BGSK, allowed, sizes.factor, dropout, weights=False)
        return self.output(join_heads(context_BHTK)), cache


def causal_allowed(block: int, cache: KeyValueCache | None, position_BT: Tensor, attend_BTT: Tensor | None) -> Tensor:
    """Who may see whom in a causal block: [1 or B, 1, T, S], narrowed by an optional mask of the caller's."""
    if cache is None:
        causal_1TT = causal_TT(block, position_BT.device)[None]
        allowed_BTS = causal_1TT if attend_BTT is None else causal_1TT & attend_BTT
    else:
        allowed_BTS = past_BTS(position_BT[:, 0], block, cache.capacity)
    return allowed_BTS[:, None]
