"""B batch, T query position, S key position, H heads, G key/value heads, K key size."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from isthmus.nn.attention import (
    HeadSizes,
    SelfAttention,
    _fused,
    attend,
    causal_allowed,
    join_heads,
    projection,
    split_heads,
)
from isthmus.nn.cache import KeyValueCache
from isthmus.nn.masks import causal_TT, past_BTS
from isthmus.nn.positions import Rotary

B, H, G, T, S, K = 2, 6, 3, 5, 7, 11


def tensors() -> tuple[Tensor, Tensor, Tensor, Tensor]:
    allowed = torch.rand(B, 1, T, S) > 0.4
    allowed[..., 0] = True
    allowed[1, :, 2] = False  # one query may attend nothing
    return torch.randn(B, H, T, K), torch.randn(B, G, S, K), torch.randn(B, G, S, K), allowed


def naive(query: Tensor, key: Tensor, value: Tensor, allowed: Tensor, scale: float) -> tuple[Tensor, Tensor]:
    """As the equation says it, one number at a time."""
    context, weights = torch.zeros(B, H, T, K), torch.zeros(B, H, T, S)
    for b in range(B):
        for h in range(H):
            for t in range(T):
                open_ = [s for s in range(S) if allowed[b, 0, t, s]]
                if open_:
                    scores = torch.stack([scale * (query[b, h, t] @ key[b, h // (H // G), s]) for s in open_])
                    for s, weight in zip(open_, scores.softmax(0), strict=True):
                        weights[b, h, t, s] = weight
                        context[b, h, t] += weight * value[b, h // (H // G), s]
    return context, weights


def test_attention_is_the_equation() -> None:
    query, key, value, allowed = tensors()
    expected_context, expected_weights = naive(query, key, value, allowed, 0.3)
    context, weights = attend(query, key, value, allowed, 0.3)
    assert weights is not None
    torch.testing.assert_close(context, expected_context, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(weights, expected_weights, rtol=1e-5, atol=1e-6)
    assert bool((weights[~allowed.expand_as(weights)] == 0).all())
    assert bool((context[1, :, 2] == 0).all())


def test_without_weights_the_context_is_the_same_to_the_bit() -> None:
    query, key, value, allowed = tensors()
    context, weights = attend(query, key, value, allowed, 0.3, weights=False)
    assert weights is None
    assert torch.equal(context, attend(query, key, value, allowed, 0.3)[0])


def test_shared_key_heads_are_repeated_key_heads() -> None:
    query, key, value, allowed = tensors()
    repeated = attend(query, key.repeat_interleave(H // G, 1), value.repeat_interleave(H // G, 1), allowed, 0.3)
    for shared, other in zip(attend(query, key, value, allowed, 0.3), repeated, strict=True):
        torch.testing.assert_close(shared, other, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("mask", ["none", "some"])
def test_the_fused_kernel_agrees(mask: str) -> None:
    query, key, value, allowed = tensors()
    found = _fused(query, key, value, (allowed if mask == "some" else None, None), 0.3, 0.0)
    expected, _ = attend(query, key, value, allowed if mask == "some" else None, 0.3)
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-6)


def test_huge_scores_do_not_overflow_and_gradients_of_masked_rows_are_finite() -> None:
    query, key, value, allowed = tensors()
    query = (query * 1e4).requires_grad_()
    context, _ = attend(query, key, value, allowed, 1.0)
    context.sum().backward()  # type: ignore[no-untyped-call]
    assert query.grad is not None
    assert bool(query.grad.isfinite().all())
    assert bool((query.grad[1, :, 2] == 0).all())


def test_weights_are_float32_in_bfloat16() -> None:
    query, key, value, allowed = tensors()
    context, weights = attend(query.bfloat16(), key.bfloat16(), value.bfloat16(), allowed, 0.3)
    assert weights is not None
    assert (context.dtype, weights.dtype) == (torch.bfloat16, torch.float32)


def test_dropout_drops_weights_and_reports_them_whole() -> None:
    query, key, value, allowed = tensors()
    context, weights = attend(query, key, value, allowed, 0.3, dropout=0.5)
    expected_context, expected_weights = attend(query, key, value, allowed, 0.3)
    assert torch.equal(weights, expected_weights) if weights is not None and expected_weights is not None else False
    assert not torch.equal(context, expected_context)


def test_heads_split_and_join() -> None:
    x_BTF = torch.arange(B * T * H * K).view(B, T, H * K)
    x_BHTK = split_heads(x_BTF, H)
    assert x_BHTK.shape == (B, H, T, K)
    assert torch.equal(x_BHTK[1, 2, 3], x_BTF[1, 3, 2 * K : 3 * K])
    assert torch.equal(join_heads(x_BHTK), x_BTF)


def test_the_usual_scale() -> None:
    assert HeadSizes(64, 4, 4, 16).factor == 0.25
    assert HeadSizes(64, 4, 4, 16, scale=1.0).factor == 1.0


def test_projection_is_drawn_block_by_block() -> None:
    """Three stacked blocks are drawn as three layers, not as one wide one."""
    linear = projection(101, 3 * 53, bias=True, parts=3)
    bound = (6 / (101 + 53)) ** 0.5
    assert bound * 0.98 < float(linear.weight.detach().abs().max()) <= bound
    assert bool((linear.bias == 0).all())
    assert projection(5, 7, bias=False).bias is None


def test_masks() -> None:
    device = torch.device("cpu")
    assert causal_TT(3, device).int().tolist() == [[1, 0, 0], [1, 1, 0], [1, 1, 1]]
    assert past_BTS(torch.tensor([0, 2]), 2, 5).int().tolist() == [
        [[1, 0, 0, 0, 0], [1, 1, 0, 0, 0]],
        [[1, 1, 1, 0, 0], [1, 1, 1, 1, 0]],
    ]


@pytest.mark.parametrize("rotary", [False, True])
def test_reading_through_a_cache_is_reading_at_once(rotary: bool) -> None:
    """Rows that stand at different positions, in blocks."""
    attention = SelfAttention(HeadSizes(13, 4, 2, 6), rotary=Rotary(17, 6) if rotary else None).eval()
    x_BTD = torch.randn(2, 7, 13)
    position_1T = torch.arange(7)[None]
    whole_BTD, none = attention(x_BTD, causal_allowed(7, None, position_1T, None), position_1T)
    assert none is None
    cache = KeyValueCache.empty(2, 2, 6, x_BTD).grown(11)
    first_BT, then_BT = torch.tensor([[0, 1, 2], [0, 1, 2]]), torch.tensor([[3, 4], [1, 2]])
    attention(x_BTD[:, :3], causal_allowed(3, cache, first_BT, None), first_BT, cache)
    again_BTD = torch.stack([x_BTD[0, 3:5], x_BTD[1, 1:3]])
    found_BTD, kept = attention(again_BTD, causal_allowed(2, cache, then_BT, None), then_BT, cache)
    assert kept is cache
    torch.testing.assert_close(found_BTD[0], whole_BTD[0, 3:5], rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(found_BTD[1], whole_BTD[1, 1:3], rtol=1e-5, atol=1e-6)


def test_a_mask_of_ones_own_narrows_the_causal_mask() -> None:
    own_BTT = torch.tensor([[[True, True], [False, True]]])
    allowed = causal_allowed(2, None, torch.arange(2)[None], own_BTT)
    assert allowed is not None
    assert allowed.int().tolist() == [[[[1, 0], [0, 1]]]]
