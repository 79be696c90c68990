"""From a configuration to a model: dispatch over the unions, and the tying of embeddings."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal, assert_never

from pydantic import Field
from torch import nn

from isthmus.core.config import Config, parse
from isthmus.core.errors import ConfigError
from isthmus.model.blocks import PositionConfig, build_added_positions
from isthmus.model.connections.combination import CombinationConfig
from isthmus.model.connections.connection import Connection
from isthmus.model.connections.copying import CopyingConfig
from isthmus.model.connections.coverage import CoverageConfig
from isthmus.model.connections.depth import DepthConfig
from isthmus.model.connections.fixed_vector import FixedVectorConfig
from isthmus.model.connections.global_attention import GlobalAttentionConfig
from isthmus.model.connections.interactive_attention import InteractiveAttentionConfig
from isthmus.model.connections.joint_attention import JointAttentionConfig
from isthmus.model.connections.local_attention import LocalAttentionConfig
from isthmus.model.connections.multi_head_attention import MultiHeadAttentionConfig
from isthmus.model.connections.no_connection import NoConnectionConfig
from isthmus.model.connections.slots import SlotsConfig
from isthmus.model.decoders import recurrent as recurrent_decoder
from isthmus.model.decoders import transformer as transformer_decoder
from isthmus.model.decoders.decoder import Decoder
from isthmus.model.decoders.recurrent import RecurrentDecoderConfig
from isthmus.model.decoders.transformer import TransformerDecoderConfig
from isthmus.model.encoder_decoder import EncoderDecoder
from isthmus.model.encoders import convolutional
from isthmus.model.encoders import recurrent as recurrent_encoder
from isthmus.model.encoders import transformer as transformer_encoder
from isthmus.model.encoders.convolutional import ConvolutionalEncoderConfig
from isthmus.model.encoders.encoder import Encoder
from isthmus.model.encoders.recurrent import RecurrentEncoderConfig
from isthmus.model.encoders.several_sources import SeveralSources, SourcesConfig
from isthmus.model.encoders.transformer import TransformerEncoderConfig
from isthmus.model.first_state import no_summary
from isthmus.model.heads import pointer_generator, softmax
from isthmus.model.heads.head import Head
from isthmus.model.heads.pointer_generator import PointerGeneratorHeadConfig
from isthmus.model.heads.softmax import SoftmaxHeadConfig
from isthmus.model.presets import preset_table
from isthmus.model.sizes import Sizes
from isthmus.nn.blocks import Embedding, build_norm, embedding_weight

EncoderConfig = Annotated[
    TransformerEncoderConfig | RecurrentEncoderConfig | ConvolutionalEncoderConfig, Field(discriminator="kind")
]
ConnectionConfig = Annotated[
    MultiHeadAttentionConfig
    | FixedVectorConfig
    | GlobalAttentionConfig
    | LocalAttentionConfig
    | CoverageConfig
    | InteractiveAttentionConfig
    | JointAttentionConfig
    | NoConnectionConfig
    | SlotsConfig
    | DepthConfig
    | CopyingConfig
    | CombinationConfig,
    Field(discriminator="kind"),
]
DecoderConfig = Annotated[TransformerDecoderConfig | RecurrentDecoderConfig, Field(discriminator="kind")]
HeadConfig = Annotated[SoftmaxHeadConfig | PointerGeneratorHeadConfig, Field(discriminator="kind")]
Tying = Literal["all", "target", "source-target", "none"]


class EmbeddingConfig(Config):
    """Configuration of the embeddings of source and target.

    Attributes:
        tied: which tables are one: `all` three (source, target, output), `target` and output, `source-target`, or `none`.
        scale: factor on embeddings; `None` is sqrt(d_model).
        norm: a norm after adding positions (BART).
        positions: how positions reach the model.
        dropout: probability to drop a feature.
    """

    tied: Tying = "all"
    scale: float | None = None
    norm: bool = False
    positions: PositionConfig = PositionConfig()
    dropout: float = Field(default=0.1, ge=0, lt=1)


class ModelConfig(Config):
    """Configuration of a whole encoder-decoder.

    Attributes:
        d_model: size of the states.
        embedding: ids to vectors.
        sources: how many sources an example has, and whether they share an encoder.
        encoder: source to memory.
        connection: how the decoder, or each of its layers, reads the memory.
        decoder: tokens and memory to features.
        head: features to log-probabilities.
    """

    d_model: int = Field(default=512, ge=1)
    embedding: EmbeddingConfig = EmbeddingConfig()
    sources: SourcesConfig = SourcesConfig()
    encoder: EncoderConfig = TransformerEncoderConfig()
    connection: ConnectionConfig = MultiHeadAttentionConfig()
    decoder: DecoderConfig = TransformerDecoderConfig()
    head: HeadConfig = SoftmaxHeadConfig()

    @property
    def one_vocabulary(self) -> bool:
        """Whether an id must mean the same in the source and in the target: what is copied does."""
        return isinstance(self.head, PointerGeneratorHeadConfig)

    @classmethod
    def preset(cls, name: str) -> ModelConfig:
        """A configuration by name: a size (tiny, small, base, big), a paper (vaswani2017, luong2015, ...), deep-shallow, pointer-generator.

        Raises:
            ConfigError: there is no such preset.
        """
        return parse(cls, preset_table(name), f"preset {name}")

    @classmethod
    def of(cls, table: Mapping[str, Any], where: str = "model") -> ModelConfig:
        """A configuration from a table: a `preset` (if named) with the table's other fields laid over it.

        Raises:
            ConfigError: an unknown preset or field, or a wrong value.
        """
        return parse(cls, resolved_table(table), where)


def resolved_table(table: Mapping[str, Any]) -> dict[str, Any]:
    """The table of a model without its `preset`: the preset's fields, with the table's own laid over them.

    Without a preset, encoder and decoder are Transformers and the head a softmax unless they say otherwise.

    Raises:
        ConfigError: there is no such preset.
    """
    values = dict(table)
    name = values.pop("preset", None)
    transformers = {"encoder": {"kind": "transformer"}, "decoder": {"kind": "transformer"}, "head": {"kind": "softmax"}}
    return _overlaid(transformers if name is None else preset_table(str(name)), values)


def _overlaid(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """Tables merged field by field; a table of another `kind` replaces the one below."""
    merged = dict(below)
    for key, value in above.items():
        under = merged.get(key)
        same_kind = (
            isinstance(value, Mapping)
            and isinstance(under, Mapping)
            and value.get("kind", under.get("kind")) == under.get("kind")
        )
        merged[key] = _overlaid(under, value) if same_kind and isinstance(under, Mapping) else value
    return merged


def build(config: ModelConfig, source_size: int, target_size: int) -> EncoderDecoder:
    """Build a model with fresh weights, drawn from torch's generator.

    Args:
        config: what to build.
        source_size: pieces in the source vocabulary.
        target_size: pieces in the target vocabulary.

    Raises:
        ConfigError: parts that do not fit each other.
    """
    _check_fit(config)
    _check_copying(config, source_size, target_size)
    source_weight, target_weight, output_weight = _embedding_weights(config, source_size, target_size)
    encoder = _encoders(config, source_weight)
    decoder = _decoder(config, _embedding(config, target_weight), encoder.kept)
    return EncoderDecoder(encoder, decoder, _head(config, output_weight))


def _check_fit(config: ModelConfig) -> None:
    """Refuse parts that make no sense together, with the reason."""
    encoder, connection, decoder = config.encoder, config.connection, config.decoder
    if isinstance(connection, FixedVectorConfig) and encoder.summary is None:
        raise ConfigError(
            "the connection `fixed-vector` reads a summary",
            expected="model.encoder.summary",
            got="none",
            where="model",
            fix='set encoder.summary, for example to "mean"',
        )
    from_summary = isinstance(decoder, RecurrentDecoderConfig) and decoder.first_state.kind == "summary"
    if from_summary and encoder.summary is None:
        raise no_summary("none")
    if isinstance(connection, NoConnectionConfig) and not from_summary:
        raise ConfigError(
            "without a connection the source reaches the decoder through its first state alone",
            expected='a recurrent decoder with first_state.kind = "summary"',
            got=f"a {decoder.kind} decoder that sees nothing of the source",
            where="model.connection",
            fix="take a connection that reads, or such a decoder",
        )
    positions = config.embedding.positions
    looks_back = isinstance(decoder, TransformerDecoderConfig) and decoder.past == "self-attention"
    if positions.in_attention and not looks_back and not isinstance(encoder, TransformerEncoderConfig):
        raise ConfigError(
            f"{positions.kind} positions act in self-attention",
            expected="a Transformer as encoder or decoder",
            got="no self-attention anywhere",
            where="model.embedding.positions",
            fix='set kind = "none" for recurrent parts, which know the order without, or take positions that are added to embeddings',
        )
    if isinstance(decoder, TransformerDecoderConfig):
        _check_past(decoder, connection, positions)


def _check_past(decoder: TransformerDecoderConfig, connection: ConnectionConfig, positions: PositionConfig) -> None:
    """One part of a Transformer decoder looks back, and knows where it looks."""
    joint = _reads_jointly(connection)
    if joint != (decoder.past == "none"):
        raise ConfigError(
            "joint attention looks back in place of the decoder's layers, and nothing else does",
            expected='connection `joint-attention` with past = "none"',
            got=f'connection `{connection.kind}` with past = "{decoder.past}"',
            where="model.decoder.past",
            fix=f'set it to "{"none" if joint else "self-attention"}", or take another connection',
        )
    if joint and positions.in_attention:
        raise ConfigError(
            f"{positions.kind} positions act in self-attention, and joint attention does not know them",
            expected="positions that are added to embeddings",
            got=f'kind = "{positions.kind}"',
            where="model.embedding.positions",
            fix='set kind = "sinusoidal" or "learned"',
        )


def _reads_jointly(connection: ConnectionConfig) -> bool:
    """Whether it is joint attention, or reads by it."""
    match connection:
        case JointAttentionConfig():
            return True
        case DepthConfig() | SlotsConfig() | CopyingConfig() | CombinationConfig():
            return isinstance(connection.read, JointAttentionConfig)
        case _:
            return False


def _check_copying(config: ModelConfig, source_size: int, target_size: int) -> None:
    """What is copied must be offered, and mean the same on both sides."""
    if not config.one_vocabulary:
        return
    if not isinstance(config.connection, CopyingConfig):
        raise ConfigError(
            "a pointer-generator copies what its connection offers",
            expected='connection.kind = "copying"',
            got=config.connection.kind,
            where="model.connection",
            fix='put it inside: connection = { kind = "copying", read = { kind = "..." } }',
        )
    if source_size != target_size:
        raise ConfigError(
            "copying needs one vocabulary for source and target",
            expected="vocabularies of one size",
            got=f"{source_size} source and {target_size} target pieces",
            where="model.head",
            fix="use a joint vocabulary, or the head `softmax`",
        )


def _head(config: ModelConfig, weight: nn.Parameter) -> Head:
    match config.head:
        case SoftmaxHeadConfig() as head:
            return softmax.build(head, weight)
        case PointerGeneratorHeadConfig() as head:
            return pointer_generator.build(head, weight, config.d_model)
        case other:
            assert_never(other)


def _encoders(config: ModelConfig, source_weight: nn.Parameter) -> Encoder:
    """The encoder, or one for several sources."""
    count, shared = config.sources.count, config.sources.shared
    encoders = [_encoder(config, _embedding(config, source_weight)) for _ in range(1 if shared else count)]
    return encoders[0] if count == 1 else SeveralSources(encoders * count if shared else encoders)


def _encoder(config: ModelConfig, embedding: Embedding) -> Encoder:
    positions = config.embedding.positions
    match config.encoder:
        case TransformerEncoderConfig() as encoder:
            return transformer_encoder.build(encoder, embedding, positions, config.d_model)
        case RecurrentEncoderConfig() as encoder:
            return recurrent_encoder.build(encoder, embedding, positions, config.d_model)
        case ConvolutionalEncoderConfig() as encoder:
            return convolutional.build(encoder, embedding, positions, config.d_model)
        case other:
            assert_never(other)


def _decoder(config: ModelConfig, embedding: Embedding, kept: int) -> Decoder:
    positions = config.embedding.positions
    match config.decoder:
        case TransformerDecoderConfig() as decoder:
            connections = build_connections(config, decoder.layers, kept)
            return transformer_decoder.build(decoder, embedding, connections, positions, config.d_model)
        case RecurrentDecoderConfig() as decoder:
            (connection,) = build_connections(config, 1, kept)
            return recurrent_decoder.build(decoder, embedding, connection, positions, config.d_model)
        case other:
            assert_never(other)


def build_connections(config: ModelConfig, layers: int, kept: int = 0) -> list[Connection]:
    """One connection for each decoder layer, or the one of a recurrent decoder.

    Args:
        config: of the model.
        layers: how many are wanted.
        kept: how many states of its layers the encoder keeps.

    Raises:
        ConfigError: the connection does not fit its neighbours.
    """
    sizes = Sizes(d_model=config.d_model, d_memory=config.d_model, kept=kept, sources=config.sources.count)
    return config.connection.build_layers(sizes, layers)


def _embedding_weights(
    config: ModelConfig, source_size: int, target_size: int
) -> tuple[nn.Parameter, nn.Parameter, nn.Parameter]:
    """The tables of source, target and output, one object where they are tied."""
    tied = config.embedding.tied
    if tied in ("all", "source-target") and source_size != target_size:
        raise ConfigError(
            "source and target embeddings can be tied over one vocabulary only",
            expected=f"vocabularies of one size, or tied = {'target' if tied == 'all' else 'none'}",
            got=f"{source_size} source and {target_size} target pieces",
            where="model.embedding.tied",
            fix="use a joint vocabulary, or change `tied`",
        )
    target = embedding_weight(target_size, config.d_model)
    source = target if tied in ("all", "source-target") else embedding_weight(source_size, config.d_model)
    output = target if tied in ("all", "target") else embedding_weight(target_size, config.d_model)
    return source, target, output


def _embedding(config: ModelConfig, weight: nn.Parameter) -> Embedding:
    embedding = config.embedding
    return Embedding(
        weight,
        build_added_positions(embedding.positions, config.d_model),
        config.d_model**0.5 if embedding.scale is None else embedding.scale,
        _norm(config) if embedding.norm else None,
        embedding.dropout,
    )


def _norm(config: ModelConfig) -> nn.Module:
    """A norm as the decoder's layers have it; recurrent layers have none, so LayerNorm."""
    match config.decoder:
        case TransformerDecoderConfig() as decoder:
            return build_norm(decoder.layer.norm, config.d_model, decoder.layer.norm_eps)
        case RecurrentDecoderConfig():
            return build_norm("layer", config.d_model)
        case other:
            assert_never(other)
