"""A sum in which everything old fades, over all positions at once.

B batch, T position, D feature.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor


def fading_sum(keep_BTD: Tensor, new_BTD: Tensor, first_BD: Tensor) -> Tensor:
    """c_t = keep_t · c_{t-1} + new_t for every t [B, T, D], with c_{-1} given.

    Factors between 0 and 1 are only ever multiplied, never divided by, so nothing overflows however long the sequence is. The gradient
    is the same sum backwards. On a CPU a plain loop is fastest, once autograd need not follow it; elsewhere the sum takes log₂ T passes.
    """
    if keep_BTD.shape[1] == 0:
        return new_BTD
    if not torch.is_grad_enabled():
        return _sum(keep_BTD, new_BTD, first_BD)
    summed: Tensor = _FadingSum.apply(keep_BTD, new_BTD, first_BD)  # type: ignore[no-untyped-call]
    return summed


def _sum(keep_BTD: Tensor, new_BTD: Tensor, first_BD: Tensor) -> Tensor:
    looped = keep_BTD.device.type == "cpu"
    return loop(keep_BTD, new_BTD, first_BD) if looped else scan(keep_BTD, new_BTD, first_BD)


def loop(keep_BTD: Tensor, new_BTD: Tensor, first_BD: Tensor) -> Tensor:
    """The sum, position by position."""
    last_BD, found = first_BD, []
    for keep_BD, new_BD in zip(keep_BTD.unbind(1), new_BTD.unbind(1), strict=True):
        last_BD = torch.addcmul(new_BD, keep_BD, last_BD)
        found.append(last_BD)
    return torch.stack(found, dim=1)


def scan(keep_BTD: Tensor, new_BTD: Tensor, first_BD: Tensor) -> Tensor:
    """The sum in log₂ T passes, each of which adds what the position 1, 2, 4, ... before has gathered (Hillis and Steele 1986)."""
    sum_BTD = torch.cat([(new_BTD[:, 0] + keep_BTD[:, 0] * first_BD)[:, None], new_BTD[:, 1:]], dim=1)
    step = 1
    while step < keep_BTD.shape[1]:
        late_BTD = torch.addcmul(sum_BTD[:, step:], keep_BTD[:, step:], sum_BTD[:, :-step])
        sum_BTD = torch.cat([sum_BTD[:, :step], late_BTD], dim=1)
        keep_BTD = torch.cat([keep_BTD[:, :step], keep_BTD[:, step:] * keep_BTD[:, :-step]], dim=1)
        step *= 2
    return sum_BTD


class _FadingSum(torch.autograd.Function):
    """With G_t, the whole gradient of c_t: G_t = g_t + keep_{t+1} · G_{t+1}."""

    @staticmethod
    def forward(context: Any, keep_BTD: Tensor, new_BTD: Tensor, first_BD: Tensor) -> Tensor:
        sum_BTD = _sum(keep_BTD, new_BTD, first_BD)
        context.save_for_backward(keep_BTD, sum_BTD, first_BD)
        return sum_BTD

    @staticmethod
    def backward(context: Any, *grads: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        (grad_BTD,) = grads
        keep_BTD, sum_BTD, first_BD = context.saved_tensors
        zero_BD = torch.zeros_like(first_BD)
        after_BTD = torch.cat([zero_BD[:, None], keep_BTD[:, 1:].flip(1)], dim=1)
        whole_BTD = _sum(after_BTD, grad_BTD.flip(1), zero_BD).flip(1)
        before_BTD = torch.cat([first_BD[:, None], sum_BTD[:, :-1]], dim=1)
        return whole_BTD * before_BTD, whole_BTD, whole_BTD[:, 0] * keep_BTD[:, 0]
