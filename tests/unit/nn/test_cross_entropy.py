"""The fused loss against its naive twin and torch's own. N positions, D model, V vocabulary."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional

from isthmus.nn.cross_entropy import MOST, ROWS, cross_entropy, naive_cross_entropy

D, V = 7, 13

Case = tuple[Tensor, Tensor, Tensor | None, Tensor, Tensor | None, float, Tensor | None]


def case(count: int, bias: bool, weighted: bool, smoothing: float, seed: int = 0, prior: bool = False) -> Case:
    generator = torch.Generator().manual_seed(seed)
    return (
        torch.randn(count, D, generator=generator).requires_grad_(),
        torch.randn(V, D, generator=generator).requires_grad_(),
        torch.randn(V, generator=generator).requires_grad_() if bias else None,
        torch.randint(0, V, (count,), generator=generator),
        torch.rand(count, generator=generator) * 3 if weighted else None,
        smoothing,
        torch.rand(V, generator=generator).softmax(dim=0) if prior else None,
    )


def check(one: Case, rtol: float = 1e-5) -> None:
    """Values and gradients, for a gradient from above that is not 1."""
    inputs = [part for part in one[:3] if isinstance(part, Tensor)]
    found, expected = cross_entropy(*one), naive_cross_entropy(*one)
    torch.testing.assert_close(found, expected, rtol=rtol, atol=1e-5)
    for ours, other in zip(
        torch.autograd.grad(found * 0.7, inputs), torch.autograd.grad(expected * 0.7, inputs), strict=True
    ):
        torch.testing.assert_close(ours, other, rtol=1e-4, atol=1e-5)


@settings(max_examples=40)
@given(
    st.integers(0, 23),
    st.booleans(),
    st.booleans(),
    st.sampled_from([0.0, 0.1, 0.9]),
    st.integers(0, 99),
    st.booleans(),
)
def test_the_fused_loss_is_the_naive_one(
    count: int, bias: bool, weighted: bool, smoothing: float, seed: int, prior: bool
) -> None:
    check(case(count, bias, weighted, smoothing, seed, prior))


@pytest.mark.parametrize("count", [ROWS - 1, ROWS, ROWS + 1, MOST - 1, MOST, MOST + 1, 2 * MOST + 3])
def test_at_the_borders_of_chunks(count: int) -> None:
    check(case(count, bias=True, weighted=True, smoothing=0.1))


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_it_is_torchs_loss(smoothing: float) -> None:
    features_ND, weight_VD, _, target_N, *_ = case(11, False, False, smoothing)
    expected = functional.cross_entropy(features_ND @ weight_VD.T, target_N, reduction="sum", label_smoothing=smoothing)
    torch.testing.assert_close(cross_entropy(features_ND, weight_VD, None, target_N, None, smoothing), expected)


def test_a_prior_of_one_word_is_a_part_of_the_target() -> None:
    """Pereyra et al. 2017, section 3.2: the target distribution is (1-ε) onehot + ε u."""
    features_ND, weight_VD, bias_V, target_N, *_ = case(11, True, False, 0.2)
    prior_V = torch.rand(V, generator=torch.Generator().manual_seed(1)).softmax(dim=0)
    wanted_NV = 0.8 * functional.one_hot(target_N, V) + 0.2 * prior_V
    expected = functional.cross_entropy(functional.linear(features_ND, weight_VD, bias_V), wanted_NV, reduction="sum")
    torch.testing.assert_close(cross_entropy(features_ND, weight_VD, bias_V, target_N, None, 0.2, prior_V), expected)


def test_without_gradients_it_is_the_naive_one() -> None:
    one = case(11, True, True, 0.1)
    with torch.no_grad():
        assert torch.equal(cross_entropy(*one), naive_cross_entropy(*one))


def test_huge_logits_are_finite() -> None:
    features_ND, weight_VD, bias_V, target_N, weight_N, *_ = case(5, True, False, 0.1)
    one = ((features_ND * 1e3).detach().requires_grad_(), weight_VD, bias_V, target_N, weight_N, 0.1, None)
    check(one)
    assert bool(cross_entropy(*one).isfinite())


def test_gradients_are_those_of_finite_differences() -> None:
    features_ND, weight_VD, bias_V, target_N, weight_N, *_ = case(3, True, True, 0.1)
    loss = cross_entropy(features_ND, weight_VD, bias_V, target_N, weight_N, 0.1)
    (grad_VD,) = torch.autograd.grad(loss, weight_VD)
    step = 1e-2
    for place in ((0, 0), (5, 3), (12, 6)):
        moved_VD = torch.zeros_like(weight_VD)
        moved_VD[place] = step
        with torch.no_grad():
            up = cross_entropy(features_ND, weight_VD + moved_VD, bias_V, target_N, weight_N, 0.1)
            down = cross_entropy(features_ND, weight_VD - moved_VD, bias_V, target_N, weight_N, 0.1)
        assert float(up - down) / (2 * step) == pytest.approx(float(grad_VD[place]), rel=1e-2, abs=1e-3)


@pytest.mark.parametrize("weighted", [False, True])
def test_under_autocast_the_loss_stays_float32_and_close(weighted: bool) -> None:
    one = case(29, True, weighted, 0.1)
    exact = cross_entropy(*one)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss = cross_entropy(*one)
    assert loss.dtype == torch.float32
    torch.testing.assert_close(loss, exact, rtol=2e-2, atol=1e-2)
    (grad,) = torch.autograd.grad(loss, one[0], retain_graph=True)
    (exact_grad,) = torch.autograd.grad(exact, one[0])
    assert grad.dtype == torch.float32
    torch.testing.assert_close(grad, exact_grad, rtol=0.1, atol=0.05)


def test_features_in_bfloat16_get_gradients_in_bfloat16() -> None:
    features_ND, weight_VD, bias_V, target_N, weight_N, *_ = case(11, True, True, 0.1)
    low_ND = features_ND.detach().bfloat16().requires_grad_()
    loss = cross_entropy(low_ND, weight_VD, bias_V, target_N, weight_N, 0.0)
    grad_ND, grad_VD = torch.autograd.grad(loss, [low_ND, weight_VD])
    assert (grad_ND.dtype, grad_VD.dtype) == (torch.bfloat16, torch.float32)


def test_the_inputs_are_left_as_they_were() -> None:
    one = case(11, True, True, 0.1)
    before = [part.clone() for part in one[:5] if isinstance(part, Tensor)]
    cross_entropy(*one).backward()  # type: ignore[no-untyped-call]
    for part, was in zip([part for part in one[:5] if isinstance(part, Tensor)], before, strict=True):
        assert torch.equal(part, was)


@pytest.mark.parametrize("shift", [-300.0, 0.0, 300.0])
def test_logits_far_from_zero_lose_nothing(shift: float) -> None:
    features_ND, weight_VD, bias_V, target_N, weight_N, smoothing, _ = case(11, True, True, 0.1)
    moved_V = (bias_V + shift).detach().requires_grad_() if bias_V is not None else None
    check((features_ND, weight_VD, moved_V, target_N, weight_N, smoothing, None), rtol=1e-4)


def test_in_bfloat16_a_probability_near_one_keeps_its_gradient() -> None:
    """The target's own part is float32: what is left of a probability of 0.999 is not rounded away."""
    weight_VD, target_N = torch.eye(V, D).requires_grad_(), torch.arange(D)
    features_ND = (torch.eye(D) * 9.25).requires_grad_()
    exact = torch.autograd.grad(naive_cross_entropy(features_ND, weight_VD, None, target_N, None, 0.0), features_ND)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss = cross_entropy(features_ND, weight_VD, None, target_N, None, 0.0)
    torch.testing.assert_close(torch.autograd.grad(loss, features_ND), exact, rtol=0.02, atol=1e-5)


def test_positions_of_weight_0_change_nothing() -> None:
    """Where finding the real positions would wait for a device, all are read, and padding weighs 0."""
    features_ND, weight_VD, bias_V, target_N, weight_N, smoothing, _ = case(11, True, True, 0.1)
    assert weight_N is not None
    none = weight_N.clone()
    none[4:] = 0
    whole = cross_entropy(features_ND, weight_VD, bias_V, target_N, none, smoothing)
    part = cross_entropy(features_ND[:4], weight_VD, bias_V, target_N[:4], weight_N[:4], smoothing)
    torch.testing.assert_close(whole, part)
    (grad_ND,) = torch.autograd.grad(whole, features_ND)
    assert torch.equal(grad_ND[4:], torch.zeros(7, D))
