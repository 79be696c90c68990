"""Law 10: what `torch.export` makes of `encode` and of a step computes what the model computes, for any batch and lengths.

B row, S source position, C cache slot.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.export import Dim, export

from isthmus.core.padded import Padded
from isthmus.model.connections.connection import Link
from isthmus.model.encoder_decoder import EncoderDecoder
from isthmus.model.memory import Memory
from isthmus.model.state import DecoderState
from isthmus.nn.cache import KeyValueCache
from tests.laws.architectures import EVERY, FAST, TARGET_SIZE, Architecture, agree, batch

SLOTS = 13


class Encode(nn.Module):
    """ids and lengths -> states, mask, summary, layers."""

    def __init__(self, model: EncoderDecoder) -> None:
        super().__init__()
        self.model = model

    def forward(self, ids_BS: Tensor, lengths_B: Tensor) -> list[Tensor]:
        return flat_memory(self.model.encode(Padded(ids_BS, lengths_B)))


class Start(nn.Module):
    """states, mask, summary -> links."""

    def __init__(self, model: EncoderDecoder) -> None:
        super().__init__()
        self.model = model

    def forward(self, states_BSD: Tensor, mask_BS: Tensor, summary_BD: Tensor) -> list[Tensor]:
        state = self.model.start(Memory(states_BSD, mask_BS, summary_BD), remember=False)
        return [tensor for link in state.links for tensor in flat_link(link)]


class Step(nn.Module):
    """tokens, positions, caches, links -> log-probabilities, caches, links; one row a link."""

    def __init__(self, model: EncoderDecoder, written: bool) -> None:
        super().__init__()
        self.model, self.parts = model, 4 if written else 3

    def forward(self, token_B1: Tensor, position_B: Tensor, past: list[Tensor], links: list[Tensor]) -> list[Tensor]:
        row_B = torch.arange(token_B1.shape[0])
        # Copies, since the caches are written in place and an exported program keeps its inputs as they are.
        caches = tuple(KeyValueCache(keys.clone(), values.clone()) for keys, values in grouped(past, 2))
        state = DecoderState(
            position_B,
            caches,
            tuple(Link(k, v, mask, tuple(w)) for k, v, mask, *w in grouped(links, self.parts)),
            row_B,
        )
        decoded, state = self.model.step(token_B1, state)
        log_probs_BTV = self.model.head.log_probs(decoded)
        return [log_probs_BTV, *flat_past(state), *(tensor for link in state.links for tensor in flat_link(link))]


def flat_memory(memory: Memory) -> list[Tensor]:
    summary = [] if memory.summary_BD is None else [memory.summary_BD]
    return [memory.states_BSD, memory.mask_BS, *summary, *memory.layers]


def flat_link(link: Link) -> list[Tensor]:
    return [link.keys, link.values, link.mask_BS, *link.written]


def flat_past(state: DecoderState) -> list[Tensor]:
    return [tensor for cache in state.past_of(KeyValueCache) for tensor in (cache.keys_BGSK, cache.values_BGSK)]


def grouped(tensors: Sequence[Tensor], size: int) -> Iterator[Sequence[Tensor]]:
    for start in range(0, len(tensors), size):
        yield tensors[start : start + size]


def roomy(state: DecoderState, slots: int = SLOTS) -> list[Tensor]:
    return [
        tensor
        for c in state.past_of(KeyValueCache)
        for tensor in (c.grown(slots).keys_BGSK, c.grown(slots).values_BGSK)
    ]


def link_shapes(link: Link, rows: Any, width: Any) -> list[dict[int, Any]]:
    """Which axes of a link vary: the row, and the source position where the link has one."""
    axis = link.keys.dim() - 2
    along = {axis: width} if link.keys.shape[axis] == link.mask_BS.shape[1] != 1 else {}
    mask = {1: width} if along else {}
    return [{0: rows, **along}, {0: rows, **along}, {0: rows, **mask}, *({0: rows, 1: width} for _ in link.written)]


def exported_encode(model: EncoderDecoder) -> nn.Module:
    rows, width = Dim("rows", max=4096), Dim("width", max=1024)
    source = batch(5, 3, 7)
    shapes = {"ids_BS": {0: rows, 1: width}, "lengths_B": {0: rows}}
    return export(Encode(model), (source.ids_BT, source.lengths_B), dynamic_shapes=shapes).module()


def exported_start(model: EncoderDecoder, memory: Memory) -> nn.Module:
    rows, width = Dim("rows", max=4096), Dim("width", max=1024)
    shapes = {"states_BSD": {0: rows, 1: width}, "mask_BS": {0: rows, 1: width}, "summary_BD": {0: rows}}
    assert memory.summary_BD is not None
    inputs = (memory.states_BSD, memory.mask_BS, memory.summary_BD)
    return export(Start(model), inputs, dynamic_shapes=shapes).module()


def exported_step(model: EncoderDecoder, memory: Memory) -> nn.Module:
    rows, width, slots = Dim("rows", max=4096), Dim("width", max=1024), Dim("slots", max=1024)
    state = model.start(memory)
    links = [tensor for link in state.links for tensor in flat_link(link)]
    shapes = {
        "token_B1": {0: rows},
        "position_B": {0: rows},
        "past": [{0: rows, 2: slots} for _ in range(2 * len(state.past))],
        "links": [shape for link in state.links for shape in link_shapes(link, rows, width)],
    }
    inputs = (torch.full((3, 1), 2), state.position_B, roomy(state), links)
    return export(Step(model, bool(state.links[0].written)), inputs, dynamic_shapes=shapes).module()


def check(architecture: Architecture) -> None:
    model = architecture.model()
    memory = model.encode(batch(5, 3, 7))
    encode, start, step = exported_encode(model), exported_start(model, memory), exported_step(model, memory)
    for number, lengths in enumerate([(7, 3, 5), (2, 11), (4, 13, 2, 6, 1)]):
        source = batch(*lengths, seed=number)
        target_BT = torch.randint(4, TARGET_SIZE, (len(lengths), 5))
        memory = model.encode(source)
        for ours, other in zip(encode(source.ids_BT, source.lengths_B), flat_memory(memory), strict=True):
            agree(ours, other)
        whole_BTV = model(source, Padded(target_BT, torch.full((len(lengths),), 5)))
        links = start(memory.states_BSD, memory.mask_BS, memory.summary_BD)
        state = model.start(memory)
        past, position_B, count = roomy(state, SLOTS + number), state.position_B, len(state.past) * 2
        for t in range(5):
            log_probs_B1V, *rest = step(target_BT[:, t : t + 1], position_B, past, links)
            agree(log_probs_B1V[:, 0], whole_BTV[:, t])
            past, links, position_B = rest[:count], rest[count:], position_B + 1


@torch.no_grad()
def test_an_exported_model_computes_the_same() -> None:
    check(FAST[0])


@pytest.mark.slow
@pytest.mark.parametrize("architecture", FAST[1:], ids=str)
@torch.no_grad()
def test_every_exported_model_computes_the_same(architecture: Architecture) -> None:
    check(architecture)


def test_the_exported_ones_have_every_part() -> None:
    for part in ("encoder", "connection", "decoder", "outside"):
        assert {vars(one)[part] for one in FAST} == {vars(one)[part] for one in EVERY}
