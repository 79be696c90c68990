"""Softmax over short rows against torch's own."""

from __future__ import annotations

import pytest
import torch

from isthmus.nn.softmax import FEW, softmax

WIDTHS = [0, 1, 5, 15, 16, 17, 31, 32, 33]


def rows(width: int) -> int:
    """So many rows that the numbers are not few, which would be left to torch."""
    return FEW // max(1, width) + 1


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("scale", [1.0, 300.0])
@pytest.mark.parametrize("shift", [0.0, 1e4, -1e4])
def test_weights_and_gradients_are_those_of_torch(width: int, scale: float, shift: float) -> None:
    generator = torch.Generator().manual_seed(width)
    scores = (torch.randn(rows(width), 1, width, generator=generator) * scale + shift).requires_grad_()
    direction = torch.randn(scores.shape, generator=generator)
    found, expected = softmax(scores), torch.softmax(scores, dim=-1)
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-7)
    gradients = [torch.autograd.grad((each * direction).sum(), scores)[0] for each in (found, expected)]
    torch.testing.assert_close(gradients[0], gradients[1], rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("width", WIDTHS)
def test_in_bfloat16_it_is_near_the_softmax_in_float32(width: int) -> None:
    generator = torch.Generator().manual_seed(width)
    scores = (torch.randn(rows(width), width, generator=generator) * 3).bfloat16().requires_grad_()
    direction = torch.randn(scores.shape, generator=generator).bfloat16()
    found, expected = softmax(scores), torch.softmax(scores.float(), dim=-1)
    assert found.dtype == torch.bfloat16
    # powers, their sum's inverse and the product are rounded: three times half a unit of 2^-7
    torch.testing.assert_close(found.float(), expected, rtol=3 * 2**-8, atol=1e-6)
    gradients = [torch.autograd.grad((each * direction).sum(), scores)[0].float() for each in (found, expected)]
    torch.testing.assert_close(gradients[0], gradients[1], rtol=0.05, atol=0.02)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_what_is_masked_gets_nothing_and_a_row_of_nothing_else_is_finite(dtype: torch.dtype) -> None:
    scores = torch.randn(rows(7), 7).to(dtype)
    scores[:, 4:] = torch.finfo(dtype).min
    assert torch.equal(softmax(scores)[:, 4:], torch.zeros(rows(7), 3, dtype=dtype))
    scores[1] = torch.finfo(dtype).min
    torch.testing.assert_close(softmax(scores), torch.softmax(scores, dim=-1), rtol=2**-7, atol=1e-6)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_gradients_on_or_off_change_nothing(dtype: torch.dtype) -> None:
    for count in (3, FEW):
        scores = (torch.randn(count, 7) * 3).to(dtype)
        with torch.no_grad():
            expected = softmax(scores)
        assert torch.equal(softmax(scores.requires_grad_()), expected)


def test_double_precision_is_kept() -> None:
    scores = torch.randn(rows(7), 7, dtype=torch.float64)
    torch.testing.assert_close(softmax(scores), torch.softmax(scores, dim=-1), rtol=1e-13, atol=0)
