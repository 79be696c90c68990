"""B batch, T position, D model, W width."""

from __future__ import annotations

import math

import pytest
import torch
from torch.nn import functional

from isthmus.core.runtime import seeded
from isthmus.nn.convolution import GatedConvolution

B, T, D = 3, 11, 7


@pytest.mark.parametrize("width", [1, 3, 5])
@torch.no_grad()
def test_it_is_torchs_convolution_behind_a_gate(width: int) -> None:
    layer = GatedConvolution(D, width, 0.0)
    layer.kernel.bias.normal_()
    x_BTD, mask_BT = torch.randn(B, T, D), torch.arange(T)[None] < torch.tensor([[11], [4], [0]])
    kernel_EDW = layer.kernel.weight.view(2 * D, width, D).transpose(1, 2)
    seen_BDT = (x_BTD * mask_BT[:, :, None]).transpose(1, 2)
    convolved_BET = functional.conv1d(seen_BDT, kernel_EDW, layer.kernel.bias, padding=width // 2)
    value_BDT, gate_BDT = convolved_BET.chunk(2, dim=1)
    expected_BTD = (x_BTD + (value_BDT * gate_BDT.sigmoid()).transpose(1, 2)) * 0.5**0.5
    torch.testing.assert_close(layer(x_BTD, mask_BT), expected_BTD, rtol=1e-5, atol=1e-6)


@torch.no_grad()
def test_the_variance_stays_in_a_deep_stack() -> None:
    """The draw of section 3.5: the residuals' sqrt(1/2) alone would leave 0.03 after ten layers, no factor at all 32."""
    with seeded(1):
        x_BTD, mask_BT = torch.randn(5, 23, 64), torch.ones(5, 23, dtype=torch.bool)
        for _ in range(10):
            x_BTD = GatedConvolution(64, 3, 0.0)(x_BTD, mask_BT)
    assert 0.3 < float(x_BTD.std()) < 10.0


def test_dropout_is_in_training_only() -> None:
    layer, x_BTD, mask_BT = GatedConvolution(D, 3, 0.5), torch.randn(B, T, D), torch.ones(B, T, dtype=torch.bool)
    assert not torch.equal(layer.train()(x_BTD, mask_BT), layer(x_BTD, mask_BT))
    assert torch.equal(layer.eval()(x_BTD, mask_BT), layer(x_BTD, mask_BT))
    assert float(layer.kernel.weight.std()) == pytest.approx(math.sqrt(4 * 0.5 / (3 * D)), rel=0.2)
