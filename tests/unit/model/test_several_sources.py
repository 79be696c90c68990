"""Several sources in one row: divided and put back, read each by itself, and what the combinations say in float64.

B row, S position in the row, T target position, D model.
"""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from isthmus.core.padded import Padded
from isthmus.core.runtime import seeded
from isthmus.model.build import ModelConfig, build
from isthmus.model.connections import combination
from isthmus.model.connections.combination import Combination, CombinationConfig
from isthmus.model.connections.global_attention import GlobalAttentionConfig
from isthmus.model.encoder_decoder import EncoderDecoder
from isthmus.model.encoders.several_sources import SeveralSources, numbered
from isthmus.model.memory import Memory
from isthmus.model.sizes import Sizes
from isthmus.text.vocabulary import SEP

EOS = 3
ROWS = [[8, 9, SEP, 7, EOS], [6, SEP, 5, 10, 11, 12, EOS]]
PARTS = [([8, 9, SEP], [7, EOS]), ([6, SEP], [5, 10, 11, 12, EOS])]
LAYER = {"heads": 2, "feed_forward": 19}


def model(**more: Any) -> EncoderDecoder:
    table = {
        "d_model": 14,
        "sources": {"count": 2},
        "encoder": {"layers": 2, "layer": LAYER, "summary": "mean", "keep_layers": True},
        "connection": {"kind": "combination", "read": {"kind": "multi-head-attention", "heads": 2}},
        "decoder": {"layers": 1, "layer": LAYER},
    }
    with seeded(3):
        return build(ModelConfig.of({**table, **more}), 17, 17).eval()


@pytest.mark.parametrize(
    ("ids", "count", "expected"),
    [
        ([8, SEP, 9, EOS], 2, [0, 0, 1, 1]),
        ([8, 9, EOS], 2, [1, 1, 1]),
        ([8, SEP, 9, SEP, 7, EOS], 2, [0, 0, 0, 0, 1, 1]),
        ([SEP, SEP, 7, EOS], 3, [0, 1, 2, 2]),
        ([8, SEP, 9, EOS], 1, [0, 0, 0, 0]),
    ],
    ids=["two", "one is missing", "context in front", "empty ones", "one"],
)
def test_which_source_a_position_belongs_to(ids: list[int], count: int, expected: list[int]) -> None:
    assert numbered(Padded.of([ids]), count)[0].tolist() == expected
    padded = Padded(torch.tensor([[*ids, SEP, SEP]]), torch.tensor([len(ids)]))
    assert numbered(padded, count)[0, : len(ids)].tolist() == expected


@pytest.mark.parametrize("shared", [True, False])
@torch.no_grad()
def test_each_source_is_encoded_as_if_it_stood_alone(shared: bool) -> None:
    one = model(sources={"count": 2, "shared": shared})
    assert isinstance(one.encoder, SeveralSources)
    assert (one.encoder.encoders[0] is one.encoder.encoders[1]) == shared
    memory = one.encode(Padded.of(ROWS))
    assert memory.source_BS is not None
    assert memory.summary_BD is not None
    assert len(memory.layers) == one.encoder.kept == 3
    for row, parts in enumerate(PARTS):
        start, summaries = 0, []
        for number, (part, encoder) in enumerate(zip(parts, one.encoder.encoders, strict=True)):
            alone, place = encoder(Padded.of([part])), slice(start, start + len(part))
            torch.testing.assert_close(memory.states_BSD[row, place], alone.states_BSD[0])
            for ours, other in zip(memory.layers, alone.layers, strict=True):
                torch.testing.assert_close(ours[row, place], other[0])
            assert memory.source_BS[row, place].tolist() == [number] * len(part)
            summaries.append(alone.summary_BD[0])
            start += len(part)
        torch.testing.assert_close(memory.summary_BD[row], torch.stack(summaries).mean(dim=0))


def test_encoders_of_their_own_share_the_embedding() -> None:
    names = dict(model(sources={"count": 2, "shared": False}).named_parameters())
    assert sum("embedding.weight" in name for name in names) == 1
    assert "encoder.encoders.1.layers.0.attention.query.weight" in names
    assert not any("encoders.1" in name for name in dict(model().named_parameters()))


def attention(read: nn.Module, query_TD: Tensor, states_SD: Tensor) -> tuple[Tensor, Tensor]:
    """Luong's general attention over one source."""
    weights_TS = torch.softmax(query_TD @ (states_SD @ read.get_parameter("similarity.key.weight").T).T, dim=-1)
    return weights_TS @ states_SD, weights_TS


def naive(one: Combination, query_TD: Tensor, sources: list[Tensor]) -> tuple[Tensor, Tensor]:
    """What the equations say of one row, sources without padding."""
    contexts: list[Tensor] = []
    weights: list[Tensor] = []
    for number, (read, states_SD) in enumerate(zip(one.reads, sources, strict=True)):
        asking_TD = query_TD
        if number and one.way == "serial":
            norm, summed = one.norms[number - 1], query_TD + torch.stack(contexts).sum(dim=0)
            weight, bias = norm.get_parameter("weight"), norm.get_parameter("bias")
            asking_TD = nn.functional.layer_norm(summed, (summed.shape[-1],), weight, bias)
        context_TD, weights_TS = attention(read, asking_TD, states_SD)
        contexts.append(context_TD)
        weights.append(weights_TS)
    if one.gate is None:
        return torch.stack(contexts).sum(dim=0), torch.cat(weights, dim=-1) / len(sources)
    gate, scores, values = one.gate, [], []
    for key, value, context_TD in zip(gate.keys, gate.values, contexts, strict=True):
        inner = query_TD @ gate.query.weight.T + gate.query.bias + context_TD @ key.get_parameter("weight").T
        scores.append(torch.tanh(inner) @ gate.score.weight[0])
        values.append(context_TD @ value.get_parameter("weight").T)
    share_TC = torch.softmax(torch.stack(scores, dim=-1), dim=-1)
    mixed = sum(share_TC[:, n, None] * value for n, value in enumerate(values))
    assert isinstance(mixed, Tensor)
    return mixed, torch.cat([share_TC[:, n, None] * w for n, w in enumerate(weights)], dim=-1)


@pytest.mark.parametrize("way", ["serial", "parallel", "hierarchical"])
@torch.no_grad()
def test_a_combination_is_what_its_equations_say(way: combination.Way) -> None:
    D, T, C = 11, 5, 3
    with seeded(6):
        config = CombinationConfig(way=way, read=GlobalAttentionConfig(similarity="general"))
        one = config.build(Sizes(D, D, sources=C)).double().eval()
        for parameter in one.parameters():
            parameter.add_(torch.randn_like(parameter), alpha=0.3)
        states_1SD, query_1TD = torch.randn(1, 9, D).double(), torch.randn(1, T, D).double()
    number_1S = torch.tensor([[0, 0, 0, 1, 1, 2, 2, 2, 2]])
    mask_1S = torch.tensor([[True] * 8 + [False]])
    link = one.prepare(Memory(states_1SD, mask_1S, source_BS=number_1S))
    reading, new = one(query_1TD, link, torch.zeros(1, dtype=torch.int64), weights=True)
    assert new is link
    context_TD, weights_TS = naive(one, query_1TD[0], [states_1SD[0, s] for s in (slice(3), slice(3, 5), slice(5, 8))])
    torch.testing.assert_close(reading.context_BTD[0], context_TD, rtol=1e-5, atol=1e-6)
    assert reading.weights_BHTS is not None
    torch.testing.assert_close(reading.weights_BHTS[0, 0, :, :8].double(), weights_TS, rtol=1e-5, atol=1e-6)
    assert bool((reading.weights_BHTS[..., 8] == 0).all())


@pytest.mark.parametrize("way", ["serial", "parallel", "hierarchical"])
@torch.no_grad()
def test_an_empty_source_has_no_share(way: combination.Way) -> None:
    read = {"kind": "multi-head-attention", "heads": 2}
    one = model(connection={"kind": "combination", "way": way, "read": read})
    _, decoded = one.read(Padded.of([[9, 8, EOS]]), Padded.of([[2, 5]]), weights=True)
    weights_BHTS = decoded.readings[0].weights_BHTS
    assert weights_BHTS is not None
    torch.testing.assert_close(weights_BHTS.sum(dim=-1), torch.ones(1, 2, 2))


def test_a_memory_of_memories_numbers_them() -> None:
    first, second = (Memory(torch.zeros(2, width, 3), torch.ones(2, width, dtype=torch.bool)) for width in (3, 2))
    found = Memory.concat([first, second])
    assert found.source_BS is not None
    assert found.source_BS.tolist() == [[0, 0, 0, 1, 1]] * 2
    assert found.ids_BS is None
    assert found.select(torch.tensor([1])).source_BS is not None
