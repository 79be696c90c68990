"""Joint attention against its equation in float64, and against a plain causal layer over source and target in a row.

B row, S source position, T target position, D model, H heads, K key size.
"""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from isthmus.core.errors import ConfigError
from isthmus.core.runtime import seeded
from isthmus.model.build import ModelConfig, build
from isthmus.model.connections.connection import Link
from isthmus.model.connections.joint_attention import JointAttention, JointAttentionConfig
from isthmus.model.memory import Memory
from isthmus.model.sizes import Sizes

S, T, D, H, K = 7, 5, 12, 3, 4
REAL = (7, 4)


def given() -> tuple[JointAttention, Memory, Tensor]:
    with seeded(3):
        one = JointAttentionConfig(heads=H, head_size=K).build(Sizes(D, D)).double().eval()
        states_BSD, query_BTD = torch.randn(2, S, D, dtype=torch.float64), torch.randn(2, T, D, dtype=torch.float64)
        with torch.no_grad():
            for parameter in one.parameters():
                parameter.add_(torch.randn_like(parameter), alpha=0.3)
    return one, Memory(states_BSD, torch.arange(S)[None] < torch.tensor(REAL)[:, None]), query_BTD


def naive(one: JointAttention, memory: Memory, query_BTD: Tensor) -> tuple[Tensor, Tensor]:
    """Contexts, and the weights of source positions as shares of what the source got, number by number."""
    contexts, shares = torch.zeros_like(query_BTD), torch.zeros(2, H, T, S, dtype=torch.float64)
    for row, real in enumerate(REAL):
        for t in range(T):
            seen_AD = torch.cat([memory.states_BSD[row, :real], query_BTD[row, : t + 1]])
            heads = []
            for h in range(H):
                part = slice(h * K, (h + 1) * K)
                query_K = (one.query.weight @ query_BTD[row, t] + one.query.bias)[part]
                key_AK = (seen_AD @ one.key.weight.T + one.key.bias)[:, part]
                value_AK = (seen_AD @ one.value.weight.T + one.value.bias)[:, part]
                weight_A = torch.softmax(key_AK @ query_K / K**0.5, dim=0)
                heads.append(weight_A @ value_AK)
                shares[row, h, t, :real] = weight_A[:real] / weight_A[:real].sum()
            contexts[row, t] = one.output.weight @ torch.cat(heads) + one.output.bias
    return contexts, shares


@pytest.mark.parametrize("parts", [[T], [1] * T, [2, 3]])
@torch.no_grad()
def test_source_and_past_share_one_softmax(parts: list[int]) -> None:
    one, memory, query_BTD = given()
    link, position_B, contexts, weights = one.prepare(memory), torch.zeros(2, dtype=torch.int64), [], []
    for block_BTD in torch.split(query_BTD, parts, dim=1):
        reading, link = one(block_BTD, link, position_B, weights=True)
        position_B = position_B + block_BTD.shape[1]
        assert reading.weights_BHTS is not None
        contexts.append(reading.context_BTD)
        weights.append(reading.weights_BHTS.double())
    context_BTD, share_BHTS = naive(one, memory, query_BTD)
    torch.testing.assert_close(torch.cat(contexts, dim=1), context_BTD, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(torch.cat(weights, dim=2), share_BHTS, rtol=1e-5, atol=1e-6)


@torch.no_grad()
def test_rows_that_have_said_more_can_join_rows_that_have_said_less() -> None:
    one, memory, query_BTD = given()
    context_BTD, _ = naive(one, memory, query_BTD)
    links = []
    for row, said in ((0, 4), (1, 2)):
        begun = one.prepare(memory).select(torch.tensor([row]))
        links.append(one(query_BTD[row : row + 1, :said], begun, torch.zeros(1, dtype=torch.int64))[1])
    reading, _ = one(
        torch.stack([query_BTD[0, 4:5], query_BTD[1, 2:3]]), Link.join(links), torch.tensor([4, 2], dtype=torch.int64)
    )
    expected = torch.stack([context_BTD[0, 4:5], context_BTD[1, 2:3]])
    torch.testing.assert_close(reading.context_BTD, expected, rtol=1e-12, atol=1e-12)


def config(past: str, connection: dict[str, Any], positions: str = "sinusoidal") -> ModelConfig:
    table = {
        "d_model": D,
        "embedding": {"positions": {"kind": positions}},
        "encoder": {"layers": 1, "layer": {"heads": 3, "feed_forward": 8}},
        "connection": connection,
        "decoder": {"layers": 1, "layer": {"heads": 3, "feed_forward": 8}, "past": past},
    }
    return ModelConfig.of(table)


@pytest.mark.parametrize(
    ("past", "connection", "positions", "where"),
    [
        ("self-attention", {"kind": "joint-attention", "heads": 3}, "sinusoidal", "model.decoder.past"),
        ("none", {"kind": "multi-head-attention", "heads": 3}, "sinusoidal", "model.decoder.past"),
        (
            "ssru",
            {"kind": "slots", "heads": 3, "read": {"kind": "joint-attention", "heads": 3}},
            "learned",
            "model.decoder.past",
        ),
        ("none", {"kind": "joint-attention", "heads": 3}, "t5", "model.embedding.positions"),
    ],
)
def test_exactly_one_part_looks_back(past: str, connection: dict[str, Any], positions: str, where: str) -> None:
    with pytest.raises(ConfigError) as caught:
        build(config(past, connection, positions), 11, 11)
    assert caught.value.where == where


def test_a_decoder_that_looks_back_through_its_connection_has_no_weights_for_it() -> None:
    model = build(config("none", {"kind": "joint-attention", "heads": 3}), 11, 11)
    assert not [name for name, _ in model.named_parameters() if name.startswith("decoder") and ".attention." in name]
