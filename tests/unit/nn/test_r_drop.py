"""The fused loss of regularised dropout against its naive twin and torch's own divergence. N positions, D model, V vocabulary."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional

from isthmus.nn.cross_entropy import MOST, ROWS, cross_entropy
from isthmus.nn.r_drop import distance, naive_r_drop, r_drop

D, V = 7, 13

Case = tuple[Tensor, Tensor, Tensor | None, Tensor, Tensor | None, float, float, Tensor | None]


def case(count: int, bias: bool = False, weighted: bool = False, seed: int = 0, prior: bool = False) -> Case:
    generator = torch.Generator().manual_seed(seed)
    return (
        torch.randn(2, count, D, generator=generator).requires_grad_(),
        torch.randn(V, D, generator=generator).requires_grad_(),
        torch.randn(V, generator=generator).requires_grad_() if bias else None,
        torch.randint(0, V, (count,), generator=generator),
        torch.rand(count, generator=generator) * 3 if weighted else None,
        0.1,
        3.0,
        torch.rand(V, generator=generator).softmax(dim=0) if prior else None,
    )


def check(one: Case) -> None:
    """Values and gradients, for a gradient from above that is not 1."""
    inputs = [part for part in one[:3] if isinstance(part, Tensor)]
    found, expected = r_drop(*one), naive_r_drop(*one)
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)
    for ours, other in zip(
        torch.autograd.grad(found * 0.7, inputs), torch.autograd.grad(expected * 0.7, inputs), strict=True
    ):
        torch.testing.assert_close(ours, other, rtol=1e-4, atol=1e-4)


@settings(max_examples=30)
@given(st.integers(0, 23), st.booleans(), st.booleans(), st.integers(0, 99), st.booleans())
def test_the_fused_loss_is_the_naive_one(count: int, bias: bool, weighted: bool, seed: int, prior: bool) -> None:
    check(case(count, bias, weighted, seed, prior))


@pytest.mark.parametrize("count", [ROWS - 1, ROWS, ROWS + 1, MOST, MOST + 1])
def test_at_the_borders_of_chunks(count: int) -> None:
    check(case(count, bias=True, weighted=True))


def test_the_distance_is_torchs_divergence_in_both_directions() -> None:
    features_2ND, weight_VD, *_ = case(11)
    log_p_NV, log_q_NV = (features_2ND @ weight_VD.T).log_softmax(-1)
    both = sum(
        functional.kl_div(a_NV, b_NV, reduction="sum", log_target=True)
        for a_NV, b_NV in ((log_p_NV, log_q_NV), (log_q_NV, log_p_NV))
    )
    torch.testing.assert_close(distance(log_p_NV, log_q_NV).sum(), both / 2)


def test_equal_predictions_lose_by_the_cross_entropy_alone() -> None:
    features_2ND, weight_VD, bias_V, target_N, weight_N, *_, prior_V = case(11, bias=True, weighted=True, prior=True)
    same_2ND = features_2ND.detach()[:1].repeat(2, 1, 1).requires_grad_()
    found = r_drop(same_2ND, weight_VD, bias_V, target_N, weight_N, 0.1, 3.0, prior_V)
    expected = cross_entropy(same_2ND[0], weight_VD, bias_V, target_N, weight_N, 0.1, prior_V)
    torch.testing.assert_close(found, expected)
    ours, theirs = (torch.autograd.grad(total, [same_2ND, weight_VD]) for total in (found, expected))
    torch.testing.assert_close(ours[0].sum(dim=0), theirs[0].sum(dim=0))
    torch.testing.assert_close(ours[1], theirs[1])


def test_without_gradients_it_is_the_naive_one() -> None:
    one = case(11, bias=True, weighted=True)
    with torch.no_grad():
        assert torch.equal(r_drop(*one), naive_r_drop(*one))


def test_huge_logits_are_finite() -> None:
    features_2ND, weight_VD, _, target_N, *_ = case(5)
    huge_2ND = (features_2ND * 1e3).detach().requires_grad_()
    found = r_drop(huge_2ND, weight_VD, None, target_N, None, 0.1, 3.0)
    torch.testing.assert_close(found, naive_r_drop(huge_2ND, weight_VD, None, target_N, None, 0.1, 3.0))
    assert all(bool(grad.isfinite().all()) for grad in torch.autograd.grad(found, [huge_2ND, weight_VD]))


def test_in_bfloat16_it_stays_near() -> None:
    one = case(64, bias=True, weighted=True)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = r_drop(*one)
    expected = naive_r_drop(*one)
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, expected, rtol=0.02, atol=0.1)
    for ours, other in zip(*(torch.autograd.grad(total, one[:2]) for total in (found, expected)), strict=True):
        assert float((ours - other).norm() / other.norm()) < 0.02
