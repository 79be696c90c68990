"""The model: an encoder, a decoder whose layers each have a connection, a head, and few verbs.

B row, S source position, T target position, V vocabulary.
"""

from __future__ import annotations

from dataclasses import replace
from typing import final

from torch import Tensor, nn

from isthmus.core.padded import Padded
from isthmus.model.decoders.decoder import Decoded, Decoder
from isthmus.model.encoders.encoder import Encoder
from isthmus.model.heads.head import Head
from isthmus.model.memory import Memory
from isthmus.model.state import DecoderState


@final
class EncoderDecoder(nn.Module):
    """source → encode → Memory → start → DecoderState → step → Decoded → head → log-probabilities.

    Args:
        encoder: from a source to a memory.
        decoder: from a memory and tokens to features.
        head: from features to log-probabilities.

    Example:
        >>> import torch
        >>> from isthmus.core.padded import Padded
        >>> from isthmus.model.transformer import Transformer
        >>> model = Transformer(vocabulary_size=16, d_model=8, n_layers=1, n_heads=2).eval()
        >>> memory = model.encode(Padded.of([[5, 6, 3], [7, 3]]))
        >>> state = model.start(memory)
        >>> decoded, state = model.step(torch.tensor([[2], [2]]), state)
        >>> model.head.log_probs(decoded).shape
        torch.Size([2, 1, 16])
    """

    def __init__(self, encoder: Encoder, decoder: Decoder, head: Head) -> None:
        super().__init__()
        self.encoder, self.decoder, self.head = encoder, decoder, head

    def encode(self, source: Padded) -> Memory:
        """Read the source once; the memory knows the ids that stand at its positions."""
        memory: Memory = self.encoder(source)
        return replace(memory, ids_BS=source.ids_BT)

    def start(self, memory: Memory, remember: bool = True) -> DecoderState:
        """The state before the first token; without `remember` one whole block will be read (training)."""
        return self.decoder.start(memory, remember)

    def step(
        self, tokens_BT: Tensor, state: DecoderState, attend_BTT: Tensor | None = None, weights: bool = False
    ) -> tuple[Decoded, DecoderState]:
        """Read one token a row, or a block of them; consumes the state.

        Args:
            tokens_BT: int64 ids.
            state: what `start`, `step` or `select` returned.
            attend_BTT: narrows which token of a whole block may see which.
            weights: whether readings carry their attention weights.

        Raises:
            StateError: the state was consumed before.
        """
        decoded, state = self.decoder(tokens_BT, state.reserve(tokens_BT.shape[1]), attend_BTT, weights)
        return decoded, state

    def read(self, source: Padded, target_in: Padded, weights: bool = False) -> tuple[Memory, Decoded]:
        """Teacher forcing: encode the source and read the whole shifted target at once."""
        memory = self.encode(source)
        attend_BTT = target_in.attend_BTT
        if target_in.attend is not None and attend_BTT is None:
            attend_BTT = target_in.mask_BT[:, None, :]
        decoded, _ = self.step(target_in.ids_BT, self.start(memory, remember=False), attend_BTT, weights)
        return memory, decoded

    def forward(self, source: Padded, target_in: Padded) -> Tensor:
        """Log-probabilities [B, T, V] of the next token at each target position."""
        _, decoded = self.read(source, target_in)
        return self.head.log_probs(decoded)
