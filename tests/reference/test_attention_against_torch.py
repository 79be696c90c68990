"""Attention and layers against `torch.nn` with copied weights, masks included.

B batch, T target position, S source position, D model, H heads.
"""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from isthmus.model.blocks import LayerConfig, PositionConfig
from isthmus.model.connections.multi_head_attention import MultiHeadAttention
from isthmus.model.decoders.transformer import TransformerDecoderConfig
from isthmus.model.decoders.transformer import build as build_decoder
from isthmus.model.encoders.transformer import TransformerEncoderConfig, TransformerEncoderLayer
from isthmus.model.encoders.transformer import build as build_encoder
from isthmus.model.memory import Memory
from isthmus.nn.attention import HeadSizes, SelfAttention
from isthmus.nn.blocks import Embedding, embedding_weight

B, T, S, D, H, F = 3, 5, 7, 22, 2, 13
LENGTHS = torch.tensor([7, 2, 4])
MASK_BS = torch.arange(S)[None] < LENGTHS[:, None]
SIZES = HeadSizes(d_model=D, heads=H, key_value_heads=H, head_size=D // H)
POSITION_1S = torch.arange(S)[None]


def perturb(module: nn.Module) -> None:
    """No bias 0, no norm 1."""
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(torch.randn_like(parameter), alpha=0.2)


def copy_attention(theirs: nn.MultiheadAttention, ours: SelfAttention | MultiHeadAttention) -> None:
    with torch.no_grad():
        for part, weight, bias in zip(
            (ours.query, ours.key, ours.value),
            theirs.in_proj_weight.chunk(3),
            theirs.in_proj_bias.chunk(3),
            strict=True,
        ):
            part.weight.copy_(weight)
            part.bias.copy_(bias)
        ours.output.weight.copy_(theirs.out_proj.weight)
        ours.output.bias.copy_(theirs.out_proj.bias)


@pytest.fixture
def attention() -> nn.MultiheadAttention:
    attention = nn.MultiheadAttention(D, H, batch_first=True).eval()
    perturb(attention)
    return attention


@pytest.mark.parametrize("causal", [False, True])
def test_self_attention(attention: nn.MultiheadAttention, causal: bool) -> None:
    ours = SelfAttention(SIZES).eval()
    copy_attention(attention, ours)
    x_BSD = torch.randn(B, S, D, requires_grad=True)
    below_SS = torch.ones(S, S, dtype=torch.bool).tril()
    allowed = MASK_BS[:, None, None] & below_SS if causal else MASK_BS[:, None, None]
    found_BSD, _ = ours(x_BSD, allowed, POSITION_1S)
    expected_BSD, _ = attention(
        x_BSD, x_BSD, x_BSD, key_padding_mask=~MASK_BS, attn_mask=~below_SS if causal else None, need_weights=False
    )
    torch.testing.assert_close(found_BSD[MASK_BS], expected_BSD[MASK_BS], rtol=1e-5, atol=1e-6)
    (found,) = torch.autograd.grad(found_BSD[MASK_BS].pow(2).sum(), x_BSD)
    (expected,) = torch.autograd.grad(expected_BSD[MASK_BS].pow(2).sum(), x_BSD)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


def test_attention_over_a_memory(attention: nn.MultiheadAttention) -> None:
    ours = MultiHeadAttention(SIZES, D).eval()
    copy_attention(attention, ours)
    query_BTD, states_BSD = torch.randn(B, T, D), torch.randn(B, S, D)
    reading, _ = ours(query_BTD, ours.prepare(Memory(states_BSD, MASK_BS)), torch.zeros(B, dtype=torch.int64), True)
    context_BTD, weights_BHTS = attention(
        query_BTD, states_BSD, states_BSD, key_padding_mask=~MASK_BS, average_attn_weights=False
    )
    torch.testing.assert_close(reading.context_BTD, context_BTD, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(reading.weights_BHTS, weights_BHTS, rtol=1e-5, atol=1e-6)


def test_rows_that_share_a_source(attention: nn.MultiheadAttention) -> None:
    """k rows of a source are read as one row of k·T queries: the same as repeating the source k times."""
    ours = MultiHeadAttention(HeadSizes(D, 6, 2, 5), D).eval()
    perturb(ours)
    query_RTD, link = torch.randn(4 * B, T, D), ours.prepare(Memory(torch.randn(B, S, D), MASK_BS))
    position_R = torch.zeros(4 * B, dtype=torch.int64)
    shared, _ = ours(query_RTD, link, position_R, True)
    repeated, _ = ours(query_RTD, link.repeat(4), position_R, True)
    assert shared.weights_BHTS is not None
    assert repeated.weights_BHTS is not None
    torch.testing.assert_close(shared.context_BTD, repeated.context_BTD, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(shared.weights_BHTS, repeated.weights_BHTS, rtol=1e-5, atol=1e-6)


def copy_sublayers(theirs: nn.Module, ours: nn.Module, names: dict[str, str]) -> None:
    own, other = dict(ours.named_parameters()), dict(theirs.named_parameters())
    with torch.no_grad():
        for name, their_name in names.items():
            for kind in ("weight", "bias"):
                own[f"{name}.{kind}"].copy_(other[f"{their_name}.{kind}"])


@pytest.mark.parametrize("norm_first", [True, False])
@pytest.mark.parametrize("activation", ["relu", "gelu"])
def test_encoder_layer(norm_first: bool, activation: str) -> None:
    theirs = nn.TransformerEncoderLayer(D, H, F, activation=activation, batch_first=True, norm_first=norm_first).eval()
    perturb(theirs)
    config = TransformerEncoderConfig.model_validate(
        {"layers": 1, "layer": {"heads": H, "feed_forward": F, "activation": activation, "norm_first": norm_first}}
    )
    layer = next(iter(build_encoder(config, embedding(), PositionConfig(kind="none"), D).layers))
    assert isinstance(layer, TransformerEncoderLayer)
    copy_attention(theirs.self_attn, layer.attention)
    names = {
        "feed_forward.inner": "linear1",
        "feed_forward.outer": "linear2",
        "around_attention.norm": "norm1",
        "around_feed_forward.norm": "norm2",
    }
    copy_sublayers(theirs, layer, names)
    x_BSD = torch.randn(B, S, D)
    expected_BSD = theirs(x_BSD, src_key_padding_mask=~MASK_BS)
    found_BSD = layer.eval()(x_BSD, MASK_BS[:, None, None], POSITION_1S)
    torch.testing.assert_close(found_BSD[MASK_BS], expected_BSD[MASK_BS], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("norm_first", [True, False])
def test_decoder(norm_first: bool) -> None:
    theirs = nn.TransformerDecoderLayer(D, H, F, activation="gelu", batch_first=True, norm_first=norm_first).eval()
    perturb(theirs)
    config = TransformerDecoderConfig(
        layers=1,
        layer=LayerConfig(heads=H, feed_forward=F, activation="gelu", norm_first=norm_first),
        final_norm=False,
    )
    inputs = embedding()
    ours = build_decoder(config, inputs, [MultiHeadAttention(SIZES, D)], PositionConfig(kind="none"), D).eval()
    layer = ours.get_submodule("layers.0")
    connection, attention = layer.get_submodule("connection"), layer.get_submodule("attention")
    assert isinstance(connection, MultiHeadAttention)
    assert isinstance(attention, SelfAttention)
    copy_attention(theirs.self_attn, attention)
    copy_attention(theirs.multihead_attn, connection)
    names = {
        "feed_forward.inner": "linear1",
        "feed_forward.outer": "linear2",
        "around_attention.norm": "norm1",
        "around_connection.norm": "norm2",
        "around_feed_forward.norm": "norm3",
    }
    copy_sublayers(theirs, layer, names)
    tokens_BT, states_BSD = torch.randint(0, 17, (B, T)), torch.randn(B, S, D)
    above_TT = torch.ones(T, T, dtype=torch.bool).triu(1)
    x_BTD: Tensor = inputs.weight[tokens_BT]
    expected_BTD = theirs(x_BTD, states_BSD, tgt_mask=above_TT, memory_key_padding_mask=~MASK_BS)
    decoded, _ = ours(tokens_BT, ours.start(Memory(states_BSD, MASK_BS), remember=False))
    torch.testing.assert_close(decoded.features_BTD, expected_BTD, rtol=1e-4, atol=1e-5)


def embedding() -> Embedding:
    return Embedding(embedding_weight(17, D), None, 1.0, None, 0.0)
