"""How far two predictions of the same positions lie apart, without ever holding all logits.

N positions, D model, V vocabulary, C positions of a chunk.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from isthmus.core.runtime import as_it_is, working_dtype
from isthmus.nn.cross_entropy import chunk

TABLES = 8  # so many numbers a word and position are held at once


def symmetric_divergence(
    one_ND: Tensor, other_ND: Tensor, weight_VD: Tensor, bias_V: Tensor | None, weight_N: Tensor | None
) -> Tensor:
    """Σₙ wₙ · ½ [KL(p ‖ q) + KL(q ‖ p)] in float32, p and q the softmax of two states of each position (Liang et al. 2021, eq. 3).

    Args:
        one_ND: states before the projection, of one prediction.
        other_ND: of the other.
        weight_VD: the output embedding.
        bias_V: the output bias, or `None`.
        weight_N: the weight of each position, or `None` for 1.
    """
    total: Tensor = _Fused.apply(one_ND, other_ND, weight_VD, bias_V, weight_N)  # type: ignore[no-untyped-call]
    return total


def naive_symmetric_divergence(
    one_ND: Tensor, other_ND: Tensor, weight_VD: Tensor, bias_V: Tensor | None, weight_N: Tensor | None
) -> Tensor:
    """The same sum, as the equation says it; the twin that the tests compare with."""
    log_p_NV = torch.log_softmax(functional.linear(one_ND, weight_VD, bias_V).float(), dim=-1)
    log_q_NV = torch.log_softmax(functional.linear(other_ND, weight_VD, bias_V).float(), dim=-1)
    sum_N = ((log_p_NV.exp() - log_q_NV.exp()) * (log_p_NV - log_q_NV)).sum(dim=-1) / 2
    return sum_N.sum() if weight_N is None else (sum_N * weight_N).sum()


class _Fused(torch.autograd.Function):
    """Value and gradients in one pass: d KL(p ‖ q) / dz is p (log p/q - KL(p ‖ q)) for the logits of p, q - p for those of q."""

    @staticmethod
    def forward(
        context: Any,
        one_ND: Tensor,
        other_ND: Tensor,
        weight_VD: Tensor,
        bias_V: Tensor | None,
        weight_N: Tensor | None,
    ) -> Tensor:
        kind = working_dtype(weight_VD)
        context.dtypes = one_ND.dtype, other_ND.dtype
        with as_it_is(one_ND):
            x_ND, y_ND, w_VD = one_ND.to(kind), other_ND.to(kind), weight_VD.to(kind)
            b_V = None if bias_V is None else bias_V.to(kind)
            total = torch.zeros((), device=one_ND.device)
            grad_x_ND, grad_y_ND = torch.empty_like(x_ND), torch.empty_like(y_ND)
            grad_w_VD = torch.zeros_like(weight_VD, dtype=torch.float32)
            grad_b_V = None if bias_V is None else torch.zeros_like(bias_V, dtype=torch.float32)
            size = chunk(TABLES * weight_VD.shape[0])
            for start in range(0, x_ND.shape[0], size):
                part = slice(start, start + size)
                log_p_CV = torch.log_softmax(functional.linear(x_ND[part], w_VD, b_V), dim=-1, dtype=torch.float32)
                log_q_CV = torch.log_softmax(functional.linear(y_ND[part], w_VD, b_V), dim=-1, dtype=torch.float32)
                p_CV, q_CV, log_ratio_CV = log_p_CV.exp(), log_q_CV.exp(), log_p_CV - log_q_CV
                kl_pq_C1 = (p_CV * log_ratio_CV).sum(dim=-1, keepdim=True)
                kl_qp_C1 = (q_CV * -log_ratio_CV).sum(dim=-1, keepdim=True)
                weight_C1 = 0.5 if weight_N is None else weight_N[part, None] / 2
                total += ((kl_pq_C1 + kl_qp_C1) * weight_C1).sum()
                z_CV = (weight_C1 * (p_CV * (log_ratio_CV - kl_pq_C1) + p_CV - q_CV)).to(kind)
                u_CV = (weight_C1 * (q_CV * (-log_ratio_CV - kl_qp_C1) + q_CV - p_CV)).to(kind)
                torch.mm(z_CV, w_VD, out=grad_x_ND[part])
                torch.mm(u_CV, w_VD, out=grad_y_ND[part])
                grad_w_VD += z_CV.t() @ x_ND[part]
                grad_w_VD += u_CV.t() @ y_ND[part]
                if grad_b_V is not None:
                    grad_b_V += (z_CV + u_CV).float().sum(dim=0)
        context.save_for_backward(grad_x_ND, grad_y_ND, grad_w_VD, grad_b_V)
        return total

    @staticmethod
    def backward(context: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        grad_x_ND, grad_y_ND, grad_w_VD, grad_b_V = context.saved_tensors
        (grad,) = grads
        one, other = context.dtypes
        bias_V = None if grad_b_V is None else grad_b_V * grad
        return (grad_x_ND * grad).to(one), (grad_y_ND * grad).to(other), grad_w_VD * grad, bias_V, None
