"""B row, T position, D feature."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from isthmus.nn.recurrent import RecurrentPast
from isthmus.nn.scan import fading_sum, loop, scan
from isthmus.nn.ssru import SimplerRecurrentUnit

B, D = 3, 5


@pytest.mark.parametrize("size", [0, 1, 2, 7, 8, 23])
def test_a_fading_sum_and_its_gradient_are_those_that_autograd_finds(size: int) -> None:
    """Through the loop and through the passes, which agree with each other."""
    keep, new = torch.rand(B, size, D, dtype=torch.float64), torch.randn(B, size, D, dtype=torch.float64)
    first, towards = torch.randn(B, D, dtype=torch.float64), torch.randn(B, size, D, dtype=torch.float64)
    inputs = [part.requires_grad_() for part in (keep, new, first)]
    found = fading_sum(keep, new, first)
    with torch.no_grad():
        assert torch.equal(fading_sum(keep, new, first), found)
    if size == 0:
        assert found.shape == (B, 0, D)
        return
    ours = torch.autograd.grad((found * towards).sum(), inputs)
    for naive in (loop, scan):
        expected = naive(keep, new, first)
        torch.testing.assert_close(found, expected)
        theirs = torch.autograd.grad((expected * towards).sum(), inputs)
        for our, their in zip(ours, theirs, strict=True):
            torch.testing.assert_close(our, their)


@torch.no_grad()
def test_long_sums_neither_overflow_nor_forget_too_early() -> None:
    """Dividing by cumulative products, the usual shortcut, fails here: 0.01 to the power of 4,000 is no float."""
    keep = torch.full((1, 4000, 2), 0.01)
    keep[:, :, 1] = 0.9999
    new = torch.ones(1, 4000, 2)
    expected = loop(keep.double(), new.double(), torch.zeros(1, 2, dtype=torch.float64))
    for naive in (loop, scan):
        found = naive(keep, new, torch.zeros(1, 2))
        torch.testing.assert_close(found.double(), expected, rtol=1e-4, atol=1e-6)


def equations(unit: SimplerRecurrentUnit, x_BTD: Tensor) -> Tensor:
    """Section 3.1 of Kim et al. 2019, position by position."""
    last_BD, found = torch.zeros(B, D), []
    for t in range(x_BTD.shape[1]):
        forget_BD = torch.sigmoid(x_BTD[:, t] @ unit.forget.weight.T + unit.forget.bias)
        last_BD = forget_BD * last_BD + (1 - forget_BD) * (x_BTD[:, t] @ unit.value.weight.T)
        found.append(last_BD.clamp(min=0))
    return torch.stack(found, dim=1)


@torch.no_grad()
def test_the_unit_is_its_equations_whole_and_in_blocks() -> None:
    unit, x_BTD = SimplerRecurrentUnit(D), torch.randn(B, 11, D)
    unit.forget.bias.normal_()
    expected_BTD, position_BT = equations(unit, x_BTD), torch.arange(11)[None]
    whole_BTD, none = unit(x_BTD, None, position_BT)
    assert none is None
    torch.testing.assert_close(whole_BTD, expected_BTD, rtol=1e-5, atol=1e-6)
    past, found = unit.empty_past(B, x_BTD), []
    for block_BTD in torch.split(x_BTD, [1, 4, 1, 5], dim=1):
        out_BTD, past = unit(block_BTD, None, position_BT, past)
        assert isinstance(past, RecurrentPast)
        found.append(out_BTD)
    torch.testing.assert_close(torch.cat(found, dim=1), expected_BTD, rtol=1e-5, atol=1e-6)


def test_the_past_is_exact_even_in_bfloat16() -> None:
    unit = SimplerRecurrentUnit(D).to(torch.bfloat16)
    x_BTD = torch.randn(B, 3, D, dtype=torch.bfloat16)
    out_BTD, past = unit(x_BTD, None, torch.arange(3)[None], unit.empty_past(B, x_BTD))
    assert out_BTD.dtype == torch.bfloat16
    assert past.vectors[0].dtype == torch.float32
