"""Label-smoothed cross-entropy over a large vocabulary without ever holding all logits.

N real target positions, D model, V vocabulary.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

CHUNK = 512


def cross_entropy(
    features_ND: Tensor,
    weight_VD: Tensor,
    bias_V: Tensor | None,
    target_N: Tensor,
    weight_N: Tensor | None,
    smoothing: float,
) -> Tensor:
    """Σₙ wₙ · [(1-ε) · -log p(targetₙ) + ε/V · Σᵥ -log p(v)] in float32 (Szegedy et al. 2016, section 7), as a scalar.

    The gradients are computed chunk by chunk together with the loss, so that memory is bounded by one chunk of logits.

    Args:
        features_ND: states before the projection.
        weight_VD: the output embedding.
        bias_V: the output bias, or `None`.
        target_N: int64 ids.
        weight_N: the weight of each position, or `None` for 1.
        smoothing: ε.
    """
    if torch.is_grad_enabled():
        total: Tensor = _Fused.apply(features_ND, weight_VD, bias_V, target_N, weight_N, smoothing)  # type: ignore[no-untyped-call]
        return total
    return naive_cross_entropy(features_ND, weight_VD, bias_V, target_N, weight_N, smoothing)


def naive_cross_entropy(
    features_ND: Tensor,
    weight_VD: Tensor,
    bias_V: Tensor | None,
    target_N: Tensor,
    weight_N: Tensor | None,
    smoothing: float,
) -> Tensor:
    """The same sum, as the equation says it; the twin that the tests compare with."""
    log_probs_NV = torch.log_softmax(functional.linear(features_ND, weight_VD, bias_V).float(), dim=-1)
    nll_N = -log_probs_NV.gather(1, target_N[:, None])[:, 0]
    loss_N = (1 - smoothing) * nll_N - smoothing * log_probs_NV.mean(dim=-1)
    return loss_N.sum() if weight_N is None else (loss_N * weight_N).sum()


class _Fused(torch.autograd.Function):
    """Loss and gradients in one pass: d loss / d logits = softmax - ((1-ε) onehot + ε/V)."""

    @staticmethod
    def forward(
        context: Any,
        features_ND: Tensor,
        weight_VD: Tensor,
        bias_V: Tensor | None,
        target_N: Tensor,
        weight_N: Tensor | None,
        smoothing: float,
    ) -> Tensor:
        kind = (
            torch.get_autocast_dtype(features_ND.device.type)
            if torch.is_autocast_enabled(features_ND.device.type)
            else weight_VD.dtype
        )
        with torch.autocast(features_ND.device.type, enabled=False):
            x_ND, w_VD = features_ND.to(kind), weight_VD.to(kind)
            total = torch.zeros((), dtype=torch.float32, device=features_ND.device)
            grad_x_ND = torch.empty_like(x_ND)
            grad_w_VD = torch.zeros_like(weight_VD, dtype=torch.float32)
            grad_b_V = None if bias_V is None else torch.zeros_like(bias_V, dtype=torch.float32)
            size = weight_VD.shape[0]
            for start in range(0, x_ND.shape[0], CHUNK):
                part = slice(start, start + CHUNK)
                logits_CV = functional.linear(x_ND[part], w_VD).float()
                if bias_V is not None:
                    logits_CV += bias_V
                target_C1 = target_N[part, None]
                logits_CV -= logits_CV.amax(dim=-1, keepdim=True)
                loss_C = logits_CV.gather(1, target_C1)[:, 0] * (smoothing - 1)
                if smoothing:
                    loss_C -= smoothing * logits_CV.mean(dim=-1)
                sum_C = logits_CV.exp_().sum(dim=-1)
                loss_C += sum_C.log()
                grad_CV = logits_CV.div_(sum_C[:, None])
                if smoothing:
                    grad_CV -= smoothing / size
                grad_CV.scatter_add_(1, target_C1, grad_CV.new_full(target_C1.shape, smoothing - 1))
                if weight_N is not None:
                    loss_C = loss_C * weight_N[part]
                    grad_CV *= weight_N[part, None]
                total += loss_C.sum()
                low_CV = grad_CV.to(kind)
                torch.mm(low_CV, w_VD, out=grad_x_ND[part])
                if kind == torch.float32:
                    grad_w_VD.addmm_(low_CV.t(), x_ND[part])
                else:
                    grad_w_VD += low_CV.t() @ x_ND[part]
                if grad_b_V is not None:
                    grad_b_V += grad_CV.sum(dim=0)
        context.save_for_backward(grad_x_ND, grad_w_VD, grad_b_V)
        context.feature_dtype = features_ND.dtype
        return total

    @staticmethod
    def backward(context: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        grad_x_ND, grad_w_VD, grad_b_V = context.saved_tensors
        (grad,) = grads
        scaled_b_V = None if grad_b_V is None else grad_b_V * grad
        return (grad_x_ND * grad).to(context.feature_dtype), grad_w_VD * grad, scaled_b_V, None, None, None
