"""The models of BART's kind in transformers, which differ in norms and positions only, and which of them computes what ours does."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Literal

from isthmus.core.errors import InputError
from isthmus.model.blocks import LayerConfig, PositionConfig
from isthmus.model.build import ModelConfig
from isthmus.model.connections.multi_head_attention import MultiHeadAttentionConfig
from isthmus.model.decoders.transformer import TransformerDecoderConfig
from isthmus.model.encoders.transformer import TransformerEncoderConfig
from isthmus.nn.positions import Waves

ACTIVATIONS = MappingProxyType({"relu": "relu", "gelu": "gelu", "silu": "silu", "gelu-tanh": "gelu_new"})
NORM_EPS = 1e-5


@dataclass(frozen=True, slots=True)
class Family:
    """What tells one of these models from the others.

    Attributes:
        model_type: its name in `config.json`.
        architecture: the class with a head.
        norm_first: pre-norm with a norm after the last layer, or post-norm.
        positions: sinusoidal ones are a formula, learned ones begin at row 2 of their table.
        waves: how the waves of sinusoidal positions are spread.
        embedding_norm: whether embeddings are normed.
        bias: whether each word has a bias.
    """

    model_type: str
    architecture: str
    norm_first: bool
    positions: Literal["sinusoidal", "learned"]
    waves: Waves = "even"
    embedding_norm: bool = False
    bias: bool = True


FAMILIES = (
    Family("marian", "MarianMTModel", norm_first=False, positions="sinusoidal"),
    Family("pegasus", "PegasusForConditionalGeneration", norm_first=True, positions="sinusoidal"),
    Family("bart", "BartForConditionalGeneration", norm_first=False, positions="learned", embedding_norm=True),
    Family("mbart", "MBartForConditionalGeneration", norm_first=True, positions="learned", embedding_norm=True),
    Family(
        "m2m_100",
        "M2M100ForConditionalGeneration",
        norm_first=True,
        positions="sinusoidal",
        waves="inclusive",
        bias=False,
    ),
)
LEARNED_OFFSET = 2


def family_of(config: ModelConfig, pad: int = 0) -> Family:
    """The model of transformers that computes exactly what a model of this configuration does.

    Args:
        config: of the model.
        pad: the id of padding, behind which M2M100 begins to count positions.

    Raises:
        InputError: none does; the error says what stands in the way.
    """
    for what, got in _obstacles(config, pad):
        raise not_exact(what, got)
    decoder, positions = config.decoder, config.embedding.positions
    norm_first = isinstance(decoder, TransformerDecoderConfig) and decoder.layer.norm_first
    for family in FAMILIES:
        if (
            (family.norm_first, family.positions) == (norm_first, positions.kind)
            and (family.positions == "learned" or family.waves == positions.waves)
            and family.embedding_norm == config.embedding.norm
        ):
            return family
    raise not_exact(
        "Marian, BART, mBART, M2M100 or Pegasus in norms and positions",
        f"{'pre' if norm_first else 'post'}-norm, {positions.kind} positions, "
        f"{'a' if config.embedding.norm else 'no'} norm of embeddings",
    )


def family_named(model_type: str) -> Family:
    """The family of a model type, which must be one of theirs."""
    return next(family for family in FAMILIES if family.model_type == model_type)


def _obstacles(config: ModelConfig, pad: int) -> Iterator[tuple[str, str]]:
    """What is expected and what is there, wherever none of the families fits."""
    encoder, connection, decoder = config.encoder, config.connection, config.decoder
    if not isinstance(encoder, TransformerEncoderConfig) or not isinstance(decoder, TransformerDecoderConfig):
        yield "a Transformer on both sides", f"encoder {encoder.kind}, decoder {decoder.kind}"
        return
    if not isinstance(connection, MultiHeadAttentionConfig) or config.sources.count > 1:
        yield "multi-head attention to one source as connection", f"{connection.kind}, {config.sources.count} source(s)"
        return
    yield from _layer_obstacles(encoder.layer, config.d_model, "encoder")
    yield from _layer_obstacles(decoder.layer, config.d_model, "decoder")
    heads, groups = connection.heads, connection.key_value_heads or connection.heads
    size = connection.head_size or config.d_model // heads
    if (heads, groups, size * heads) != (decoder.layer.heads, heads, config.d_model) or not connection.bias:
        yield "a connection with the heads of the decoder's layers, and biases", repr(connection)
    if connection.scale is not None and not math.isclose(connection.scale, size**-0.5):
        yield "query-key products over sqrt(head size)", f"connection.scale = {connection.scale}"
    if decoder.past != "self-attention":
        yield "a decoder that attends to earlier tokens", f"decoder.past = {decoder.past}"
    for name, one, other in (
        ("norm_first", encoder.layer.norm_first, decoder.layer.norm_first),
        ("activation", encoder.layer.activation, decoder.layer.activation),
    ):
        if one != other:
            yield f"encoder and decoder alike in {name}", f"{one} and {other}"
    for side, part in (("encoder", encoder), ("decoder", decoder)):
        if part.final_norm not in (None, part.layer.norm_first):
            yield "a norm after the last layer with pre-norm only", f"{side}.final_norm = {part.final_norm}"
    if not any(math.isclose(_scale(config), good) for good in (1.0, math.sqrt(config.d_model))):
        yield "embeddings scaled by 1 or sqrt(d_model)", f"embedding.scale = {config.embedding.scale}"
    if config.head.scale != 1.0:
        yield "features that go to the head as they are", f"head.scale = {config.head.scale}"
    positions = config.embedding.positions
    offset = pad + 1 if positions.waves == "inclusive" else 0
    if positions.kind == "sinusoidal" and (config.d_model % 2 or positions.offset != offset):
        yield f"sinusoidal positions from {offset} on, of an even size", f"{positions!r}, size {config.d_model}"


def _layer_obstacles(layer: LayerConfig, d_model: int, side: str) -> Iterator[tuple[str, str]]:
    size = layer.head_size or d_model // layer.heads
    for what, good, got in (
        ("LayerNorm", layer.norm == "layer", f"norm = {layer.norm}"),
        ("whole sequences", layer.segment is None, f"segment = {layer.segment}"),
        (f"norm_eps = {NORM_EPS}", layer.norm_eps == NORM_EPS, f"{layer.norm_eps}"),
        ("projections with biases", layer.bias, "bias = false"),
        ("heads of d_model / heads", size * layer.heads == d_model, f"heads = {layer.heads} of size {size}"),
        (
            "a key head for each query head",
            layer.key_value_heads in (None, layer.heads),
            f"key_value_heads = {layer.key_value_heads}",
        ),
        (
            "query-key products over sqrt(head size)",
            layer.attention_scale is None or math.isclose(layer.attention_scale, size**-0.5),
            f"attention_scale = {layer.attention_scale}",
        ),
        (f"one of {', '.join(ACTIVATIONS)}", layer.activation in ACTIVATIONS, layer.activation),
    ):
        if not good:
            yield what, f"{side}: {got}"


def _scale(config: ModelConfig) -> float:
    scale = config.embedding.scale
    return math.sqrt(config.d_model) if scale is None else scale


def their_config(config: ModelConfig, size: int) -> dict[str, Any]:
    """The fields of `config.json` that say what is computed.

    Args:
        config: one that a family computes.
        size: of the vocabulary.
    """
    encoder, decoder, positions = config.encoder, config.decoder, config.embedding.positions
    if not isinstance(encoder, TransformerEncoderConfig) or not isinstance(decoder, TransformerDecoderConfig):
        raise not_exact("a Transformer on both sides", f"encoder {encoder.kind}, decoder {decoder.kind}")
    layer = decoder.layer
    return {
        "vocab_size": size,
        "d_model": config.d_model,
        "encoder_layers": encoder.layers,
        "decoder_layers": decoder.layers,
        "encoder_attention_heads": encoder.layer.heads,
        "decoder_attention_heads": layer.heads,
        "encoder_ffn_dim": encoder.layer.feed_forward,
        "decoder_ffn_dim": layer.feed_forward,
        "activation_function": ACTIVATIONS[layer.activation],
        "dropout": layer.dropout,
        "attention_dropout": layer.attention_dropout,
        "activation_dropout": layer.activation_dropout,
        "scale_embedding": math.isclose(_scale(config), math.sqrt(config.d_model)) and config.d_model != 1,
        "max_position_embeddings": positions.maximum,
        "tie_word_embeddings": config.embedding.tied == "all",
    }


def our_config(family: Family, values: Mapping[str, Any]) -> ModelConfig:
    """The configuration of our model that computes what theirs does.

    Args:
        family: of the model.
        values: its `config.json`.

    Raises:
        InputError: something in it has no counterpart.
    """
    activation = values.get("activation_function", "relu")
    named = {**{theirs: ours for ours, theirs in ACTIVATIONS.items()}, "swish": "silu"}
    if activation not in named:
        raise InputError(
            "the activation has no counterpart here",
            expected=", ".join(sorted(named)),
            got=repr(activation),
            where="config.json: activation_function",
            fix="import another model",
        )
    d_model = int(values["d_model"])
    layer = {
        "activation": named[activation],
        "norm_first": family.norm_first,
        "dropout": values.get("dropout", 0.1),
        "attention_dropout": values.get("attention_dropout", 0.0),
        "activation_dropout": values.get("activation_dropout", 0.0),
    }
    sides = {
        side: {
            "kind": "transformer",
            "layers": values[f"{side}_layers"],
            "layer": {
                **layer,
                "heads": values[f"{side}_attention_heads"],
                "feed_forward": values[f"{side}_ffn_dim"],
            },
        }
        for side in ("encoder", "decoder")
    }
    return ModelConfig.of(
        {
            "d_model": d_model,
            "embedding": {
                "tied": _tied(values),
                "scale": math.sqrt(d_model) if values.get("scale_embedding", False) else 1.0,
                "norm": family.embedding_norm,
                "positions": _positions(family, values).model_dump(mode="json"),
                "dropout": values.get("dropout", 0.1),
            },
            **sides,
            "connection": {
                "kind": "multi-head-attention",
                "heads": values["decoder_attention_heads"],
                "dropout": values.get("attention_dropout", 0.0),
            },
            "head": {"bias": family.bias},
        },
        "config.json",
    )


def _tied(values: Mapping[str, Any]) -> str:
    tied = values.get("tie_word_embeddings", True)
    if values.get("share_encoder_decoder_embeddings", True):
        return "all" if tied else "none"
    return "target" if tied else "none"


def _positions(family: Family, values: Mapping[str, Any]) -> PositionConfig:
    offset = LEARNED_OFFSET
    if family.positions == "sinusoidal":
        offset = int(values["pad_token_id"]) + 1 if family.waves == "inclusive" else 0
    return PositionConfig(
        kind=family.positions, maximum=int(values["max_position_embeddings"]), offset=offset, waves=family.waves
    )


def not_exact(expected: str, got: str) -> InputError:
    """The error that refuses an export which would not be exact."""
    return InputError(
        "Hugging Face transformers has no class that computes exactly what this model does",
        expected=expected,
        got=got,
        where="model",
        fix="export it to another format, or train such a model",
    )
