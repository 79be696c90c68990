"""Muon (Jordan et al. 2024): the momentum of a matrix, orthogonalised, is its update.

torch has a `Muon` too, which multiplies in bfloat16 on every machine: a hundred times as slow on a processor without instructions for it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

COEFFICIENTS = (3.4445, -4.7750, 2.0315)
STEPS = 5
SMALLEST_NORM = 1e-7
MEAN = "momentum_buffer"  # of gradients, as torch names it
RMS = 0.2  # of Adam's updates (Liu et al. 2025, section 2.2)


def orthogonal(matrix: Tensor, dtype: torch.dtype) -> Tensor:
    """About U Vᵀ of a matrix U S Vᵀ: its singular values become numbers between 0.7 and 1.2, but for tiny ones.

    Newton and Schulz's iteration X ← a X + (b X Xᵀ + c (X Xᵀ)²) X, which brings singular values of at most 1 near 1, with the
    constants of Jordan et al. 2024 ("Muon: An optimizer for hidden layers in neural networks").

    Args:
        matrix: float [M, N].
        dtype: what products are made in.

    Returns:
        [M, N] of `dtype`.
    """
    a, b, c = COEFFICIENTS
    tall = matrix.shape[0] > matrix.shape[1]
    x = (matrix.mT if tall else matrix).to(dtype)
    x = x / x.norm().clamp(min=SMALLEST_NORM)
    for _ in range(STEPS):
        gram = x @ x.mT
        x = torch.addmm(x, torch.addmm(gram, gram, gram, beta=b, alpha=c), x, beta=a)
    return x.mT if tall else x


class OrthogonalMomentum(torch.optim.Optimizer):
    """Muon for matrices: W ← (1 - ηλ) W - η 0.2 √max(M, N) orthogonal(μ B + (1 - μ) G), where B is the moving mean of the gradients G.

    The factor makes the root mean square of an update that of Adam's, so that Adam's learning rates hold (Liu et al. 2025, "Muon is
    Scalable for LLM Training", section 2.2).

    Args:
        matrices: each [M, N].
        learning_rate: η.
        weight_decay: λ.
        momentum: μ, how much of the mean is kept in a step.
        dtype: what products are made in.
    """

    def __init__(
        self,
        matrices: Sequence[nn.Parameter],
        learning_rate: float,
        weight_decay: float,
        momentum: float,
        dtype: torch.dtype = torch.float32,
    ) -> None:
        super().__init__(matrices, {"lr": learning_rate, "weight_decay": weight_decay, "momentum": momentum})
        self.dtype = dtype

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        """Update every matrix that has a gradient; `closure` computes the loss and the gradients first, as torch's optimisers have it."""
        with torch.enable_grad():
            loss = None if closure is None else closure()
        for group in self.param_groups:
            rate, momentum = group["lr"], group["momentum"]
            for weight in group["params"]:
                if weight.grad is None:
                    continue
                state = self.state[weight]
                if not state:
                    state[MEAN] = torch.zeros_like(weight)
                mean = state[MEAN]
                mean.lerp_(weight.grad, 1 - momentum)
                update = orthogonal(weight.grad.lerp(mean, momentum), self.dtype)
                weight.mul_(1 - rate * group["weight_decay"])
                weight.add_(update, alpha=-rate * RMS * max(weight.shape) ** 0.5)
        return loss
