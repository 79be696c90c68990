"""Every architecture runs in bfloat16, near what it computes in float32, and leaves the model that it was given alone."""

from __future__ import annotations

import pytest
import torch

from isthmus.core.runtime import Runtime
from isthmus.engines.torch_engine import TorchEngine
from tests.laws.architectures import FAST, TARGET_SIZE, Architecture, batch


@pytest.mark.parametrize("architecture", FAST, ids=str)
def test_a_step_in_bfloat16_is_near(architecture: Architecture) -> None:
    model = architecture.model()
    source, tokens_BT = batch(5, 3, 7), batch(4, 4, 4, size=TARGET_SIZE).ids_BT
    exact, low = (TorchEngine(model, (2,), Runtime(precision=kind)) for kind in ("float32", "bfloat16"))
    expected_BV, _, _ = exact.step(tokens_BT[:, :3], exact.start(source))
    found_BV, state, _ = low.step(tokens_BT[:, :3], low.start(source))
    assert found_BV.dtype == torch.float32
    error = (found_BV - expected_BV).norm() / expected_BV.norm()
    assert float(error) < 0.05
    assert bool(low.step(tokens_BT[:, 3:], state)[0].isfinite().all())
    assert {parameter.dtype for parameter in model.parameters()} == {torch.float32}
    assert {parameter.dtype for parameter in low.model.parameters()} == {torch.bfloat16}
