"""The fused divergence against its naive twin and torch's own. N positions, D model, V vocabulary."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional

from isthmus.nn.cross_entropy import MOST
from isthmus.nn.divergence import naive_symmetric_divergence, symmetric_divergence

D, V = 7, 13

Case = tuple[Tensor, Tensor, Tensor, Tensor | None, Tensor | None]


def case(count: int, bias: bool = False, weighted: bool = False, seed: int = 0) -> Case:
    generator = torch.Generator().manual_seed(seed)
    return (
        torch.randn(count, D, generator=generator).requires_grad_(),
        torch.randn(count, D, generator=generator).requires_grad_(),
        torch.randn(V, D, generator=generator).requires_grad_(),
        torch.randn(V, generator=generator).requires_grad_() if bias else None,
        torch.rand(count, generator=generator) * 3 if weighted else None,
    )


def check(one: Case) -> None:
    """Values and gradients, for a gradient from above that is not 1."""
    inputs = [part for part in one[:4] if isinstance(part, Tensor)]
    found, expected = symmetric_divergence(*one), naive_symmetric_divergence(*one)
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)
    for ours, other in zip(
        torch.autograd.grad(found * 0.7, inputs), torch.autograd.grad(expected * 0.7, inputs), strict=True
    ):
        torch.testing.assert_close(ours, other, rtol=1e-4, atol=1e-5)


@settings(max_examples=30)
@given(st.integers(0, 23), st.booleans(), st.booleans(), st.integers(0, 99))
def test_the_fused_divergence_is_the_naive_one(count: int, bias: bool, weighted: bool, seed: int) -> None:
    check(case(count, bias, weighted, seed))


@pytest.mark.parametrize("count", [MOST, MOST + 1])
def test_at_the_borders_of_chunks(count: int) -> None:
    check(case(count, bias=True, weighted=True))


def test_it_is_torchs_divergence_in_both_directions() -> None:
    one_ND, other_ND, weight_VD, _, _ = case(11)
    log_p_NV, log_q_NV = ((x_ND @ weight_VD.T).log_softmax(-1) for x_ND in (one_ND, other_ND))
    both = sum(
        functional.kl_div(a_NV, b_NV, reduction="sum", log_target=True)
        for a_NV, b_NV in ((log_p_NV, log_q_NV), (log_q_NV, log_p_NV))
    )
    torch.testing.assert_close(symmetric_divergence(one_ND, other_ND, weight_VD, None, None), both / 2)


def test_equal_predictions_are_not_apart() -> None:
    one_ND, _, weight_VD, _, _ = case(11)
    found = symmetric_divergence(one_ND, one_ND, weight_VD, None, None)
    assert float(found.detach()) == 0.0
    assert all(float(grad.abs().max()) == 0.0 for grad in torch.autograd.grad(found, [one_ND, weight_VD]))


def test_in_bfloat16_it_stays_near() -> None:
    one = case(64, bias=True, weighted=True)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = symmetric_divergence(*one)
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, naive_symmetric_divergence(*one), rtol=0.02, atol=0.1)
