"""B batch, T query position, S key position, H heads, G key/value heads, K key size, D model."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from isthmus.nn.attention import HeadSizes, SelfAttention, _fused, attend, causal_allowed
from isthmus.nn.bias import Alibi, RelativeAttention, RelativeBias, ScoreBias, alibi_slopes
from isthmus.nn.cache import KeyValueCache

D, H, G, K = 13, 6, 3, 5
SIZES = HeadSizes(D, H, G, K)


def biases(causal: bool) -> list[ScoreBias]:
    return [Alibi(H), RelativeBias(H, 8, 11, causal), RelativeAttention((D, H, K), SIZES.factor, causal)]


def distances(queries: Tensor, keys: Tensor) -> Tensor:
    return queries[..., :, None] - keys[..., None, :]


@pytest.mark.parametrize("heads", [1, 2, 8, 16])
def test_the_slopes_of_the_paper(heads: int) -> None:
    """Section 3: for n heads a geometric sequence that starts at 2^(-8/n) and has that as its ratio."""
    assert alibi_slopes(heads) == pytest.approx([(2 ** (-8 / heads)) ** (head + 1) for head in range(heads)])


def test_slopes_of_other_numbers_of_heads() -> None:
    assert alibi_slopes(8)[:3] == (1 / 2, 1 / 4, 1 / 8)
    assert alibi_slopes(12) == pytest.approx([*alibi_slopes(8), 2**-0.5, 2**-1.5, 2**-2.5, 2**-3.5])
    assert len(set(alibi_slopes(7))) == 7


def test_alibi_falls_with_the_distance_to_either_side() -> None:
    place_1T = torch.arange(5)[None]
    bias_1HTS = Alibi(H)(torch.zeros(1, H, 5, K), torch.zeros(1, G, 5, K), distances(place_1T, place_1T))
    assert bias_1HTS.shape == (1, H, 5, 5)
    for head, slope in enumerate(alibi_slopes(H)):
        assert float(bias_1HTS[0, head, 1, 4]) == pytest.approx(-3 * slope)
        assert float(bias_1HTS[0, head, 4, 1]) == pytest.approx(-3 * slope)
    assert not Alibi(H).state_dict()


def test_buckets_are_single_then_wide_then_one() -> None:
    causal = RelativeBias(2, 8, 40, causal=True)
    assert causal.bucket(torch.arange(-2, 5)).tolist() == [0, 0, 0, 1, 2, 3, 4]
    found = causal.bucket(torch.arange(200)).tolist()
    assert found == sorted(found)
    assert set(found) == set(range(8))
    assert set(found[40:]) == {7}
    both = RelativeBias(2, 8, 40, causal=False)
    before, behind = both.bucket(torch.arange(200)), both.bucket(-torch.arange(1, 200))
    assert torch.equal(behind, before[1:] + 4)


def naive_relative(bias: RelativeAttention, query: Tensor, key: Tensor, distance: Tensor) -> Tensor:
    """The four terms of section 3.3 less the first, one pair of positions at a time."""
    u, v = bias.terms.detach()
    found = torch.zeros(*query.shape[:3], key.shape[2])
    weight_HKD = bias.wave.weight.detach().view(H, K, D)
    for b in range(query.shape[0]):
        for h in range(H):
            for t in range(query.shape[2]):
                for s in range(key.shape[2]):
                    far = int(distance[b % distance.shape[0], t, s])
                    angles = [far / 10000 ** (2 * i / (D - 1)) for i in range(D // 2)]
                    wave = torch.tensor([*map(math.sin, angles), *map(math.cos, angles), 0.0])
                    turned = weight_HKD[h] @ wave
                    found[b, h, t, s] = u[h] @ key[b, h // (H // G), s] + (query[b, h, t] + v[h]) @ turned
    return found * bias.scale


@torch.no_grad()
def test_relative_attention_is_its_equation() -> None:
    query, key = torch.randn(2, H, 7, K), torch.randn(2, G, 7, K)
    place_1T = torch.arange(7)[None]
    both = RelativeAttention((D, H, K), 0.3, causal=False)
    both.terms.normal_()
    found = both(query, key, distances(place_1T, place_1T))
    torch.testing.assert_close(
        found, naive_relative(both, query, key, distances(place_1T, place_1T)), rtol=1e-5, atol=1e-5
    )
    causal = RelativeAttention((D, H, K), 0.3, causal=True)
    causal.terms.normal_()
    at = distances(torch.tensor([[4, 5], [0, 1]]), place_1T)
    found, expected = causal(query[:, :, :2], key, at), naive_relative(causal, query[:, :, :2], key, at)
    seen = (at >= 0)[:, None].expand_as(found)
    torch.testing.assert_close(found[seen], expected[seen], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("number", range(3))
@torch.no_grad()
def test_a_biased_attention_reads_as_its_equation_says(number: int) -> None:
    """softmax(q·k·scale + bias) v over the allowed keys, whatever way the scores are computed."""
    for groups in (H, G):
        bias = biases(causal=False)[number]
        query, key, value = torch.randn(2, H, 7, K), torch.randn(2, groups, 7, K), torch.randn(2, groups, 7, K)
        allowed = torch.rand(2, 1, 7, 7) > 0.3
        allowed[1, 0, 3] = False
        place_1T = torch.arange(7)[None]
        addend = bias(query, key, distances(place_1T, place_1T))
        wide_key, wide_value = (part.repeat_interleave(H // groups, 1) for part in (key, value))
        scores = query.double() @ wide_key.double().transpose(2, 3) * 0.4 + addend
        weights = torch.softmax(scores.masked_fill(~allowed, -1e30), dim=-1) * allowed
        expected = (weights @ wide_value.double()).float()
        found, _ = attend(query, key, value, allowed, 0.4, weights=False, bias=addend)
        torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)
        fused = _fused(query, key, value, (allowed, addend), 0.4, 0.0)
        torch.testing.assert_close(fused, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("number", range(3))
@torch.no_grad()
def test_rows_of_a_cache_stand_at_their_own_positions(number: int) -> None:
    bias = biases(causal=True)[number]
    attention = SelfAttention(SIZES, bias=bias).eval()
    x_BTD, place_1T = torch.randn(2, 7, D), torch.arange(7)[None]
    whole_BTD, _ = attention(x_BTD, causal_allowed(7, None, place_1T, None), place_1T)
    cache = KeyValueCache.empty(2, G, K, x_BTD).reserved(9)
    for row, upto in enumerate((5, 3)):
        first = torch.arange(upto)[None]
        part = KeyValueCache(cache.keys_BGSK[row : row + 1], cache.values_BGSK[row : row + 1])
        attention(x_BTD[row : row + 1, :upto], causal_allowed(upto, part, first, None), first, part)
    then_BT = torch.tensor([[5, 6], [3, 4]])
    next_BTD = torch.stack([x_BTD[0, 5:7], x_BTD[1, 3:5]])
    found_BTD, _ = attention(next_BTD, causal_allowed(2, cache, then_BT, None), then_BT, cache)
    torch.testing.assert_close(found_BTD, torch.stack([whole_BTD[0, 5:], whole_BTD[1, 3:5]]), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("number", range(3))
@torch.no_grad()
def test_what_is_far_beyond_any_table_has_a_score(number: int) -> None:
    bias = biases(causal=True)[number]
    at = distances(torch.tensor([[3000]]), torch.arange(3001)[None])
    assert bool(bias(torch.randn(1, H, 1, K), torch.randn(1, G, 3001, K), at).isfinite().all())
