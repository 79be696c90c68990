"""Every architecture trains in bfloat16: the loss and its gradients are near those in float32, and weights stay in float32."""

from __future__ import annotations

import pytest
import torch

from isthmus.core.runtime import Runtime
from isthmus.train.objective import CrossEntropy
from tests.laws.architectures import FAST, Architecture
from tests.unit.train.toy import batch_of


@pytest.mark.parametrize("architecture", FAST, ids=str)
def test_loss_and_gradients_are_near(architecture: Architecture) -> None:
    model = architecture.model()
    batch = batch_of([([5, 6, 7, 8], [6, 7, 5]), ([9, 5], [8, 9, 10, 11]), ([12], [5])])
    losses, gradients = [], []
    for precision in ("float32", "bfloat16"):
        model.zero_grad()
        with Runtime(precision=precision).autocast():
            total, _ = CrossEntropy(0.1)(model, batch)
        torch.autograd.backward(total)
        losses.append(float(total.detach()))
        gradients.append(torch.cat([p.grad.flatten() for p in model.parameters() if p.grad is not None]))
    assert total.dtype == torch.float32
    assert losses[1] == pytest.approx(losses[0], rel=0.02)
    least = 0.9 if architecture.connection == "local" else 0.98  # a window has an edge, which rounding may move
    assert float(torch.cosine_similarity(gradients[0], gradients[1], dim=0)) > least
    assert {parameter.dtype for parameter in model.parameters()} == {torch.float32}
