"""Label-smoothed cross-entropy over a large vocabulary without ever holding all logits.

N real target positions, D model, V vocabulary.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from isthmus.core.runtime import known, working_dtype

LOGITS = 1 << 21  # so many logits at a time: what stays in a cache of a few megabytes
LEAST, MOST = 64, 1024  # but so many rows at least, that products are efficient, and at most
TINY = 1e-30  # a probability above this has all its digits


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
    """Loss and gradients in one pass: d loss / d logits = softmax - ((1-ε) onehot + ε/V).

    What label smoothing adds is the same for every word, hence linear algebra over states and no pass over logits:
    Σᵥ zᵥ = h · Σᵥ wᵥ, and the part -ε/V of the gradient likewise.
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
    ) -> Tensor:
        kind, V = working_dtype(weight_VD), weight_VD.shape[0]
        context.feature_dtype = features_ND.dtype
        with torch.autocast(features_ND.device.type, enabled=False):
            x_ND, w_VD = features_ND.to(kind), weight_VD.to(kind)
            b_V = None if bias_V is None else bias_V.to(kind)
            mean_D = weight_VD.float().mean(dim=0)
            mean = 0.0 if bias_V is None else bias_V.float().mean()
            weighted_ND = x_ND if weight_N is None else (x_ND * weight_N[:, None]).to(kind)
            loss_N = smoothing * -(x_ND.float() @ mean_D + mean)
            grad_x_ND = torch.empty_like(x_ND)
            grad_w_VD = torch.zeros_like(weight_VD, dtype=torch.float32)
            grad_b_V = None if bias_V is None else torch.zeros_like(bias_V, dtype=torch.float32)
            row_C = torch.arange(chunk(V), device=x_ND.device)
            for start in range(0, x_ND.shape[0], chunk(V)):
                part = slice(start, start + chunk(V))
                logits_CV, target_C = functional.linear(x_ND[part], w_VD, b_V), target_N[part]
                probs_CV, place = torch.softmax(logits_CV, dim=-1), (row_C[: len(target_C)], target_C)
                loss_N[part] += _log_z(logits_CV, probs_CV, place) - (1 - smoothing) * logits_CV[place].float()
                probs_CV[place] -= 1 - smoothing
                grad_CV = probs_CV
                torch.mm(grad_CV, w_VD, out=grad_x_ND[part])
                if kind == torch.float32:
                    grad_w_VD.addmm_(grad_CV.t(), weighted_ND[part])
                else:
                    grad_w_VD += grad_CV.t() @ weighted_ND[part]
                if grad_b_V is not None:
                    grad_b_V += (grad_CV if weight_N is None else grad_CV * weight_N[part, None]).sum(dim=0)
            grad_x_ND -= (smoothing * mean_D).to(kind)
            grad_w_VD -= smoothing / V * weighted_ND.float().sum(dim=0)
            count = torch.tensor(float(x_ND.shape[0])) if weight_N is None else weight_N.sum()
            if grad_b_V is not None:
                grad_b_V -= smoothing / V * count.to(grad_b_V)
            if weight_N is not None:
                grad_x_ND *= weight_N[:, None].to(kind)
                loss_N *= weight_N
        context.save_for_backward(grad_x_ND, grad_w_VD, grad_b_V)
        return loss_N.sum()

    @staticmethod
    def backward(context: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        grad_x_ND, grad_w_VD, grad_b_V = context.saved_tensors
        (grad,) = grads
        scaled_b_V = None if grad_b_V is None else grad_b_V * grad
        return (grad_x_ND * grad).to(context.feature_dtype), grad_w_VD * grad, scaled_b_V, None, None, None


def _log_z(logits_CV: Tensor, probs_CV: Tensor, place: tuple[Tensor, Tensor]) -> Tensor:
    """log Σ exp(z) = z - log p [C], at the target; where that has underflowed (or asking would wait for a GPU) at the likeliest word."""
    prob_C = probs_CV[place].float()
    if known(prob_C > TINY):
        return logits_CV[place].float() - prob_C.log()
    return logits_CV.amax(dim=-1).float() - probs_CV.amax(dim=-1).float().log()
