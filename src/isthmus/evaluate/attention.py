"""What a decoder read while it was told a whole output: the weights of every layer and head, and the probabilities.

H heads, T target position, S what is read, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from isthmus.core.padded import Padded
from isthmus.generate.alignment_head import AlignmentHead
from isthmus.model.encoder_decoder import EncoderDecoder
from isthmus.model.memory import Memory


@dataclass(frozen=True, slots=True)
class Look:
    """One source and one output, as a model reads them.

    Attributes:
        memory: the encoder's output, of one row.
        layers: for each layer of the decoder where each head looked for each piece, [H, T, S]; `None` where it has no weights.
        copies: for each layer the distribution over source positions to copy from, [T, S]; `None` where it offers none.
        log_probs_TV: of what may come at each place of the output.
    """

    memory: Memory
    layers: tuple[Tensor | None, ...]
    copies: tuple[Tensor | None, ...]
    log_probs_TV: Tensor

    def head(self, chosen: AlignmentHead | None) -> Tensor | None:
        """The weights [T, S] of the chosen head; without one the mean over the heads of the last layer, if that has any."""
        layer = len(self.layers) - 1 if chosen is None else chosen.layer
        heads_HTS = self.layers[layer] if 0 <= layer < len(self.layers) else None
        if heads_HTS is None:
            return None
        if chosen is None or chosen.head is None:
            return heads_HTS.mean(dim=0)
        return heads_HTS[chosen.head] if chosen.head < heads_HTS.shape[0] else None


@torch.inference_mode()
def look(model: EncoderDecoder, start: Sequence[int], source: Sequence[int], target: Sequence[int]) -> Look:
    """Read a given output piece by piece.

    Args:
        model: in evaluation mode.
        start: the ids that outputs begin with.
        source: ids of the source.
        target: ids of the output, with its end if it came to one; at least one.
    """
    device = next(model.parameters()).device
    target_in = Padded.of([[*start, *target][:-1]])
    memory, decoded = model.read(Padded.of([list(source)]).to(str(device)), target_in.to(str(device)), weights=True)
    first = len(start) - 1
    log_probs_TV = model.head.log_probs(decoded)[0, first:]
    layers, copies = [], []
    for reading in decoded.readings:
        weights_BHTS, copy_BTS = reading.weights_BHTS, reading.copy_BTS
        layers.append(None if weights_BHTS is None else weights_BHTS[0, :, first:].float().cpu())
        copies.append(None if copy_BTS is None else copy_BTS[0, first:].float().cpu())
    return Look(memory.to("cpu"), tuple(layers), tuple(copies), log_probs_TV.float().cpu())
