from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from isthmus.model.build import ModelConfig, build
from isthmus.nn.blocks import Activation, Embedding, FeedForward, NormKind, Residual, build_norm, embedding_weight
from isthmus.nn.positions import Learned


def approximate_gelu(x: Tensor) -> Tensor:
    """x/2 (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3))) (Hendrycks and Gimpel 2016, section 2)."""
    return 0.5 * x * (1 + torch.tanh((2 / torch.pi) ** 0.5 * (x + 0.044715 * x**3)))


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("activation", ["relu", "gelu", "gelu-tanh", "silu", "swiglu", "geglu-tanh"])
def test_feed_forward(activation: Activation, bias: bool) -> None:
    layer, x = FeedForward(5, 7, activation, 0.0, bias), torch.randn(2, 3, 5)
    inner = layer.inner(x)
    match activation:
        case "relu":
            expected = inner.clamp(min=0)
        case "gelu":
            expected = inner * 0.5 * (1 + torch.erf(inner * 0.5**0.5))
        case "gelu-tanh":
            expected = approximate_gelu(inner)
        case "geglu-tanh":
            assert layer.gate is not None
            expected = approximate_gelu(layer.gate(x)) * inner
        case "silu":
            expected = inner * inner.sigmoid()
        case "swiglu":
            assert layer.gate is not None
            expected = layer.gate(x) * layer.gate(x).sigmoid() * inner
    torch.testing.assert_close(layer(x), layer.outer(expected))
    assert ("outer.bias" in layer.state_dict()) == bias
    assert ("gate.weight" in layer.state_dict()) == ("glu" in activation)


def test_feed_forward_drops_in_the_middle_while_training_only() -> None:
    layer, x = FeedForward(5, 7, "relu", 0.5), torch.randn(2, 3, 5)
    assert not torch.equal(layer(x), layer(x))
    layer.eval()
    assert torch.equal(layer(x), layer(x))


@pytest.mark.parametrize("kind", ["layer", "rms"])
def test_norms(kind: NormKind) -> None:
    norm, x = build_norm(kind, 7, eps=0.01), torch.randn(3, 7) * 5
    mean = x.mean(dim=-1, keepdim=True) if kind == "layer" else 0.0
    expected = (x - mean) / ((x - mean).pow(2).mean(dim=-1, keepdim=True) + 0.01).sqrt()
    torch.testing.assert_close(norm(x), expected)


def test_residual_before_and_after() -> None:
    norm, x, y = nn.LayerNorm(7), torch.randn(3, 7), torch.randn(3, 7)
    pre, post = Residual(norm, 0.0, pre=True), Residual(norm, 0.0, pre=False)
    assert torch.equal(pre.enter(x), norm(x))
    assert torch.equal(pre.leave(x, y), x + y)
    assert post.enter(x) is x
    assert torch.equal(post.leave(x, y), norm(x + y))
    dropping = Residual(norm, 0.9, pre=True)
    assert not torch.equal(dropping.leave(x, y), x + y)
    assert torch.equal(dropping.eval().leave(x, y), x + y)
    skipping = Residual(norm, 0.0, pre=True, skip=0.999999)
    assert torch.equal(skipping.leave(x, y), x)
    assert torch.equal(skipping.eval().leave(x, y), x + y)


def test_stochastic_depth_grows_with_the_height() -> None:
    table = {"d_model": 8, "encoder": {"layers": 4, "layer": {"heads": 2, "stochastic_depth": 0.2}}}
    table["decoder"] = {"layers": 2, "layer": {"heads": 2, "stochastic_depth": 0.3}}
    model = build(ModelConfig.of({**table, "connection": {"kind": "multi-head-attention", "heads": 2}}), 8, 8)
    skips = [module.skip for module in model.modules() if isinstance(module, Residual)]
    assert skips == pytest.approx([*[0.05] * 2, *[0.1] * 2, *[0.15] * 2, *[0.2] * 2, *[0.15] * 3, *[0.3] * 3])


def test_embedding() -> None:
    weight, positions, norm = embedding_weight(11, 6), Learned(7, 6), nn.LayerNorm(6)
    ids_BT, position_BT = torch.tensor([[3, 10], [0, 3]]), torch.tensor([[0, 1], [5, 6]])
    plain = Embedding(weight, None, 1.0, None, 0.0)
    assert torch.equal(plain(ids_BT, position_BT), functional.embedding(ids_BT, weight))
    whole = Embedding(weight, positions, 2.5, norm, 0.0)
    torch.testing.assert_close(whole(ids_BT, position_BT), norm(weight[ids_BT] * 2.5 + positions(position_BT)))
    dropping = Embedding(weight, None, 1.0, None, 0.5)
    assert bool((dropping(ids_BT, position_BT) == 0).any())


def test_scaled_embeddings_begin_with_variance_one() -> None:
    weight = embedding_weight(997, 64).detach()
    assert float((weight * 64**0.5).var()) == pytest.approx(1.0, rel=0.03)
