"""The Transformer encoder (Vaswani et al. 2017, section 3.1): every position attends to every other, layer by layer.

B batch, S source position, D model.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, final

import torch
from pydantic import Field
from torch import Tensor, nn

from isthmus.core.config import Config
from isthmus.core.padded import Padded
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
from isthmus.model.encoders.encoder import Encoder
from isthmus.model.memory import Memory
from isthmus.model.summary import Summary, SummaryKind
from isthmus.nn.attention import SelfAttention
from isthmus.nn.blocks import Embedding, FeedForward, Residual
from isthmus.nn.recompute import recomputed


class TransformerEncoderConfig(Config):
    """Configuration of the Transformer encoder.

    Attributes:
        kind: names the encoder.
        layers: how many layers.
        layer: what each is.
        final_norm: a norm after the last layer; `None`: with pre-norm.
        summary: how to pool the fixed-length vector, or `None`.
        keep_layers: whether the memory holds the states of every layer, the embedding's first.
        recompute: whether the inside of each layer is computed again in the backward pass instead of being kept.
    """

    kind: Literal["transformer"] = "transformer"
    layers: int = Field(default=6, ge=1)
    layer: LayerConfig = LayerConfig()
    final_norm: bool | None = None
    summary: SummaryKind | None = None
    keep_layers: bool = False
    recompute: bool = False


class TransformerEncoderLayer(nn.Module):
    """x + SelfAttention(x), then x + FeedForward(x), each with its norm.

    Args:
        attention: the self-attention.
        feed_forward: the feed-forward layer.
        around: the residuals around the two.
    """

    def __init__(self, attention: SelfAttention, feed_forward: FeedForward, around: tuple[Residual, Residual]) -> None:
        super().__init__()
        self.attention, self.feed_forward = attention, feed_forward
        self.around_attention, self.around_feed_forward = around

    def forward(self, x_BSD: Tensor, allowed: Tensor, position_BS: Tensor) -> Tensor:
        """States to states [B, S, D]; `allowed` broadcasts to [B, 1, S, S]."""
        read_BSD, _ = self.attention(self.around_attention.enter(x_BSD), allowed, position_BS)
        x_BSD = self.around_attention.leave(x_BSD, read_BSD)
        return self.around_feed_forward.leave(x_BSD, self.feed_forward(self.around_feed_forward.enter(x_BSD)))


@final
class TransformerEncoder(Encoder):
    """Embeds the source and lets its positions attend to each other.

    Args:
        embedding: ids to vectors.
        layers: the layers.
        final_norm: after the last layer, or `None`.
        summary: pools the fixed-length vector, or `None`.
        keep_layers: whether the memory holds the states of every layer, the embedding's first.
        limit: the longest source that it has positions for, or `None`.
        recompute: whether layers are computed again in the backward pass instead of being kept.
    """

    def __init__(
        self,
        embedding: Embedding,
        layers: Sequence[TransformerEncoderLayer],
        final_norm: nn.Module | None = None,
        summary: Summary | None = None,
        keep_layers: bool = False,
        limit: int | None = None,
        recompute: bool = False,
    ) -> None:
        super().__init__()
        self.embedding, self.layers, self.final_norm = embedding, nn.ModuleList(layers), final_norm
        self.summary, self.limit, self.recompute = summary, limit, recompute
        self.kept = len(layers) + 1 if keep_layers else 0

    def forward(self, source: Padded) -> Memory:
        """Ids [B, S] to a memory of states [B, S, D].

        Raises:
            InputError: a source is longer than there are positions.
        """
        check_length(source.ids_BT.shape[1], self.limit, "a source")
        mask_BS = source.mask_BT
        allowed = mask_BS[:, None, None, :]
        if source.attend_BTT is not None:
            allowed = allowed & source.attend_BTT[:, None]
        position_1S = torch.arange(mask_BS.shape[1], device=mask_BS.device)[None]
        x_BSD = self.embedding(source.ids_BT, position_1S)
        kept = [x_BSD]
        for layer in self.layers:
            x_BSD = recomputed(self.recompute, layer, x_BSD, allowed, position_1S)
            if self.kept:
                kept.append(x_BSD)
        if self.final_norm is not None:
            x_BSD = self.final_norm(x_BSD)
        summary_BD = None if self.summary is None else self.summary(x_BSD, mask_BS)
        return Memory(x_BSD, mask_BS, summary_BD, tuple(kept) if self.kept else ())


def build(
    config: TransformerEncoderConfig, embedding: Embedding, positions: PositionConfig, d_model: int
) -> TransformerEncoder:
    """Build the encoder of size `d_model` on an embedding."""
    attentions = build_self_attentions(config.layer, positions, d_model, config.layers, causal=False)
    layers = [
        TransformerEncoderLayer(
            attention,
            build_feed_forward(config.layer, d_model),
            (build_residual(config.layer, d_model, height), build_residual(config.layer, d_model, height)),
        )
        for attention, height in zip(attentions, heights(config.layers), strict=True)
    ]
    final_norm = build_final_norm(config.layer, config.final_norm, d_model)
    summary = None if config.summary is None else Summary(config.summary, d_model)
    keep, limit = config.keep_layers, positions.limit
    return TransformerEncoder(embedding, layers, final_norm, summary, keep, limit, config.recompute)
