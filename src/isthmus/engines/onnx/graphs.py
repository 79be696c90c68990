"""The two graphs of a model: what reads a source, and what reads one more token.

B row, S source position.
"""

from __future__ import annotations

from typing import final

import torch
from torch import Tensor, nn

from isthmus.core.padded import Padded
from isthmus.engines.onnx.flat import Layout, flat_links, flat_past
from isthmus.model.encoder_decoder import EncoderDecoder


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
        vectors = [tensor for tensor in flat_past(state.past) if tensor.dim() == 2]
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
        written = [tensor for link in state.links for tensor in link.written]
        return [log_probs_BV, looked_BS, *flat_past(state.past), *written]


def example(model: EncoderDecoder, rows: int, width: int, slots: int) -> tuple[list[Tensor], list[Tensor], Layout]:
    """A past and links of a made-up source, to export with; no two of them are one tensor, or an exporter takes them for one input.

    Args:
        model: what is exported.
        rows: how many sources.
        width: their length.
        slots: room in caches.
    """
    source = Padded.of([[4 + place % 2 for place in range(width)] for _ in range(rows)])
    with torch.no_grad():
        state = model.start(model.encode(source))
    return flat_past(state.past, slots), [each.clone() for each in flat_links(state.links)], Layout.of(state)
