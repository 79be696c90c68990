"""Connections that read k slots, or other layers than the last: against what their equations say in float64, and what is refused.

N sources, S source position, T target position, D model, C slots.
"""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from isthmus.core.errors import ConfigError
from isthmus.core.padded import Padded
from isthmus.core.runtime import seeded
from isthmus.model.build import ModelConfig, build
from isthmus.model.connections.connection import Connection
from isthmus.model.connections.depth import DepthConfig
from isthmus.model.connections.global_attention import GlobalAttentionConfig
from isthmus.model.connections.multi_head_attention import MultiHeadAttention
from isthmus.model.connections.slots import Slots, SlotsConfig
from isthmus.model.memory import Memory
from isthmus.model.sizes import Sizes

N, S, T, D, C, KEPT = 2, 7, 5, 11, 3, 4
MASK_NS = torch.tensor([[True] * 7, [True] * 4 + [False] * 3])


def double(connections: list[Connection]) -> nn.ModuleList:
    """In float64, with no weight left as it began."""
    found = nn.ModuleList(connections).double().eval()
    with torch.no_grad():
        for parameter in found.parameters():
            parameter.add_(torch.randn_like(parameter), alpha=0.3)
    return found


def normed(x: Tensor, norm: nn.LayerNorm) -> Tensor:
    centred = x - x.mean(dim=-1, keepdim=True)
    return centred / (centred.square().mean(dim=-1, keepdim=True) + norm.eps).sqrt() * norm.weight + norm.bias


def dot_attention(query: Tensor, states: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    """Context and weights, over the states that are real alone."""
    weights = torch.zeros(*query.shape[:2], states.shape[1], dtype=torch.float64)
    for row in range(len(states)):
        real = mask[row]
        weights[row][:, real] = torch.softmax(query[row] @ states[row, real].T, dim=-1)
    return weights @ states, weights


def memory(seed: int = 1) -> Memory:
    with seeded(seed):
        layers = tuple(torch.randn(N, S, D, dtype=torch.float64) for _ in range(KEPT))
    return Memory(layers[-1] * 2, MASK_NS, layers=layers)


def read(connection: nn.Module, given: Memory, query_NTD: Tensor) -> tuple[Tensor, Tensor]:
    assert isinstance(connection, Connection)
    reading, link = connection(query_NTD, connection.prepare(given), torch.zeros(N, dtype=torch.int64), weights=True)
    assert not link.by_row
    assert reading.weights_BHTS is not None
    return reading.context_BTD, reading.weights_BHTS[:, 0].double()


def test_slots_are_what_their_equations_say() -> None:
    with seeded(3):
        config = SlotsConfig(count=C, heads=1, read=GlobalAttentionConfig(similarity="dot"))
        first, second = double(config.build_layers(Sizes(D, D), 2))
        query_NTD = torch.randn(N, T, D, dtype=torch.float64)
    assert isinstance(first, Slots)
    given, distil = memory(), first.distil
    attention = distil.attention
    assert isinstance(attention, MultiHeadAttention)
    asked = attention.query(distil.queries).expand(N, -1, -1) / D**0.5
    _, share_NCS = dot_attention(asked, attention.key(given.states_BSD), MASK_NS)
    heard_NCD = attention.output(share_NCS @ attention.value(given.states_BSD))
    slots_NCD = normed(distil.queries + heard_NCD, distil.norm)
    context_NTD, weights_NTC = dot_attention(query_NTD, slots_NCD, torch.ones(N, C, dtype=torch.bool))
    found = read(first, given, query_NTD)
    torch.testing.assert_close(found[0], context_NTD, rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(found[1], weights_NTC @ share_NCS, rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(read(second, given, query_NTD)[0], found[0], rtol=1e-5, atol=1e-6)
    assert isinstance(second, Slots)
    assert second.distil is distil


def test_one_slot_is_a_fixed_length_vector() -> None:
    """Whatever is asked, the same is read."""
    with seeded(3):
        (one,) = double(SlotsConfig(count=1, heads=1).build_layers(Sizes(8, 8), 1))
        query_NTD = torch.randn(N, T, 8, dtype=torch.float64)
    given = Memory(torch.randn(N, S, 8, dtype=torch.float64), MASK_NS)
    context_NTD, _ = read(one, given, query_NTD)
    torch.testing.assert_close(context_NTD, context_NTD[:, :1].expand(-1, T, -1), rtol=1e-5, atol=1e-6)
    assert not torch.allclose(context_NTD[0], context_NTD[1])


SLOTS = {"kind": "slots", "heads": 7, "read": {"kind": "global-attention"}}


def test_slots_are_stored_once() -> None:
    table = {
        "d_model": 14,
        "encoder": {"layers": 1, "layer": {"heads": 2}},
        "connection": SLOTS,
    }
    model = build(ModelConfig.of({**table, "decoder": {"layers": 3, "layer": {"heads": 2}}}), 17, 17)
    names = [name for name, _ in model.named_parameters() if name.endswith("distil.queries")]
    assert names == ["decoder.layers.0.connection.distil.queries"]


@pytest.mark.parametrize("number", [0, 2])
def test_each_layer_reads_its_own(number: int) -> None:
    with seeded(5):
        config = DepthConfig(depth="own", read=GlobalAttentionConfig(similarity="dot"))
        connection = double(config.build_layers(Sizes(D, D, KEPT), KEPT - 1))[number]
        query_NTD = torch.randn(N, T, D, dtype=torch.float64)
    given = memory()
    states_NSD = normed(given.layers[number + 1], connection.get_submodule("choose.norm"))  # type: ignore[arg-type]
    torch.testing.assert_close(
        read(connection, given, query_NTD)[0], dot_attention(query_NTD, states_NSD, MASK_NS)[0], rtol=1e-6, atol=1e-6
    )


def test_a_mix_of_all_layers() -> None:
    with seeded(5):
        config = DepthConfig(depth="mix", read=GlobalAttentionConfig(similarity="dot"))
        connection = double(config.build_layers(Sizes(D, D, KEPT), 2))[1]
        query_NTD = torch.randn(N, T, D, dtype=torch.float64)
    given = memory()
    share = connection.get_parameter("choose.strength").exp()
    mixed_NSD = sum(s * layer for s, layer in zip(share / share.sum(), given.layers, strict=True))
    assert isinstance(mixed_NSD, Tensor)
    states_NSD = normed(mixed_NSD, connection.get_submodule("choose.norm"))  # type: ignore[arg-type]
    torch.testing.assert_close(
        read(connection, given, query_NTD)[0], dot_attention(query_NTD, states_NSD, MASK_NS)[0], rtol=1e-6, atol=1e-6
    )


def test_the_last_layer_is_the_output() -> None:
    with seeded(5):
        config = DepthConfig(depth="last", read=GlobalAttentionConfig(similarity="dot"))
        (connection,) = double(config.build_layers(Sizes(D, D), 1))
        query_NTD = torch.randn(N, T, D, dtype=torch.float64)
    given = memory()
    torch.testing.assert_close(
        read(connection, given, query_NTD)[0],
        dot_attention(query_NTD, given.states_BSD, MASK_NS)[0],
        rtol=1e-6,
        atol=1e-6,
    )


def model_table(**more: Any) -> dict[str, Any]:
    layer = {"heads": 2, "feed_forward": 19}
    return {
        "d_model": 14,
        "encoder": {"kind": "transformer", "layers": 2, "layer": layer, **more.get("encoder", {})},
        "connection": {"kind": "depth", "read": {"kind": "multi-head-attention", "heads": 2}, **more["connection"]},
        "decoder": {"kind": "transformer", "layers": 3, "layer": layer},
    }


def test_an_encoder_keeps_what_went_in_and_every_layer() -> None:
    table = model_table(connection={}, encoder={"keep_layers": True, "final_norm": False})
    model = build(ModelConfig.of(table), 17, 17).eval()
    found = model.encode(Padded.of([[5, 6, 3]]))
    assert len(found.layers) == model.encoder.kept == 3
    assert torch.equal(found.layers[-1], found.states_BSD)
    embedded = model.encoder.get_submodule("embedding")(torch.tensor([[5, 6, 3]]), torch.arange(3)[None])
    assert torch.equal(found.layers[0], embedded)


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"connection": {"depth": "mix"}}, "reads the states of every encoder layer"),
        ({"connection": {"depth": "own"}}, "reads the states of every encoder layer"),
        ({"connection": {"depth": "own"}, "encoder": {"keep_layers": True}}, "layer of its own height"),
    ],
)
def test_what_does_not_fit_is_refused(more: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        build(ModelConfig.of(model_table(**more)), 17, 17)


def test_a_memory_without_layers_is_refused() -> None:
    (connection,) = DepthConfig().build_layers(Sizes(8, 8, KEPT), 1)
    with pytest.raises(ConfigError, match="keep_layers"):
        connection.prepare(Memory(torch.zeros(1, 3, 8), torch.ones(1, 3, dtype=torch.bool)))
