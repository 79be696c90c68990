"""The configuration that Transformer layers share, and the parts built from it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, assert_never

from pydantic import Field
from torch import nn

from isthmus.core.config import Config
from isthmus.core.errors import ConfigError, InputError
from isthmus.nn.attention import HeadSizes, SelfAttention
from isthmus.nn.bias import Alibi, RelativeAttention, RelativeBias, ScoreBias
from isthmus.nn.blocks import Activation, FeedForward, NormKind, Residual, build_norm
from isthmus.nn.positions import Learned, Rotary, Sinusoidal, Waves
from isthmus.nn.segments import Segments

PositionKind = Literal["sinusoidal", "learned", "rotary", "alibi", "t5", "transformer-xl", "none"]


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
        stochastic_depth: probability to leave a sublayer of the last layer out for an example; layers below have it in
            proportion to their height (Huang et al. 2016, section 3).
        segment: positions that are read together; longer sequences are divided (Dai et al. 2019, section 3.2). `None`: all.
        memory: how many positions before its segment one sees, without gradients; `None` is as many as a segment has.
    """

    heads: int = Field(default=8, ge=1)
    key_value_heads: int | None = Field(default=None, ge=1)
    head_size: int | None = Field(default=None, ge=1)
    attention_scale: float | None = None
    feed_forward: int = Field(default=2048, ge=1)
    activation: Activation = "relu"
    norm: NormKind = "layer"
    norm_eps: float = Field(default=1e-5, gt=0)
    norm_first: bool = True
    bias: bool = True
    dropout: float = Field(default=0.1, ge=0, lt=1)
    attention_dropout: float = Field(default=0.0, ge=0, lt=1)
    activation_dropout: float = Field(default=0.0, ge=0, lt=1)
    stochastic_depth: float = Field(default=0.0, ge=0, lt=1)
    segment: int | None = Field(default=None, ge=1)
    memory: int | None = Field(default=None, ge=0)

    @property
    def segments(self) -> Segments | None:
        """How sequences are divided, if they are."""
        if self.segment is None:
            return None
        return Segments(self.segment, self.segment if self.memory is None else self.memory)


class PositionConfig(Config):
    """Configuration of positions.

    Attributes:
        kind: how a position reaches the model: added to embeddings (`sinusoidal`, `learned`), turned into queries and keys
            (`rotary`), or as the distance of query and key (`alibi`, `t5`, `transformer-xl`).
        maximum: how many positions there are; longer inputs are an error. Distances and `none` have no limit.
        offset: the table row of position 0.
        base: of the rotary waves.
        waves: how the lengths of sinusoidal waves are spread: as in the paper, or with both ends (`inclusive`, as in M2M100).
        buckets: of T5's distances.
        farthest: where the last of them begins, about.
        shared: whether the layers of a stack share T5's table (not so in UMT5), or Transformer-XL's u and v.
    """

    kind: PositionKind = "sinusoidal"
    maximum: int = Field(default=1024, ge=1)
    offset: int = Field(default=0, ge=0)
    base: float = Field(default=10000.0, gt=1)
    waves: Waves = "even"
    buckets: int = Field(default=32, ge=4, multiple_of=2)
    farthest: int = Field(default=128, ge=2)
    shared: bool = True

    @property
    def limit(self) -> int | None:
        """The longest sequence, or `None` if any length goes."""
        return self.maximum if self.kind in ("sinusoidal", "learned", "rotary") else None

    @property
    def in_attention(self) -> bool:
        """Whether positions act inside of self-attention, so that there must be some."""
        return self.kind in ("rotary", "alibi", "t5", "transformer-xl")


def build_added_positions(config: PositionConfig, d_model: int) -> nn.Module | None:
    """What is added to embeddings, or `None`."""
    if config.kind == "sinusoidal":
        return Sinusoidal(config.maximum, d_model, config.offset, config.waves)
    return Learned(config.maximum, d_model, config.offset) if config.kind == "learned" else None


def build_self_attentions(
    config: LayerConfig, positions: PositionConfig, d_model: int, layers: int, causal: bool
) -> list[SelfAttention]:
    """Self-attention of every layer of a stack, which may share what they know of positions.

    Raises:
        ConfigError: heads do not divide as they must, or positions do not fit them.
    """
    shape = HeadShape(config.heads, config.key_value_heads, config.head_size)
    sizes = head_sizes(shape, d_model, config.attention_scale, config.bias, "model, layer")
    if positions.kind == "rotary" and sizes.head_size % 2:
        raise ConfigError(
            "rotary positions turn pairs of features",
            expected="an even head size",
            got=f"head_size = {sizes.head_size}",
            where="model, layer",
            fix="change heads or head_size, or take other positions",
        )
    segments = config.segments
    if segments is None and config.memory is not None:
        raise ConfigError(
            "what is remembered stands before a segment",
            expected="model, layer.segment",
            got=f"memory = {config.memory} without it",
            where="model, layer.memory",
            fix="set `segment`, or leave out `memory`",
        )
    reach = positions.maximum if segments is None else max(positions.maximum, segments.length + segments.memory)
    rotary = Rotary(reach, sizes.head_size, positions.base) if positions.kind == "rotary" else None
    biases = build_score_biases(positions, sizes, layers, causal)
    return [SelfAttention(sizes, config.attention_dropout, rotary, bias, segments) for bias in biases]


def build_score_biases(
    positions: PositionConfig, sizes: HeadSizes, layers: int, causal: bool
) -> Sequence[ScoreBias | None]:
    """What distances add to the scores of each layer.

    Raises:
        ConfigError: T5's last bucket begins before the wide ones do.
    """
    match positions.kind:
        case "sinusoidal" | "learned" | "rotary" | "none":
            return [None] * layers
        case "alibi":
            return [Alibi(sizes.heads) for _ in range(layers)]
        case "t5":
            single = positions.buckets // (2 if causal else 4)
            if positions.farthest <= single:
                raise ConfigError(
                    "T5's wide buckets begin where the single distances end",
                    expected=f"farthest above {single}, the single distances of {positions.buckets} buckets",
                    got=f"farthest = {positions.farthest}",
                    where="model.embedding.positions",
                    fix="raise `farthest`, or take fewer buckets",
                )
            count = 1 if positions.shared else layers
            tables = [RelativeBias(sizes.heads, positions.buckets, positions.farthest, causal) for _ in range(count)]
            return tables * (layers // count)
        case "transformer-xl":
            size = (sizes.d_model, sizes.heads, sizes.head_size)
            first = RelativeAttention(size, sizes.factor, causal)
            terms = first.terms if positions.shared else None
            return [first, *(RelativeAttention(size, sizes.factor, causal, terms) for _ in range(layers - 1))]
        case other:
            assert_never(other)


@dataclass(frozen=True, slots=True)
class HeadShape:
    """Heads as a configuration gives them.

    Attributes:
        heads: query heads.
        key_value_heads: key/value heads; `None` is `heads`.
        head_size: size of a head; `None` is d_model / heads.
    """

    heads: int
    key_value_heads: int | None
    head_size: int | None


class MultiHeadConfig(Config):
    """Configuration of attention in several heads.

    Attributes:
        heads: query heads H.
        key_value_heads: key/value heads G; `None` is H.
        head_size: K; `None` is d_model / H.
        scale: factor on query-key products; `None` is 1/sqrt(K).
        bias: whether the projections add a bias.
        dropout: probability to drop an attention weight.
    """

    heads: int = Field(default=8, ge=1)
    key_value_heads: int | None = Field(default=None, ge=1)
    head_size: int | None = Field(default=None, ge=1)
    scale: float | None = None
    bias: bool = True
    dropout: float = Field(default=0.0, ge=0, lt=1)

    def sizes(self, d_model: int) -> HeadSizes:
        """The sizes of a connection of this kind, checked.

        Raises:
            ConfigError: heads do not divide as they must.
        """
        shape = HeadShape(self.heads, self.key_value_heads, self.head_size)
        return head_sizes(shape, d_model, self.scale, self.bias, "model.connection")


def head_sizes(shape: HeadShape, d_model: int, scale: float | None, bias: bool, where: str) -> HeadSizes:
    """The sizes of multi-head attention, checked.

    Raises:
        ConfigError: heads do not divide as they must.
    """
    groups = shape.key_value_heads or shape.heads
    if shape.head_size is None and d_model % shape.heads:
        raise ConfigError(
            "heads must divide d_model, or head_size be set",
            expected=f"a divisor of {d_model}",
            got=f"heads = {shape.heads}",
            where=where,
            fix="change heads, or set head_size",
        )
    if shape.heads % groups:
        raise ConfigError(
            "key_value_heads must divide heads",
            expected=f"a divisor of {shape.heads}",
            got=f"key_value_heads = {groups}",
            where=where,
            fix="change key_value_heads",
        )
    return HeadSizes(d_model, shape.heads, groups, shape.head_size or d_model // shape.heads, scale, bias)


def check_length(length: int, limit: int | None, what: str) -> None:
    """Refuse a sequence that is longer than there are positions.

    Raises:
        InputError: it is longer.
    """
    if limit is not None and length > limit:
        raise InputError(
            f"{what} is longer than the model has positions",
            expected=f"at most {limit} pieces",
            got=f"{length} pieces",
            where=what,
            fix="divide it, or train a model with a larger embedding.positions.maximum",
        )


def build_feed_forward(config: LayerConfig, d_model: int) -> FeedForward:
    """The feed-forward part of a layer."""
    return FeedForward(d_model, config.feed_forward, config.activation, config.activation_dropout, config.bias)


def heights(layers: int) -> list[float]:
    """How high each layer of a stack stands, up to 1."""
    return [(number + 1) / layers for number in range(layers)]


def build_residual(config: LayerConfig, d_model: int, height: float = 1.0) -> Residual:
    """The residual connection around a sublayer of a layer at a height between 0 and 1 (the last)."""
    norm = build_norm(config.norm, d_model, config.norm_eps)
    return Residual(norm, config.dropout, config.norm_first, config.stochastic_depth * height)


def build_final_norm(config: LayerConfig, wanted: bool | None, d_model: int) -> nn.Module | None:
    """The norm after the last layer; unless said otherwise, pre-norm has one and post-norm has none."""
    wanted = config.norm_first if wanted is None else wanted
    return build_norm(config.norm, d_model, config.norm_eps) if wanted else None
