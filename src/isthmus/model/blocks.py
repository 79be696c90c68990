"""The configuration that Transformer layers share, and the parts built from it."""

from __future__ import annotations

from typing import Literal

from torch import nn

from isthmus.core.config import Config
from isthmus.core.errors import ConfigError
from isthmus.nn.attention import HeadSizes, SelfAttention
from isthmus.nn.blocks import Activation, FeedForward, NormKind, Residual, build_norm
from isthmus.nn.positions import Learned, Rotary, Sinusoidal

PositionKind = Literal["sinusoidal", "learned", "rotary", "none"]


class LayerConfig(Config):
    """Configuration of a Transformer layer, in the encoder or the decoder.

    Attributes:
        heads: query heads of the self-attention.
        key_value_heads: key/value heads; `None` is `heads`.
        head_size: size of a head; `None` is d_model / heads.
        attention_scale: factor on query-key products; `None` is 1/sqrt(head size).
        feed_forward: size in the middle of the feed-forward layer.
        activation: its non-linearity.
        norm: the kind of norm.
        norm_eps: the small number inside the norm.
        norm_first: pre-norm (`true`) or post-norm.
        bias: whether projections add biases.
        dropout: probability to drop a feature of a sublayer's output.
        attention_dropout: probability to drop an attention weight.
        activation_dropout: probability to drop a feature in the middle of the feed-forward layer.
    """

    heads: int = 8
    key_value_heads: int | None = None
    head_size: int | None = None
    attention_scale: float | None = None
    feed_forward: int = 2048
    activation: Activation = "relu"
    norm: NormKind = "layer"
    norm_eps: float = 1e-5
    norm_first: bool = True
    bias: bool = True
    dropout: float = 0.1
    attention_dropout: float = 0.0
    activation_dropout: float = 0.0


class PositionConfig(Config):
    """Configuration of positions.

    Attributes:
        kind: how a position reaches the model.
        maximum: how many positions there are; longer inputs are an error.
        offset: the table row of position 0.
        base: of the rotary waves.
    """

    kind: PositionKind = "sinusoidal"
    maximum: int = 1024
    offset: int = 0
    base: float = 10000.0


def build_added_positions(config: PositionConfig, d_model: int) -> nn.Module | None:
    """What is added to embeddings, or `None`."""
    if config.kind == "sinusoidal":
        return Sinusoidal(config.maximum, d_model, config.offset)
    return Learned(config.maximum, d_model, config.offset) if config.kind == "learned" else None


def build_self_attention(config: LayerConfig, positions: PositionConfig, d_model: int) -> SelfAttention:
    """Self-attention of a layer.

    Raises:
        ConfigError: heads do not divide as they must.
    """
    sizes = head_sizes(config, d_model)
    rotary = Rotary(positions.maximum, sizes.head_size, positions.base) if positions.kind == "rotary" else None
    return SelfAttention(sizes, config.attention_dropout, rotary)


def head_sizes(config: LayerConfig, d_model: int) -> HeadSizes:
    """The sizes of a layer's heads.

    Raises:
        ConfigError: heads do not divide as they must.
    """
    groups = config.key_value_heads or config.heads
    if config.head_size is None and d_model % config.heads:
        raise ConfigError(
            "heads must divide d_model, or head_size be set",
            expected=f"a divisor of {d_model}",
            got=f"heads = {config.heads}",
            where="model",
            fix="change heads, or set head_size",
        )
    if config.heads % groups:
        raise ConfigError(
            "key_value_heads must divide heads",
            expected=f"a divisor of {config.heads}",
            got=f"key_value_heads = {groups}",
            where="model",
            fix="change key_value_heads",
        )
    return HeadSizes(
        d_model, config.heads, groups, config.head_size or d_model // config.heads, config.attention_scale, config.bias
    )


def build_feed_forward(config: LayerConfig, d_model: int) -> FeedForward:
    """The feed-forward part of a layer."""
    return FeedForward(d_model, config.feed_forward, config.activation, config.activation_dropout, config.bias)


def build_residual(config: LayerConfig, d_model: int) -> Residual:
    """The residual connection around a sublayer."""
    return Residual(build_norm(config.norm, d_model, config.norm_eps), config.dropout, config.norm_first)


def build_final_norm(config: LayerConfig, wanted: bool | None, d_model: int) -> nn.Module | None:
    """The norm after the last layer; unless said otherwise, pre-norm has one and post-norm has none."""
    wanted = config.norm_first if wanted is None else wanted
    return build_norm(config.norm, d_model, config.norm_eps) if wanted else None
