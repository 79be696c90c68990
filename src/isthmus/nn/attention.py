"""Scaled dot-product attention and the self-attention block around it.

B batch, T query position, S key position, D model, H heads, G key/value heads, K key size.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn
from torch.nn import functional

from isthmus.core.runtime import known
from isthmus.nn.bias import ScoreBias
from isthmus.nn.cache import KeyValueCache
from isthmus.nn.dropout import dropout as drop
from isthmus.nn.masks import causal_TT, past_BTS
from isthmus.nn.packed import Packable, PackedLinear
from isthmus.nn.positions import Rotary
from isthmus.nn.segments import Divided, Segments
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
    bias: Tensor | None = None,
) -> tuple[Tensor, Tensor | None]:
    """softmax(Q Kᵀ · scale + bias) V, where not-allowed pairs get weight 0 (Vaswani et al. 2017, section 3.2.1).

    Args:
        query_BHTK: queries.
        key_BGSK: keys; G divides H, and H/G query heads in a row share one key head.
        value_BGSK: values.
        allowed: bool, broadcastable to [B, 1, T, S]; a query that may attend nothing gets context and weights 0.
        scale: factor on the products.
        dropout: probability to drop a weight.
        weights: whether the caller wants the weights; without them a fused kernel may be used.
        bias: added to the scaled products, [B or 1, H, T, S], or `None`.

    Returns:
        context_BHTK, and weights_BHTS (before dropout) or `None` if not wanted.
    """
    if allowed is not None and known(allowed):
        allowed = None
    if not weights and _long(query_BHTK, key_BGSK, dropout):
        return _fused(query_BHTK, key_BGSK, value_BGSK, (allowed, bias), scale, dropout), None
    scores_BHTS = _scores(query_BHTK, key_BGSK, _addend(allowed, bias, query_BHTK.dtype), scale)
    context_BHTK = _contexts(drop(softmax(scores_BHTS), dropout, True).to(value_BGSK.dtype), value_BGSK)
    weights_BHTS = torch.softmax(scores_BHTS, dim=-1, dtype=torch.float32) if weights else None
    if allowed is None or known(some := allowed.any(dim=-1, keepdim=True)):
        return context_BHTK, weights_BHTS
    return context_BHTK * some, None if weights_BHTS is None else weights_BHTS * some


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


def _addend(allowed: Tensor | None, bias: Tensor | None, dtype: torch.dtype) -> Tensor | None:
    """What is added to the scores: the bias, and the lowest number where not allowed."""
    if allowed is None:
        return None if bias is None else bias.to(dtype)
    lowest = torch.finfo(dtype).min
    if bias is None:
        return torch.zeros_like(allowed, dtype=dtype).masked_fill_(~allowed, lowest)
    return bias.to(dtype).masked_fill(~allowed, lowest)


def _scores(query_BHTK: Tensor, key_BGSK: Tensor, addend: Tensor | None, scale: float) -> Tensor:
    """Q Kᵀ · scale + addend [B, H, T, S].

    With a head of keys for each of queries, this is one batched product. H/G query heads in a row may also share a key head, which
    is not repeated in memory.
    """
    B, H, T, K = query_BHTK.shape
    G, S = key_BGSK.shape[1:3]
    if H != G:
        scores_BHTS = torch.einsum("bgrtk,bgsk->bgrts", _grouped(query_BHTK * scale, G), key_BGSK).flatten(1, 2)
        return scores_BHTS if addend is None else scores_BHTS + addend
    query_CTK, key_CKS = query_BHTK.reshape(B * H, T, K), key_BGSK.reshape(B * H, S, K).transpose(1, 2)
    if addend is None:
        nothing = query_CTK.new_empty(1, 1, 1)  # not read; the bits are those of a product with an addend of zeros
        return torch.baddbmm(nothing, query_CTK, key_CKS, beta=0, alpha=scale).view(B, H, T, S)
    one = addend.shape[:2] == (1, 1)
    addend_CTS = addend[0] if one else addend.expand(B, H, -1, S).reshape(B * H, addend.shape[2], S)
    return torch.baddbmm(addend_CTS, query_CTK, key_CKS, alpha=scale).view(B, H, T, S)


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
    query_BHTK: Tensor,
    key_BGSK: Tensor,
    value_BGSK: Tensor,
    mask: tuple[Tensor | None, Tensor | None],
    scale: float,
    dropout: float,
) -> Tensor:
    """The same by torch's kernel; `mask` is (allowed, bias)."""
    allowed, bias = mask
    context_BHTK = functional.scaled_dot_product_attention(
        query_BHTK,
        key_BGSK,
        value_BGSK,
        attn_mask=allowed if bias is None else _addend(allowed, bias, query_BHTK.dtype),
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


class SelfAttention(nn.Module, Packable):
    """Multi-head attention of a sequence over itself (Vaswani et al. 2017, section 3.2.2), with an optional cache.

    Args:
        sizes: heads and sizes.
        dropout: probability to drop an attention weight.
        rotary: rotates queries and keys by their position (Su et al. 2021), or `None`.
        bias: adds to the scores by the distance of positions, or `None`.
        segments: how long sequences are divided (Dai et al. 2019), or `None`.
    """

    def __init__(
        self,
        sizes: HeadSizes,
        dropout: float = 0.0,
        rotary: Rotary | None = None,
        bias: ScoreBias | None = None,
        segments: Segments | None = None,
    ) -> None:
        super().__init__()
        self.sizes, self.dropout, self.rotary, self.bias, self.segments = sizes, dropout, rotary, bias, segments
        inner, outer = sizes.heads * sizes.head_size, sizes.key_value_heads * sizes.head_size
        self.query = projection(sizes.d_model, inner, sizes.bias)
        self.key = projection(sizes.d_model, outer, sizes.bias)
        self.value = projection(sizes.d_model, outer, sizes.bias)
        self.output = projection(inner, sizes.d_model, sizes.bias)
        self.together: PackedLinear | None = None

    def pack(self) -> None:
        """Queries, keys and values in one product."""
        self.together = PackedLinear.of(self.query, self.key, self.value)

    def empty_past(self, rows: int, like: Tensor) -> KeyValueCache:
        """The past before the first position: a cache of no slots, which knows that nothing is written.

        Rows share slots where nothing asks for the position of a slot. In bfloat16 a CPU keeps keys and values in float32: it
        multiplies a few of them ten times faster so (see docs/performance.md).
        """
        if self.bias is None and like.dtype == torch.bfloat16 and like.device.type == "cpu" and not like.requires_grad:
            like = like.new_empty((), dtype=torch.float32)
        empty = KeyValueCache.empty(rows, self.sizes.key_value_heads, self.sizes.head_size, like)
        return replace(empty, used=0, sharing=self.bias is None and self.segments is None)

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
            context_BTD, and the cache as the next block finds it.
        """
        B, T, D = x_BTD.shape
        if self.segments is not None and cache is None and (torch.compiler.is_compiling() or self.segments.length < T):
            return self._in_segments(x_BTD, allowed, self.segments), None  # what fits into one needs no dividing
        k = 1 if cache is None else cache.group
        if k > 1:  # the blocks of k rows that share slots are read as one block of one row
            x_BTD, position_BT = x_BTD.reshape(B // k, k * T, D), position_BT[:1].repeat(1, k)
        parts = self._projected(x_BTD)
        query_BHTK, key_BGSK, value_BGSK = self._heads(parts, position_BT, position_BT)
        key_position_BS = position_BT
        if cache is not None:
            cache = cache.write(key_BGSK, value_BGSK, position_BT, allowed if k > 1 else None)
            key_BGSK, value_BGSK = cache.read()
            key_position_BS = position_BT if self.bias is None else cache.position_1S()
        read_BTD = self._read(query_BHTK, key_BGSK, value_BGSK, allowed, (position_BT, key_position_BS))
        return read_BTD.view(B, T, D), cache

    def _projected(self, x_BTD: Tensor) -> tuple[Tensor, ...]:
        """Queries, keys and values, not yet by head."""
        if self.together is None:
            return project_together(x_BTD, self.query, self.key, self.value)
        sizes = [one.out_features for one in (self.query, self.key, self.value)]
        return torch.split(self.together(x_BTD), sizes, dim=-1)

    def _heads(
        self, parts: tuple[Tensor, ...], query_position_BT: Tensor, key_position_BS: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Queries, keys and values by head, turned by their positions where these are rotary."""
        groups = self.sizes.key_value_heads
        query_BHTK = split_heads(parts[0], self.sizes.heads)
        key_BGSK, value_BGSK = split_heads(parts[1], groups), split_heads(parts[2], groups)
        if self.rotary is None:
            return query_BHTK, key_BGSK, value_BGSK
        return self.rotary(query_BHTK, query_position_BT), self.rotary(key_BGSK, key_position_BS), value_BGSK

    def _read(
        self,
        query_BHTK: Tensor,
        key_BGSK: Tensor,
        value_BGSK: Tensor,
        allowed: Tensor | None,
        positions: tuple[Tensor, Tensor],
    ) -> Tensor:
        """What queries at the first of `positions` read from keys at the second [B, T, D]."""
        bias_BHTS = None
        if self.bias is not None:
            bias_BHTS = self.bias(query_BHTK, key_BGSK, positions[0][:, :, None] - positions[1][:, None])
        dropout = self.dropout if self.training else 0.0
        context_BHTK, _ = attend(
            query_BHTK.to(key_BGSK.dtype),
            key_BGSK,
            value_BGSK,
            allowed,
            self.sizes.factor,
            dropout,
            weights=False,
            bias=bias_BHTS,
        )
        context_BTD: Tensor = self.output(join_heads(context_BHTK.to(query_BHTK.dtype)))
        return context_BTD

    def _in_segments(self, x_BTD: Tensor, allowed: Tensor | None, segments: Segments) -> Tensor:
        """Each segment reads itself and what it remembers, all at once; positions count from the first one remembered."""
        divided = Divided.of(segments, x_BTD.shape[1], x_BTD.device)
        own_CLD = divided.own(x_BTD)
        seen_CWD = torch.cat([divided.earlier(x_BTD), own_CLD], dim=1)
        position_1W = torch.arange(segments.memory + segments.length, device=x_BTD.device)[None]
        positions = (position_1W[:, segments.memory :], position_1W)
        parts = (self.query(own_CLD), *project_together(seen_CWD, self.key, self.value))
        if allowed is None:
            allowed = torch.ones(1, 1, 1, x_BTD.shape[1], dtype=torch.bool, device=x_BTD.device)
        read_CLD = self._read(*self._heads(parts, *positions), divided.allowed(allowed, x_BTD.shape[0]), positions)
        return divided.joined(read_CLD, x_BTD.shape[0])


def causal_allowed(
    block: int,
    cache: KeyValueCache | None,
    position_BT: Tensor,
    attend_BTT: Tensor | None,
    segments: Segments | None = None,
) -> Tensor | None:
    """Who may see whom in a causal block: [1 or B, 1, T, S], narrowed by a mask of the caller's and by what segments remember.

    `None` where a single position sees all that is written. The blocks of rows that share slots of a cache are one block of one row.
    """
    if cache is not None and cache.seen_BS is not None:
        return cache.visible(block)
    if cache is not None and cache.used is not None and block == 1 and segments is None:
        return None
    if cache is None:
        causal_1TT = causal_TT(block, position_BT.device)[None]
        allowed_BTS = causal_1TT if attend_BTT is None else causal_1TT & attend_BTT
    else:
        first_B = position_BT[:, 0] if cache.used is None else position_BT[:1, 0]
        allowed_BTS = past_BTS(first_B, block, cache.slots(block))
        if segments is not None:
            remembered_BTS = segments.remembered(position_BT[:, :, None], cache.position_1S(block)[:, None])
            allowed_BTS = allowed_BTS & remembered_BTS
    return allowed_BTS[:, None]
