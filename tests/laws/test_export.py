"""Law 10: what `torch.export` makes of `encode` and of a step computes what the model computes, for any batch and lengths.

B row, S source position, C cache slot.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.export import Dim, export

from isthmus.core.padded import Padded
from isthmus.model.connections.connection import Link
from isthmus.model.decoders.recurrent import RecurrentDecoder
from isthmus.model.encoder_decoder import EncoderDecoder
from isthmus.model.encoders.recurrent import RecurrentEncoder
from isthmus.model.memory import Memory
from isthmus.model.state import DecoderState
from isthmus.nn.cache import KeyValueCache
from isthmus.nn.past import Past
from isthmus.nn.recurrent import RecurrentPast
from tests.laws.architectures import (
    COPYING,
    EVERY,
    FAST,
    MORE_CONNECTIONS,
    PARTNERS,
    TARGET_SIZE,
    Architecture,
    agree,
    agree_as_vectors,
    batch,
)

SLOTS = 13
EXPORTED = [one for one in FAST if one.connection not in MORE_CONNECTIONS or one.encoder == PARTNERS[0][0]]


class Encode(nn.Module):
    """ids and lengths -> states, mask, summary, layers."""

    def __init__(self, model: EncoderDecoder) -> None:
        super().__init__()
        self.model = model

    def forward(self, ids_BS: Tensor, lengths_B: Tensor) -> list[Tensor]:
        return flat_memory(self.model.encode(Padded(ids_BS, lengths_B)))


class Start(nn.Module):
    """states, mask, summary, layers, ids, numbers of sources -> links."""

    def __init__(self, model: EncoderDecoder) -> None:
        super().__init__()
        self.model = model

    def forward(
        self, states_BSD: Tensor, mask_BS: Tensor, summary_BD: Tensor, layers: list[Tensor], more: list[Tensor]
    ) -> list[Tensor]:
        state = self.model.start(Memory(states_BSD, mask_BS, summary_BD, tuple(layers), *more), remember=False)
        return [tensor for link in state.links for tensor in flat_link(begun(link))]


class Step(nn.Module):
    """tokens, positions, caches, links -> log-probabilities, caches, links; one row a link."""

    def __init__(self, model: EncoderDecoder, like: Sequence[Link]) -> None:
        super().__init__()
        self.model, self.like = model, like

    def forward(self, token_B1: Tensor, position_B: Tensor, past: list[Tensor], links: list[Tensor]) -> list[Tensor]:
        row_B = torch.arange(token_B1.shape[0])
        # Copies, since caches are written in place and an exported program keeps its inputs as they are.
        caches = past_from([part.clone() for part in past], self.model)
        given = iter(links)
        state = DecoderState(position_B, caches, tuple(rebuilt(given, link) for link in self.like), row_B)
        decoded, state = self.model.step(token_B1, state)
        log_probs_BTV = self.model.head.log_probs(decoded)
        return [log_probs_BTV, *flat_past(state), *(tensor for link in state.links for tensor in flat_link(link))]


def flat_memory(memory: Memory) -> list[Tensor]:
    summary = [] if memory.summary_BD is None else [memory.summary_BD]
    return [memory.states_BSD, memory.mask_BS, *summary, *memory.layers]


def flat_link(link: Link) -> list[Tensor]:
    parts = [tensor for part in link.parts for tensor in flat_link(part)]
    ids = [] if link.ids_BS is None else [link.ids_BS]
    return [link.keys, link.values, link.mask_BS, *link.written, *parts, *ids]


def rebuilt(tensors: Iterator[Tensor], like: Link) -> Link:
    """The inverse of `flat_link`, for a link that is built like another."""
    keys, values, mask_BS = next(tensors), next(tensors), next(tensors)
    written = tuple(next(tensors) for _ in like.written)
    parts = tuple(rebuilt(tensors, part) for part in like.parts)
    return Link(keys, values, mask_BS, written, parts, None if like.ids_BS is None else next(tensors))


def more_of(memory: Memory) -> list[Tensor]:
    """The ids and, where there are several sources, their numbers."""
    assert memory.ids_BS is not None
    return [memory.ids_BS, *([] if memory.source_BS is None else [memory.source_BS])]


def flat_past(state: DecoderState, slots: int = 0) -> list[Tensor]:
    """The tensors of the past, caches with room for so many positions."""
    found: list[Tensor] = []
    for part in state.past:
        if isinstance(part, KeyValueCache):
            found += [part.grown(slots).keys_BGSK, part.grown(slots).values_BGSK]
        elif isinstance(part, RecurrentPast):
            found += part.vectors
    return found


def past_from(tensors: Sequence[Tensor], model: EncoderDecoder) -> tuple[Past, ...]:
    """The inverse of `flat_past`."""
    if not isinstance(model.decoder, RecurrentDecoder):
        if not tensors:
            return ()
        if tensors[0].dim() == 2:
            return tuple(RecurrentPast((part,)) for part in tensors)
        return tuple(KeyValueCache(keys, values) for keys, values in grouped(tensors, 2))
    each = len(tensors) // len(model.decoder.layers)
    layers, fed = tensors[: each * len(model.decoder.layers)], tensors[each * len(model.decoder.layers) :]
    return tuple(RecurrentPast(tuple(part)) for part in [*grouped(layers, each), *([fed] if fed else [])])


def grouped(tensors: Sequence[Tensor], size: int) -> Iterator[Sequence[Tensor]]:
    for start in range(0, len(tensors), size):
        yield tensors[start : start + size]


def link_shapes(link: Link, rows: Any, width: Any, positions: int) -> list[dict[int, Any]]:
    """Which axes of a link vary: the row, and the source position (there are so many) where the link has one."""
    axis = link.keys.dim() - 2
    along = {axis: width} if link.keys.shape[axis] == positions else {}
    mask = {1: width} if link.mask_BS.shape[1] == positions else {}
    parts = [shape for part in link.parts for shape in link_shapes(part, rows, width, positions)]
    past = Dim("past", max=1024)
    written = [{0: rows, (a := part.dim() - 2): width if part.shape[a] == positions else past} for part in link.written]
    ids = [] if link.ids_BS is None else [{0: rows, 1: width}]
    return [{0: rows, **along}, {0: rows, **along}, {0: rows, **mask}, *written, *parts, *ids]


def begun(link: Link) -> Link:
    """The link, where what is written grows from nothing behind two slots that are not real: no export has a size that may be 0."""
    grows = any(part.shape[-2] == 0 for part in link.written)
    pad = torch.nn.functional.pad
    written = tuple(pad(part, (0, 0, 2, 0)) for part in link.written) if grows else link.written
    return replace(link, written=written, parts=tuple(begun(part) for part in link.parts))


def wide(source: Padded) -> Padded:
    """Padded to the widest of all sources here."""
    more = SLOTS - source.ids_BT.shape[1]
    return Padded(torch.nn.functional.pad(source.ids_BT, (0, more)), source.lengths_B)


def exported_encode(model: EncoderDecoder) -> nn.Module:
    """Of any width; one that loops over positions has the width that it was exported with."""
    rows = Dim("rows", max=4096)
    loops = isinstance(model.encoder, RecurrentEncoder)
    source = wide(batch(5, 3, 7)) if loops else batch(5, 3, 7)
    ids = {0: rows} if loops else {0: rows, 1: Dim("width", max=1024)}
    shapes = {"ids_BS": ids, "lengths_B": {0: rows}}
    return export(Encode(model), (source.ids_BT, source.lengths_B), dynamic_shapes=shapes).module()


def exported_start(model: EncoderDecoder, memory: Memory) -> nn.Module:
    rows, width = Dim("rows", max=4096), Dim("width", max=1024)
    wide = {0: rows, 1: width}
    shapes = {"states_BSD": wide, "mask_BS": wide, "summary_BD": {0: rows}, "layers": [wide for _ in memory.layers]}
    shapes["more"] = [wide for _ in more_of(memory)]
    assert memory.summary_BD is not None
    inputs = (memory.states_BSD, memory.mask_BS, memory.summary_BD, list(memory.layers), more_of(memory))
    return export(Start(model), inputs, dynamic_shapes=shapes).module()


def exported_step(model: EncoderDecoder, memory: Memory) -> nn.Module:
    rows, width, slots = Dim("rows", max=4096), Dim("width", max=1024), Dim("slots", max=1024)
    state = model.start(memory)
    state = replace(state, links=tuple(begun(link) for link in state.links))
    links = [
        tensor.clone() for link in state.links for tensor in flat_link(link)
    ]  # one tensor twice would be one input
    shapes = {
        "token_B1": {0: rows},
        "position_B": {0: rows},
        "past": [{0: rows, 2: slots} if part.dim() == 4 else {0: rows} for part in flat_past(state)],
        "links": [s for link in state.links for s in link_shapes(link, rows, width, memory.mask_BS.shape[1])],
    }
    inputs = (torch.full((3, 1), 2), state.position_B, flat_past(state, SLOTS), links)
    return export(Step(model, state.links), inputs, dynamic_shapes=shapes).module()


def check(architecture: Architecture) -> None:
    model, copies = architecture.model(), architecture.connection in COPYING
    memory = model.encode(batch(5, 3, 7))
    encode, start, step = exported_encode(model), exported_start(model, memory), exported_step(model, memory)
    for number, lengths in enumerate([(7, 3, 5), (2, 11), (4, 13, 2, 6, 1)]):
        source = batch(*lengths, seed=number)
        source = wide(source) if architecture.recurrent_encoder else source
        target_BT = torch.randint(4, TARGET_SIZE, (len(lengths), 5))
        memory = model.encode(source)
        for ours, other in zip(encode(source.ids_BT, source.lengths_B), flat_memory(memory), strict=True):
            (agree_as_vectors if other.is_floating_point() else agree)(ours, other)
        whole_BTV = model(source, Padded(target_BT, torch.full((len(lengths),), 5)))
        links = start(memory.states_BSD, memory.mask_BS, memory.summary_BD, list(memory.layers), more_of(memory))
        state = model.start(memory)
        past, position_B = flat_past(state, SLOTS + number), state.position_B
        count = len(past)
        for t in range(5):
            log_probs_B1V, *rest = step(target_BT[:, t : t + 1], position_B, past, links)
            # a copied word can be all but certain: so near 0, a logarithm has the error of the sum under it
            torch.testing.assert_close(log_probs_B1V[:, 0], whole_BTV[:, t], rtol=1e-5, atol=3e-6 if copies else 1e-6)
            past, links, position_B = rest[:count], rest[count:], position_B + 1


@torch.no_grad()
def test_an_exported_model_computes_the_same() -> None:
    check(FAST[0])


@pytest.mark.slow
@pytest.mark.parametrize("architecture", EXPORTED[1:], ids=str)
@torch.no_grad()
def test_every_exported_model_computes_the_same(architecture: Architecture) -> None:
    check(architecture)


def test_the_exported_ones_have_every_part() -> None:
    for part in ("encoder", "connection", "decoder", "outside"):
        assert {vars(one)[part] for one in EXPORTED} == {vars(one)[part] for one in EVERY}
