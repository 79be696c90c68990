"""Self-attention over segments against a loop over them.

B batch, T position, D model.
"""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from isthmus.nn.attention import HeadSizes, SelfAttention, causal_allowed
from isthmus.nn.bias import Alibi, RelativeAttention, RelativeBias, ScoreBias
from isthmus.nn.positions import Rotary
from isthmus.nn.segments import Segments

B, D, H, G, K = 2, 13, 4, 2, 6
SIZES = HeadSizes(D, H, G, K)


def bias(kind: str, causal: bool) -> ScoreBias | None:
    match kind:
        case "alibi":
            return Alibi(H)
        case "t5":
            return RelativeBias(H, 8, 5, causal)
        case "transformer-xl":
            return RelativeAttention((D, H, K), SIZES.factor, causal)
        case _:
            return None


def one_after_the_other(
    whole: SelfAttention, x_BTD: Tensor, mask_BT: Tensor, causal: bool, segments: Segments
) -> Tensor:
    """Segment by segment as in section 3.2: keys and values of [stop-gradient(memory), segment], queries of the segment."""
    found, T = [], x_BTD.shape[1]
    for start in range(0, T, segments.length):
        stop, first = min(T, start + segments.length), max(0, start - segments.memory)
        seen_BSD = torch.cat([x_BTD[:, first:start].detach(), x_BTD[:, start:stop]], dim=1)
        place_S = torch.arange(first, stop)
        allowed = mask_BT[:, None, None, first:stop]
        if causal:
            allowed = allowed & (place_S[None] <= place_S[:, None])
        read_BSD, _ = whole(seen_BSD, allowed, place_S[None])
        found.append(read_BSD[:, start - first :])
    return torch.cat(found, dim=1)


@pytest.mark.parametrize("kind", ["none", "rotary", "alibi", "t5", "transformer-xl"])
@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize(("length", "memory"), [(3, 2), (4, 0), (2, 5), (11, 3), (17, 1)])
def test_all_segments_at_once_are_one_after_the_other(kind: str, causal: bool, length: int, memory: int) -> None:
    """Values, and gradients of the states and of the weights."""
    segments = Segments(length, memory)
    rotary = Rotary(23, K) if kind == "rotary" else None
    divided = SelfAttention(SIZES, rotary=rotary, bias=bias(kind, causal), segments=segments)
    whole = SelfAttention(SIZES, rotary=rotary, bias=divided.bias)
    whole.load_state_dict(divided.state_dict())
    x_BTD = torch.randn(B, 11, D, requires_grad=True)
    mask_BT = torch.arange(11)[None] < torch.tensor([[11], [5]])
    place_1T = torch.arange(11)[None]
    allowed = mask_BT[:, None, None]
    if causal:
        triangle = causal_allowed(11, None, place_1T, None)
        assert triangle is not None
        allowed = triangle & allowed
    found_BTD, _ = divided(x_BTD, allowed, place_1T)
    expected_BTD = one_after_the_other(whole, x_BTD, mask_BT, causal, segments)
    torch.testing.assert_close(found_BTD[mask_BT], expected_BTD[mask_BT], rtol=1e-5, atol=1e-5)
    inputs = [x_BTD, divided.key.weight], [x_BTD, whole.key.weight]
    ours = torch.autograd.grad(found_BTD[mask_BT].pow(3).sum(), inputs[0])
    theirs = torch.autograd.grad(expected_BTD[mask_BT].pow(3).sum(), inputs[1])
    for our, their in zip(ours, theirs, strict=True):
        torch.testing.assert_close(our, their, rtol=1e-4, atol=1e-5)


def test_what_is_remembered() -> None:
    place = torch.arange(8)
    seen = Segments(3, 2).remembered(place[:, None], place[None])
    assert [int(row.nonzero()[0]) for row in seen] == [0, 0, 0, 1, 1, 1, 4, 4]


@torch.no_grad()
def test_an_empty_sequence() -> None:
    divided = SelfAttention(SIZES, segments=Segments(3, 2))
    found, _ = divided(torch.zeros(B, 0, D), torch.ones(B, 1, 1, 0, dtype=torch.bool), torch.arange(0)[None])
    assert found.shape == (B, 0, D)
