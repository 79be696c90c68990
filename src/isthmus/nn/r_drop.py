"""The loss of regularised dropout (Liang et al. 2021) over a large vocabulary without ever holding all logits.

N real target positions, D model, V vocabulary, C positions of a chunk; 2 predictions of each position, p and q.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from isthmus.core.runtime import as_it_is, working_dtype
from isthmus.nn.cross_entropy import chunk, made_up, naive_cross_entropy, powers, spread, with_bias

ARRAYS = 4  # so many numbers a word and position are held at once

Softmax = tuple[Tensor, Tensor, Tensor]
"""Probabilities of all words but the target [V, C], of the target [C] in float32, log Z [C]."""


def r_drop(
    features_2ND: Tensor,
    weight_VD: Tensor,
    bias_V: Tensor | None,
    target_N: Tensor,
    weight_N: Tensor | None,
    smoothing: float,
    strength: float,
    prior_V: Tensor | None = None,
) -> Tensor:
    """Σₙ wₙ · [½ (nll(p) + nll(q)) + α/2 · ½ (KL(p ‖ q) + KL(q ‖ p))] in float32, as a scalar (Liang et al. 2021, equations 2 to 4).

    p and q are the softmax of the two states of a position, nll is the loss of `cross_entropy`. The paper's sum is twice this one.

    Args:
        features_2ND: states before the projection.
        weight_VD: the output embedding.
        bias_V: the output bias, or `None`.
        target_N: int64 ids.
        weight_N: the weight of each position, or `None` for 1.
        smoothing: ε, of label smoothing.
        strength: α.
        prior_V: over which distribution ε is spread, in float32, or `None` for all alike.
    """
    states = features_2ND, weight_VD, bias_V, target_N, weight_N
    if torch.is_grad_enabled():
        total: Tensor = _Fused.apply(*states, (smoothing, strength), prior_V)  # type: ignore[no-untyped-call]
        return total
    return naive_r_drop(*states, smoothing, strength, prior_V)


def naive_r_drop(
    features_2ND: Tensor,
    weight_VD: Tensor,
    bias_V: Tensor | None,
    target_N: Tensor,
    weight_N: Tensor | None,
    smoothing: float,
    strength: float,
    prior_V: Tensor | None = None,
) -> Tensor:
    """The same sum, as the equation says it; the twin that the tests compare with."""
    p_nll, q_nll = (
        naive_cross_entropy(features_ND, weight_VD, bias_V, target_N, weight_N, smoothing, prior_V)
        for features_ND in features_2ND
    )
    log_p_NV, log_q_NV = torch.log_softmax(functional.linear(features_2ND, weight_VD, bias_V).float(), dim=-1)
    apart_N = distance(log_p_NV, log_q_NV)
    apart = apart_N.sum() if weight_N is None else (apart_N * weight_N).sum()
    return (p_nll + q_nll) / 2 + strength / 2 * apart


def distance(log_p_NV: Tensor, log_q_NV: Tensor) -> Tensor:
    """½ [KL(p ‖ q) + KL(q ‖ p)] = ½ Σᵥ (pᵥ - qᵥ) (log pᵥ - log qᵥ) of each position [N]."""
    return ((log_p_NV.exp() - log_q_NV.exp()) * (log_p_NV - log_q_NV)).sum(dim=-1) / 2


class _Fused(torch.autograd.Function):
    """Loss and gradients in one pass, over the same powers for both terms.

    With s = z - z' the difference of the logits of the two predictions, KL(p ‖ q) + KL(q ‖ p) = E_p[s] + E_q[-s], since the normalisers
    cancel; its gradient is p (s - E_p[s] + 1) - q for the logits of p, and for those of q the same with p, q and s, -s in each
    other's place. The target's own term is float32, and label smoothing is linear algebra over states, as in `cross_entropy`.
    """

    @staticmethod
    def forward(
        context: Any,
        features_2ND: Tensor,
        weight_VD: Tensor,
        bias_V: Tensor | None,
        target_N: Tensor,
        weight_N: Tensor | None,
        smoothing_strength: tuple[float, float],
        prior_V: Tensor | None,
    ) -> Tensor:
        kind, (smoothing, strength) = working_dtype(weight_VD), smoothing_strength
        context.feature_dtype = features_2ND.dtype
        with as_it_is(features_2ND):
            x_2ND, w_VD = features_2ND.to(kind), weight_VD.to(kind)
            x_2ND, target_N, weight_N = made_up(x_2ND, target_N, weight_N)
            weight_N = torch.ones_like(target_N, dtype=torch.float32) if weight_N is None else weight_N
            x_2ND, w_VD = with_bias(x_2ND, w_VD, bias_V)
            loss_N, grad_x_2ND, grad_w_VD = _pass(x_2ND, w_VD, target_N, weight_N, smoothing, strength)
            u_V1, mean_D = spread(w_VD, prior_V)
            sum_ND = x_2ND.float().sum(dim=0)
            loss_N -= smoothing / 2 * (sum_ND @ mean_D)
            grad_x_2ND -= smoothing / 2 * weight_N[:, None] * mean_D
            grad_w_VD.addcmul_(u_V1, weight_N @ sum_ND, value=-smoothing / 2)
            total = (loss_N * weight_N).sum()
        N, D = features_2ND.shape[1:]
        context.save_for_backward(
            grad_x_2ND[:, :N, :D], grad_w_VD[:, :D], None if bias_V is None else grad_w_VD[:, D].contiguous()
        )
        return total

    @staticmethod
    def backward(context: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        grad_x_2ND, grad_w_VD, grad_b_V = context.saved_tensors
        (grad,) = grads
        scaled_b_V = None if grad_b_V is None else grad_b_V * grad
        return (grad_x_2ND * grad).to(context.feature_dtype), grad_w_VD * grad, scaled_b_V, *[None] * 4


def _pass(
    x_2ND: Tensor, w_VD: Tensor, target_N: Tensor, weight_N: Tensor, smoothing: float, strength: float
) -> tuple[Tensor, Tensor, Tensor]:
    """The loss [N] but for what label smoothing spreads, and the gradients of its weighted sum, in float32."""
    true, apart = (1 - smoothing) / 2, strength / 4
    kind, size = w_VD.dtype, chunk(ARRAYS * w_VD.shape[0])
    w_DV, x_2DN, said_ND = w_VD.t().contiguous(), x_2ND.mT.contiguous(), w_VD[target_N].float()
    logit_2N = (x_2ND.float() * said_ND).sum(dim=-1)
    gap_ND = x_2ND[0].float() - x_2ND[1].float()
    gap_DN, gap_N = gap_ND.to(kind).t().contiguous(), (gap_ND * said_ND).sum(dim=-1)
    loss_N, grad_x_2ND = torch.zeros_like(weight_N), torch.empty_like(x_2ND, dtype=torch.float32)
    grad_w_VD = torch.zeros_like(w_VD, dtype=torch.float32)
    column_C = torch.arange(size, device=x_2ND.device)
    for start in range(0, len(target_N), size):
        part = slice(start, start + size)
        place = target_N[part], column_C[: len(target_N[part])]
        p, q = (_softmax(x_2DN[side, :, part], w_VD, place, logit_2N[side, part]) for side in (0, 1))
        s_VC, s_C = torch.mm(w_VD, gap_DN[:, part]), gap_N[part]
        for side, sign, (p_VC, p_C, log_z_C), (q_VC, q_C, _) in ((0, 1, p, q), (1, -1, q, p)):
            ps_VC = p_VC * s_VC
            mean_C = sign * (_sum(ps_VC) + p_C * s_C)
            loss_N[part] += log_z_C / 2 - true * logit_2N[side, part] + apart * mean_C
            scale_C = 1 / 2 + apart * (1 - mean_C)
            z_VC = (p_VC * scale_C.to(kind)).add_(ps_VC, alpha=sign * apart).sub_(q_VC, alpha=apart)
            z_VC[place] = (p_C * (scale_C + sign * apart * s_C) - apart * q_C - true).to(kind)
            grad_x_2ND[side, part] = torch.mm(w_DV, z_VC).t().float() * weight_N[part, None]
            grad_w_VD += torch.mm(z_VC, (x_2ND[side, part] * weight_N[part, None]).to(kind))
    return loss_N, grad_x_2ND, grad_w_VD


def _softmax(x_DC: Tensor, w_VD: Tensor, place: tuple[Tensor, Tensor], logit_C: Tensor) -> Softmax:
    power_VC, own_C, sum_C1, shift_C = powers(x_DC, (w_VD, torch.ones_like(w_VD[:, :1].t())), place, logit_C)
    z_C = sum_C1[:, 0] + own_C
    return power_VC.mul_(z_C.reciprocal().to(power_VC.dtype)), own_C / z_C, z_C.log() + shift_C


def _sum(x_VC: Tensor) -> Tensor:
    """Over the words [C], as a product, which adds up in float32."""
    return torch.mm(torch.ones_like(x_VC[:, :1].t()), x_VC)[0].float()
