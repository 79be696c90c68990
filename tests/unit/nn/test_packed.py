"""Packed layers against the layers that they are made of."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from isthmus.nn.attention import HeadSizes, SelfAttention
from isthmus.nn.packed import PackedLinear, pack

INPUTS = 7


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("shape", [(1, INPUTS), (5, INPUTS), (3, 2, INPUTS)])
def test_a_packed_layer_is_its_layers_side_by_side(shape: tuple[int, ...], bias: bool) -> None:
    one, other, x = nn.Linear(INPUTS, 11, bias), nn.Linear(INPUTS, 13, bias), torch.randn(shape)
    torch.testing.assert_close(PackedLinear.of(one, other)(x), torch.cat([one(x), other(x)], dim=-1))


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("rows", [1, 5, 320])
def test_bfloat16_weights_in_blocks_give_the_same_up_to_rounding(rows: int, bias: bool) -> None:
    linear, x = nn.Linear(64, 48, bias).bfloat16(), torch.randn(rows, 1, 64).bfloat16()
    packed = PackedLinear.of(linear)
    assert packed.blocks is not None
    found = packed(x)
    assert found.dtype == torch.bfloat16
    torch.testing.assert_close(found, linear(x), rtol=2e-2, atol=2e-2)


def test_packing_replaces_every_layer_and_leaves_the_parameters_of_others_alone() -> None:
    attention = SelfAttention(HeadSizes(INPUTS, 2, 1, 4)).eval()
    plain = copy.deepcopy(attention)
    before = attention.query.weight
    pack(attention)
    assert isinstance(attention.output, PackedLinear)
    assert attention.together is not None
    assert before.is_contiguous()
    x_BTD, position_1T = torch.randn(3, 5, INPUTS), torch.arange(5)[None]
    with torch.no_grad():
        torch.testing.assert_close(attention(x_BTD, None, position_1T)[0], plain(x_BTD, None, position_1T)[0])
