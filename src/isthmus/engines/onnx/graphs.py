"""The two graphs of a model: what reads a source, and what reads one more token.

B row, S source position.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor, nn

from isthmus.core.padded import Padded
from isthmus.engines.onnx.flat import Layout, flat_links, flat_past
from isthmus.model.encoder_decoder import EncoderDecoder

VECTOR = 2
"""The axes of what a recurrent layer remembers, row and size; a cache has four."""


@final
class Begin(nn.Module):
    """ids and lengths -> links, and the vectors that decoding begins with; caches begin empty, so they are left out.

    Args:
        model: what is exported.
    """

    def __init__(self, model: EncoderDecoder) -> None:
        super().__init__()
        self.model = model

    def forward(self, ids_BS: Tensor, lengths_B: Tensor) -> list[Tensor]:
        """The tensors of the links, then those of the past that are no caches."""
        state = self.model.start(self.model.encode(Padded(ids_BS, lengths_B)))
        vectors = [tensor for tensor in flat_past(state.past) if tensor.dim() == VECTOR]
        return [*flat_links(state.links), *vectors]


@final
class Step(nn.Module):
    """token, position, past, links (one a row) -> log-probabilities, attention, past, links that were written into.

    Args:
        model: what is exported.
        layout: of its states.
        looks: whose weights are the attention: the layer, and its head; without one the mean over the layer's heads.
    """

    def __init__(self, model: EncoderDecoder, layout: Layout, looks: tuple[int, int | None] = (-1, None)) -> None:
        super().__init__()
        self.model, self.layout, self.looks = model, layout, looks

    def forward(self, token_B1: Tensor, position_B: Tensor, past: list[Tensor], links: list[Tensor]) -> list[Tensor]:
        """One position of every row; without attention weights, zeros stand for them."""
        state = self.layout.state_of(position_B, past, links)
        decoded, state = self.model.step(token_B1, state, weights=True)
        log_probs_BV = self.model.head.log_probs(decoded)[:, -1]
        looked_BS = decoded.looked(*self.looks)
        if looked_BS is None:
            looked_BS = links[2].to(log_probs_BV.dtype) * 0
        found = flat_links(state.links)
        return [log_probs_BV, looked_BS, *flat_past(state.past), *(found[place] for place in self.layout.written)]


@dataclass(frozen=True, slots=True)
class Example:
    """A state in the middle of an output, to export with.

    Attributes:
        position_B: where its rows stand.
        past: what is remembered.
        links: the links; no two of them are one tensor, or an exporter takes them for one input.
        layout: what past and links make up.
    """

    position_B: Tensor
    past: list[Tensor]
    links: list[Tensor]
    layout: Layout

    @classmethod
    def of(cls, model: EncoderDecoder, rows: int, width: int, steps: int, slots: int) -> Example:
        """The state after some tokens about a made-up source.

        Args:
            model: what is exported.
            rows: how many sources.
            width: their length.
            steps: how many tokens; with fewer than two, an exporter takes what grows for what does not.
            slots: room in caches.
        """
        source = Padded.of([[4 + place % 2 for place in range(width)] for _ in range(rows)])
        with torch.no_grad():
            state = model.start(model.encode(source))
            for _ in range(steps):
                _, state = model.step(torch.full((rows, 1), 4), state)
        links = [each.clone() for each in flat_links(state.links)]
        return cls(state.position_B, flat_past(state.past, slots), links, Layout.of(state))
