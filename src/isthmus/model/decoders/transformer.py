"""The Transformer decoder (Vaswani et al. 2017, section 3.1): causal self-attention, a connection to the memory, feed-forward.

In place of self-attention a layer may have a simpler simple recurrent unit (Kim et al. 2019), or nothing, where the connection looks
back as well.

B row, T target position, D model.
"""

from __future__ import annotations

from collections.abc import Sequence
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
    build_self_attentions,
    check_length,
    heights,
)
from isthmus.model.connections.connection import Connection, Link, Reading
from isthmus.model.decoders.decoder import Decoded, Decoder
from isthmus.model.memory import Memory
from isthmus.model.state import DecoderState
from isthmus.nn.attention import SelfAttention, causal_allowed
from isthmus.nn.blocks import Embedding, FeedForward, Residual
from isthmus.nn.cache import KeyValueCache
from isthmus.nn.past import Past
from isthmus.nn.recompute import recomputed
from isthmus.nn.recurrent import RecurrentPast
from isthmus.nn.ssru import SimplerRecurrentUnit


class TransformerDecoderConfig(Config):
    """Configuration of the Transformer decoder.

    Attributes:
        kind: names the decoder.
        layers: how many layers.
        layer: what each is.
        past: how a layer looks back at earlier tokens: `self-attention`; `ssru`, whose steps never get slower; or `none`, for the
            connection `joint-attention`, which does it. Without self-attention the fields of `layer` about it mean nothing.
        final_norm: a norm after the last layer; `None`: with pre-norm.
        recompute: whether the inside of each layer is computed again in the backward pass instead of being kept.
    """

    kind: Literal["transformer"] = "transformer"
    layers: int = Field(default=6, ge=1)
    layer: LayerConfig = LayerConfig()
    past: Literal["self-attention", "ssru", "none"] = "self-attention"
    final_norm: bool | None = None
    recompute: bool = False


@dataclass(frozen=True, slots=True)
class Block:
    """What every layer must know of the block of tokens that is read.

    Attributes:
        allowed: bool, broadcastable to [B, 1, T, S]: which token may see which; `None` where nothing attends.
        position_BT: where the tokens stand, [B or 1, T].
        position_B: where the first of them stands.
        weights: whether readings carry their weights.
    """

    allowed: Tensor | None
    position_BT: Tensor
    position_B: Tensor
    weights: bool


class TransformerDecoderLayer(nn.Module):
    """x + SelfAttention(x), x + Connection(x, memory), x + FeedForward(x), each with its norm.

    Args:
        attention: the self-attention, or what stands in its place; `None` for nothing.
        connection: reads the memory.
        feed_forward: the feed-forward layer.
        around: the residuals around the three.
    """

    def __init__(
        self,
        attention: SelfAttention | SimplerRecurrentUnit | None,
        connection: Connection,
        feed_forward: FeedForward,
        around: tuple[Residual, Residual, Residual],
    ) -> None:
        super().__init__()
        self.attention, self.connection, self.feed_forward = attention, connection, feed_forward
        self.around_attention = None if attention is None else around[0]
        self.around_connection, self.around_feed_forward = around[1:]

    def forward(
        self, x_BTD: Tensor, block: Block, past: Past | None, link: Link
    ) -> tuple[Tensor, Reading, Link, Past | None]:
        """States to states [B, T, D], with what the connection read, its link, and the past (a cache is written in place)."""
        if self.attention is not None and self.around_attention is not None:
            seen_BTD, past = self.attention(self.around_attention.enter(x_BTD), block.allowed, block.position_BT, past)
            x_BTD = self.around_attention.leave(x_BTD, seen_BTD)
        query_BTD = self.around_connection.enter(x_BTD)
        reading, link = self.connection(query_BTD, link, block.position_B, block.weights)
        x_BTD = self.around_connection.leave(x_BTD, reading.context_BTD)
        x_BTD = self.around_feed_forward.leave(x_BTD, self.feed_forward(self.around_feed_forward.enter(x_BTD)))
        return x_BTD, reading, link, past


@final
class TransformerDecoder(Decoder):
    """Embeds the tokens so far; each layer looks back at them, then across to the memory.

    Args:
        embedding: ids to vectors.
        layers: the layers, each with its connection.
        final_norm: after the last layer, or `None`.
        limit: the longest target that it has positions for, or `None`.
        recompute: whether layers are computed again in the backward pass instead of being kept.
    """

    def __init__(
        self,
        embedding: Embedding,
        layers: Sequence[TransformerDecoderLayer],
        final_norm: nn.Module | None = None,
        limit: int | None = None,
        recompute: bool = False,
    ) -> None:
        super().__init__()
        self.limit, self.recompute = limit, recompute
        self.embedding, self.layers, self.final_norm = embedding, nn.ModuleList(layers), final_norm

    @property
    def _layers(self) -> list[TransformerDecoderLayer]:
        return [layer for layer in self.layers if isinstance(layer, TransformerDecoderLayer)]

    def start(self, memory: Memory, remember: bool = True) -> DecoderState:
        """Prepare each layer's link, and an empty past where more than one block will be read."""
        rows = memory.mask_BS.shape[0]
        attentions = [layer.attention for layer in self._layers if layer.attention is not None]
        past = tuple(attention.empty_past(rows, memory.states_BSD) for attention in attentions)
        row_B = torch.arange(rows, device=memory.mask_BS.device)
        links = tuple(layer.connection.prepare(memory) for layer in self._layers)
        return DecoderState(torch.zeros_like(row_B), past if remember else (), links, row_B, remember)

    def forward(
        self, tokens_BT: Tensor, state: DecoderState, attend_BTT: Tensor | None = None, weights: bool = False
    ) -> tuple[Decoded, DecoderState]:
        """Read a block of tokens [B, T] to features [B, T, D].

        Raises:
            InputError: there are fewer positions than tokens.
            StateError: a state that remembers nothing is stepped twice, a mask of one's own meets a remembered past or layers without
                attention, or the state is another decoder's.
        """
        _check_block(tokens_BT.shape[1], state, attend_BTT)
        check_length(state.used, self.limit, "a target")
        offset_T = torch.arange(tokens_BT.shape[1], device=tokens_BT.device)
        position_BT = state.position_B[:, None] + offset_T if state.remember else offset_T[None]
        past, allowed = self._past(state, position_BT, attend_BTT)
        block = Block(allowed, position_BT, state.position_B, weights)
        x_BTD = self.embedding(tokens_BT, position_BT)
        readings, links, behind, again = [], [], [], self.recompute and not state.remember
        for layer, part, link in zip(self._layers, past, state.links_by_row(), strict=True):
            x_BTD, reading, new_link, new_part = recomputed(again, layer, x_BTD, block, part, link)
            readings.append(reading)
            links.append(new_link)
            behind.append(new_part)
        if self.final_norm is not None:
            x_BTD = self.final_norm(x_BTD)
        kept = tuple(part for part in behind if part is not None)
        return Decoded(x_BTD, tuple(readings)), state.after(tokens_BT.shape[1], tuple(links), kept)

    def _past(
        self, state: DecoderState, position_BT: Tensor, attend_BTT: Tensor | None
    ) -> tuple[tuple[Past | None, ...], Tensor | None]:
        """Each layer's past, if one is remembered, and which token of the block may see which position (for attention)."""
        nothing = (None,) * len(self.layers)
        attention = self._layers[0].attention
        if isinstance(attention, SelfAttention):
            caches = state.past_of(KeyValueCache)
            cache = caches[0] if caches else None
            allowed = causal_allowed(position_BT.shape[1], cache, position_BT, attend_BTT, attention.segments)
            return caches or nothing, allowed
        if attend_BTT is not None:
            raise StateError(
                "layers without self-attention read tokens one after the other",
                expected="no mask over target positions",
                got="one",
                where="target_in.attend",
                fix='set decoder.past = "self-attention", and a connection that reads the source alone, for masks of your own',
            )
        return state.past_of(RecurrentPast) or nothing, None


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


def _looking_back(
    config: TransformerDecoderConfig, positions: PositionConfig, d_model: int
) -> Sequence[SelfAttention | SimplerRecurrentUnit | None]:
    """The self-attention of each layer, or what stands in its place."""
    if config.past == "none":
        return [None] * config.layers
    if config.past == "ssru":
        return [SimplerRecurrentUnit(d_model) for _ in range(config.layers)]
    return build_self_attentions(config.layer, positions, d_model, config.layers, causal=True)


def build(
    config: TransformerDecoderConfig,
    embedding: Embedding,
    connections: Sequence[Connection],
    positions: PositionConfig,
    d_model: int,
) -> TransformerDecoder:
    """Build the decoder of size `d_model`; each layer with its connection."""
    layers = [
        TransformerDecoderLayer(
            attention,
            connection,
            build_feed_forward(config.layer, d_model),
            (
                build_residual(config.layer, d_model, height),
                build_residual(config.layer, d_model, height),
                build_residual(config.layer, d_model, height),
            ),
        )
        for attention, connection, height in zip(
            _looking_back(config, positions, d_model), connections, heights(config.layers), strict=True
        )
    ]
    final_norm = build_final_norm(config.layer, config.final_norm, d_model)
    return TransformerDecoder(embedding, layers, final_norm, positions.limit, config.recompute)
