"""The Transformer decoder (Vaswani et al. 2017, section 3.1): causal self-attention, a connection to the memory, feed-forward.

B row, T target position, D model.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, final

import torch
from pydantic import Field
from torch import Tensor, nn

from isthmus.core.config import Config
from isthmus.core.errors import StateError
from isthmus.model.blocks import (
    LayerConfig,
    PositionConfig,
    build_feed_forward,
    build_final_norm,
    build_residual,
    build_self_attention,
    check_length,
)
from isthmus.model.connections.connection import Connection, Link, Reading
from isthmus.model.decoders.decoder import Decoded, Decoder
from isthmus.model.memory import Memory
from isthmus.model.state import DecoderState
from isthmus.nn.attention import SelfAttention, causal_allowed
from isthmus.nn.blocks import Embedding, FeedForward, Residual
from isthmus.nn.cache import KeyValueCache


class TransformerDecoderConfig(Config):
    """Configuration of the Transformer decoder.

    Attributes:
        kind: names the decoder.
        layers: how many layers.
        layer: what each is.
        final_norm: a norm after the last layer; `None`: with pre-norm.
    """

    kind: Literal["transformer"] = "transformer"
    layers: int = Field(default=6, ge=1)
    layer: LayerConfig = LayerConfig()
    final_norm: bool | None = None


@dataclass(frozen=True, slots=True)
class Block:
    """What every layer must know of the block of tokens that is read.

    Attributes:
        allowed: bool, broadcastable to [B, 1, T, S]: which token may see which.
        position_BT: where the tokens stand, [B or 1, T].
        position_B: where the first of them stands.
        weights: whether readings carry their weights.
    """

    allowed: Tensor
    position_BT: Tensor
    position_B: Tensor
    weights: bool


class TransformerDecoderLayer(nn.Module):
    """x + SelfAttention(x), x + Connection(x, memory), x + FeedForward(x), each with its norm.

    Args:
        attention: the self-attention.
        connection: reads the memory.
        feed_forward: the feed-forward layer.
        around: the residuals around the three.
    """

    def __init__(
        self,
        attention: SelfAttention,
        connection: Connection,
        feed_forward: FeedForward,
        around: tuple[Residual, Residual, Residual],
    ) -> None:
        super().__init__()
        self.attention, self.connection, self.feed_forward = attention, connection, feed_forward
        self.around_attention, self.around_connection, self.around_feed_forward = around

    def forward(
        self, x_BTD: Tensor, block: Block, cache: KeyValueCache | None, link: Link
    ) -> tuple[Tensor, Reading, Link]:
        """States to states [B, T, D], with what the connection read; the cache is written in place."""
        seen_BTD, _ = self.attention(self.around_attention.enter(x_BTD), block.allowed, block.position_BT, cache)
        x_BTD = self.around_attention.leave(x_BTD, seen_BTD)
        query_BTD = self.around_connection.enter(x_BTD)
        reading, link = self.connection(query_BTD, link, block.position_B, block.weights)
        x_BTD = self.around_connection.leave(x_BTD, reading.context_BTD)
        x_BTD = self.around_feed_forward.leave(x_BTD, self.feed_forward(self.around_feed_forward.enter(x_BTD)))
        return x_BTD, reading, link


@final
class TransformerDecoder(Decoder):
    """Embeds the tokens so far; each layer looks back at them, then across to the memory.

    Args:
        embedding: ids to vectors.
        layers: the layers, each with its connection.
        final_norm: after the last layer, or `None`.
        limit: the longest target that it has positions for, or `None`.
    """

    def __init__(
        self,
        embedding: Embedding,
        layers: Sequence[TransformerDecoderLayer],
        final_norm: nn.Module | None = None,
        limit: int | None = None,
    ) -> None:
        super().__init__()
        self.limit = limit
        self.embedding, self.layers, self.final_norm = embedding, nn.ModuleList(layers), final_norm

    @property
    def _layers(self) -> list[TransformerDecoderLayer]:
        return [layer for layer in self.layers if isinstance(layer, TransformerDecoderLayer)]

    def start(self, memory: Memory, remember: bool = True) -> DecoderState:
        """Prepare each layer's link, and empty caches where more than one block will be read."""
        rows = memory.mask_BS.shape[0]
        caches = (
            KeyValueCache.empty(rows, s.key_value_heads, s.head_size, memory.states_BSD)
            for s in (layer.attention.sizes for layer in self._layers)
        )
        row_B = torch.arange(rows, device=memory.mask_BS.device)
        links = tuple(layer.connection.prepare(memory) for layer in self._layers)
        return DecoderState(torch.zeros_like(row_B), tuple(caches) if remember else (), links, row_B, remember)

    def forward(
        self, tokens_BT: Tensor, state: DecoderState, attend_BTT: Tensor | None = None, weights: bool = False
    ) -> tuple[Decoded, DecoderState]:
        """Read a block of tokens [B, T] to features [B, T, D].

        Raises:
            InputError: there are fewer positions than tokens.
            StateError: a state that remembers nothing is stepped twice, or a mask of one's own meets a remembered past.
        """
        _check_block(tokens_BT.shape[1], state, attend_BTT)
        check_length(state.used, self.limit, "a target")
        offset_T = torch.arange(tokens_BT.shape[1], device=tokens_BT.device)
        position_BT = state.position_B[:, None] + offset_T if state.remember else offset_T[None]
        past: tuple[KeyValueCache | None, ...] = state.past_of(KeyValueCache) or (None,) * len(self.layers)
        allowed = causal_allowed(tokens_BT.shape[1], past[0], position_BT, attend_BTT)
        block = Block(allowed, position_BT, state.position_B, weights)
        x_BTD = self.embedding(tokens_BT, position_BT)
        readings, links = [], []
        for layer, cache, link in zip(self._layers, past, state.links_by_row(), strict=True):
            x_BTD, reading, new_link = layer(x_BTD, block, cache, link)
            readings.append(reading)
            links.append(new_link)
        if self.final_norm is not None:
            x_BTD = self.final_norm(x_BTD)
        return Decoded(x_BTD, tuple(readings)), state.after(tokens_BT.shape[1], tuple(links))


def _check_block(block: int, state: DecoderState, attend_BTT: Tensor | None) -> None:
    if not state.remember and state.used > block:
        raise StateError(
            "a state that remembers nothing reads one block",
            expected="one step",
            got="a second one",
            fix="start with remember=True to decode step by step",
        )
    if state.remember and attend_BTT is not None:
        raise StateError(
            "a target mask of one's own is for one whole block",
            expected="a state of `start(memory, remember=False)`",
            got="one that remembers",
            fix="use `model.read(source, target_in)`",
        )


def build(
    config: TransformerDecoderConfig,
    embedding: Embedding,
    connection: Callable[[], Connection],
    positions: PositionConfig,
    d_model: int,
) -> TransformerDecoder:
    """Build the decoder of size `d_model`; `connection` makes one connection a layer."""
    layers = [
        TransformerDecoderLayer(
            build_self_attention(config.layer, positions, d_model),
            connection(),
            build_feed_forward(config.layer, d_model),
            (
                build_residual(config.layer, d_model, height),
                build_residual(config.layer, d_model, height),
                build_residual(config.layer, d_model, height),
            ),
        )
        for height in ((number + 1) / config.layers for number in range(config.layers))
    ]
    final_norm = build_final_norm(config.layer, config.final_norm, d_model)
    return TransformerDecoder(embedding, layers, final_norm, positions.limit)
