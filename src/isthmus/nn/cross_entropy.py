"""Label-smoothed cross-entropy over a large vocabulary without ever holding all logits.

N real target positions, D model, V vocabulary.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from isthmus.core.runtime import as_it_is, known, working_dtype

LOGITS = 1 << 24  # so many logits at a time: what some tens of megabytes hold
LEAST, MOST = 64, 1024  # but so many rows at least, that products are efficient, and at most
ROWS = 128  # positions are made up to a multiple of so many: each other shape of a product has a kernel made for it
SAFE = 1e-20  # sums of powers from here to its inverse have lost nothing


def chunk(vocabulary: int) -> int:
    """How many positions are read at a time."""
    return min(MOST, max(LEAST, LOGITS // vocabulary))


def cross_entropy(
    features_ND: Tensor,
    weight_VD: Tensor,
    bias_V: Tensor | None,
    target_N: Tensor,
    weight_N: Tensor | None,
    smoothing: float,
    prior_V: Tensor | None = None,
) -> Tensor:
    """Σₙ wₙ · [(1-ε) · -log p(targetₙ) + ε · Σᵥ uᵥ · -log p(v)] in float32, as a scalar.

    Label smoothing: u is 1/V (Szegedy et al. 2016, section 7), or another distribution (Pereyra et al. 2017, section 3.2).

    The gradients are computed chunk by chunk together with the loss, so that memory is bounded by one chunk of logits.

    Args:
        features_ND: states before the projection.
        weight_VD: the output embedding.
        bias_V: the output bias, or `None`.
        target_N: int64 ids.
        weight_N: the weight of each position, or `None` for 1.
        smoothing: ε.
        prior_V: u in float32, or `None` for 1/V.
    """
    if torch.is_grad_enabled():
        total: Tensor = _Fused.apply(features_ND, weight_VD, bias_V, target_N, weight_N, smoothing, prior_V)  # type: ignore[no-untyped-call]
        return total
    return naive_cross_entropy(features_ND, weight_VD, bias_V, target_N, weight_N, smoothing, prior_V)


def naive_cross_entropy(
    features_ND: Tensor,
    weight_VD: Tensor,
    bias_V: Tensor | None,
    target_N: Tensor,
    weight_N: Tensor | None,
    smoothing: float,
    prior_V: Tensor | None = None,
) -> Tensor:
    """The same sum, as the equation says it; the twin that the tests compare with."""
    log_probs_NV = torch.log_softmax(functional.linear(features_ND, weight_VD, bias_V).float(), dim=-1)
    loss_N = smoothed_nll(log_probs_NV, target_N, smoothing, prior_V)
    return loss_N.sum() if weight_N is None else (loss_N * weight_N).sum()


def smoothed_nll(log_probs_NV: Tensor, target_N: Tensor, smoothing: float, prior_V: Tensor | None) -> Tensor:
    """(1-ε) · -log p(targetₙ) + ε · Σᵥ uᵥ · -log p(v) of each position [N]."""
    said_N = log_probs_NV.gather(1, target_N[:, None])[:, 0]
    spread_N = log_probs_NV.mean(dim=-1) if prior_V is None else log_probs_NV @ prior_V
    return -(1 - smoothing) * said_N - smoothing * spread_N


class _Fused(torch.autograd.Function):
    """Loss and gradients in one pass: d loss / d logits = softmax - ((1-ε) onehot + ε u).

    What makes it fast:

    - Everything is transposed (a word a row), so that no product has a transposed operand.
    - Powers are never normalised: 1/Z scales a row of the small factors of a product instead. Z itself is a row of one of the products.
    - The target's own term is kept apart: its logit and its part of Z and of the gradient are float32, of states.
    - What label smoothing adds is the same at every position, hence linear algebra over states and no pass over logits:
      Σᵥ uᵥ zᵥ = h · Σᵥ uᵥ wᵥ, and the part -ε u of the gradient likewise.
    """

    @staticmethod
    def forward(
        context: Any,
        features_ND: Tensor,
        weight_VD: Tensor,
        bias_V: Tensor | None,
        target_N: Tensor,
        weight_N: Tensor | None,
        smoothing: float,
        prior_V: Tensor | None,
    ) -> Tensor:
        kind = working_dtype(weight_VD)
        context.feature_dtype = features_ND.dtype
        with as_it_is(features_ND):
            x_ND, w_VD = features_ND.to(kind), weight_VD.to(kind)
            x_ND, target_N, weight_N = made_up(x_ND, target_N, weight_N)
            x_ND, w_VD = with_bias(x_ND, w_VD, bias_V)
            loss_N, grad_x_ND, grad_w_VD = _pass(x_ND, w_VD, target_N, weight_N, smoothing)
            u_V1, mean_D = spread(w_VD, prior_V)
            loss_N -= smoothing * (x_ND.float() @ mean_D)
            grad_x_ND -= smoothing * mean_D if weight_N is None else smoothing * weight_N[:, None] * mean_D
            weighted_ND = x_ND if weight_N is None else x_ND * weight_N[:, None]
            grad_w_VD.addcmul_(u_V1, weighted_ND.float().sum(dim=0), value=-smoothing)
            total = loss_N.sum() if weight_N is None else (loss_N * weight_N).sum()
        N, D = features_ND.shape
        context.save_for_backward(
            grad_x_ND[:N, :D], grad_w_VD[:, :D], None if bias_V is None else grad_w_VD[:, D].contiguous()
        )
        return total

    @staticmethod
    def backward(context: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        grad_x_ND, grad_w_VD, grad_b_V = context.saved_tensors
        (grad,) = grads
        scaled_b_V = None if grad_b_V is None else grad_b_V * grad
        return (grad_x_ND * grad).to(context.feature_dtype), grad_w_VD * grad, scaled_b_V, None, None, None, None


def made_up(x_ND: Tensor, target_N: Tensor, weight_N: Tensor | None) -> tuple[Tensor, Tensor, Tensor | None]:
    """The same positions, and behind them some of weight 0."""
    more = -len(target_N) % ROWS
    if not more:
        return x_ND, target_N, weight_N
    weight_N = torch.ones_like(target_N, dtype=torch.float32) if weight_N is None else weight_N
    return (
        functional.pad(x_ND, (0, 0, 0, more)),
        functional.pad(target_N, (0, more)),
        functional.pad(weight_N, (0, more)),
    )


def with_bias(x_ND: Tensor, w_VD: Tensor, bias_V: Tensor | None) -> tuple[Tensor, Tensor]:
    """States [..., N, D] and weights of one more feature, which is always 1 and whose weights are the bias; without one, as they are."""
    if bias_V is None:
        return x_ND, w_VD
    with_one_ND = torch.cat([x_ND, torch.ones_like(x_ND[..., :1])], dim=-1)
    return with_one_ND, torch.cat([w_VD, bias_V.to(w_VD.dtype)[:, None]], dim=1)


def spread(w_VD: Tensor, prior_V: Tensor | None) -> tuple[Tensor, Tensor]:
    """Over what label smoothing is spread: u [V, 1] in float32, by default 1/V; and the mean weights Σᵥ uᵥ wᵥ [D]."""
    if prior_V is None:
        return torch.full_like(w_VD[:, :1], 1 / w_VD.shape[0], dtype=torch.float32), w_VD.float().mean(dim=0)
    return prior_V[:, None], prior_V @ w_VD.float()


def _pass(
    x_ND: Tensor, w_VD: Tensor, target_N: Tensor, weight_N: Tensor | None, smoothing: float
) -> tuple[Tensor, Tensor, Tensor]:
    """log Z - (1-ε) z of the target [N], and the gradients of its weighted sum, in float32."""
    size = chunk(w_VD.shape[0])
    ones_1V = torch.ones_like(w_VD[:, :1].t())
    read_EV = torch.cat([w_VD.t(), ones_1V])  # the weights as columns, and behind them what adds powers up
    x_DN, said_ND = x_ND.t().contiguous(), w_VD[target_N].float()
    logit_N = (x_ND.float() * said_ND).sum(dim=1)
    loss_N, grad_x_ND = torch.empty_like(logit_N), torch.empty_like(said_ND)
    grad_w_VD = torch.zeros_like(w_VD, dtype=torch.float32)
    column_C = torch.arange(size, device=x_ND.device)
    for start in range(0, len(target_N), size):
        part = slice(start, start + size)
        logit_C, target_C = logit_N[part], target_N[part]
        place = target_C, column_C[: len(target_C)]
        power_VC, own_C, read_CE, shift_C = powers(x_DN[:, part], (w_VD, read_EV), place, logit_C)
        z_C = read_CE[:, -1] + own_C
        loss_N[part] = z_C.log() + shift_C - (1 - smoothing) * logit_C
        scale_C = z_C.reciprocal() if weight_N is None else weight_N[part] / z_C
        more_C = own_C - (1 - smoothing) * z_C
        torch.addcmul(read_CE[:, :-1], said_ND[part], more_C[:, None], out=grad_x_ND[part]).mul_(scale_C[:, None])
        power_VC[place] = more_C.to(power_VC.dtype)
        grad_w_VD += torch.mm(power_VC, (x_ND[part] * scale_C[:, None]).to(power_VC.dtype))
    return loss_N, grad_x_ND, grad_w_VD


def powers(
    x_DC: Tensor, weights: tuple[Tensor, Tensor], place: tuple[Tensor, Tensor], logit_C: Tensor
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """exp(z - shift) of every word but the target [V, C] and of the target [C], the weights' sums of the former [C, E], the shift [C].

    The shift is 0 where that is known to be safe afterwards; else (or where asking would wait for a GPU) the largest logit.
    """
    w_VD, read_EV = weights
    for careful in (False, True) if x_DC.device.type == "cpu" else (True,):
        power_VC = torch.mm(w_VD, x_DC)
        shift_C = power_VC.amax(dim=0).float() if careful else torch.zeros_like(logit_C)
        power_VC = (power_VC.sub_(shift_C.to(power_VC.dtype)) if careful else power_VC).exp_()
        power_VC[place] = 0
        own_C = (logit_C - shift_C).exp()
        read_CE = torch.mm(read_EV, power_VC).t().float()
        z_C = read_CE[:, -1] + own_C
        if careful or known((z_C > SAFE) & (z_C < 1 / SAFE)):
            break
    return power_VC, own_C, read_CE, shift_C
