"""The models of T5's kind: T5, T5 v1.1, mT5 and UMT5 (Raffel et al. 2020; Shazeer 2020; Xue et al. 2021; Chung et al. 2023).

RMSNorm before each sublayer, no biases, distances as positions, query-key products without a scale. T5 gates nothing and scales
the features before the head where that is tied; the later ones have gated GELU and a head of their own; UMT5 has a table of
distances in every layer, and scales like T5.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from functools import partial
from types import MappingProxyType
from typing import Any

from isthmus.core.errors import InputError
from isthmus.export.huggingface.families import not_exact
from isthmus.export.huggingface.tensors import Naming
from isthmus.model.blocks import LayerConfig
from isthmus.model.build import ModelConfig
from isthmus.model.connections.multi_head_attention import MultiHeadAttentionConfig
from isthmus.model.decoders.transformer import TransformerDecoderConfig
from isthmus.model.encoders.transformer import TransformerEncoderConfig

KINDS = ("t5", "mt5", "umt5")
GATED = ("swiglu", "geglu-tanh")

_RULES: tuple[tuple[str, str], ...] = (
    (r"^(en|de)coder\.embedding\.weight$", r"\1coder.embed_tokens.weight"),
    (r"^(en|de)coder\.final_norm\.", r"\1coder.final_layer_norm."),
    (r"^head\.weight$", "lm_head.weight"),
    (r"^(en|de)coder\.layers\.", r"\1coder.block."),
    (r"\.attention\.bias\.", ".layer.0.SelfAttention.relative_attention_bias."),
    (r"\.attention\.(q|k|v|o)(?:uery|ey|alue|utput)\.", r".layer.0.SelfAttention.\1."),
    (r"\.connection\.(q|k|v|o)(?:uery|ey|alue|utput)\.", r".layer.1.EncDecAttention.\1."),
    (r"\.around_attention\.norm\.", ".layer.0.layer_norm."),
    (r"\.around_connection\.norm\.", ".layer.1.layer_norm."),
    (r"^(encoder\.block\.\d+)\.around_feed_forward\.norm\.", r"\1.layer.1.layer_norm."),
    (r"^(decoder\.block\.\d+)\.around_feed_forward\.norm\.", r"\1.layer.2.layer_norm."),
    (r"^(encoder\.block\.\d+)\.feed_forward\.", r"\1.layer.1.DenseReluDense."),
    (r"^(decoder\.block\.\d+)\.feed_forward\.", r"\1.layer.2.DenseReluDense."),
)
_PLAIN = MappingProxyType({"inner": "wi", "outer": "wo"})
_GATED = MappingProxyType({"gate": "wi_0", "inner": "wi_1", "outer": "wo"})
_ACTIVATIONS = MappingProxyType(
    {"relu": "relu", "gelu": "gelu", "gelu_new": "gelu-tanh", "gated-gelu": "geglu-tanh", "gated-silu": "swiglu"}
)


def their_name(name: str, gated: bool) -> str:
    """The name that transformers gives a parameter of ours.

    Args:
        name: of the parameter.
        gated: whether the feed-forward layers have a gate.
    """
    for pattern, replacement in _RULES:
        name = re.sub(pattern, replacement, name)
    found = re.search(r"\.DenseReluDense\.(\w+)\.", name)
    if found is None:
        return name
    part = (_GATED if gated else _PLAIN)[found[1]]
    return name.replace(f".{found[1]}.", f".{part}.")


def naming(config: ModelConfig) -> Naming:
    """How T5 and its kin name their weights, for a model of ours."""
    gated = isinstance(config.decoder, TransformerDecoderConfig) and config.decoder.layer.activation in GATED
    tables = ("encoder.embed_tokens.weight", "decoder.embed_tokens.weight", "lm_head.weight")
    return Naming(partial(their_name, gated=gated), "shared.weight", tables)


def our_config(values: Mapping[str, Any], head: bool) -> ModelConfig:
    """The configuration of our model that computes what theirs does.

    Args:
        values: its `config.json`.
        head: whether there is a head of its own, which is not the table of the embeddings.

    Raises:
        InputError: something in it has no counterpart.
    """
    d_model, kind = int(values["d_model"]), str(values["model_type"])
    dropout = values.get("dropout_rate", 0.1)
    layer = {
        "heads": values["num_heads"],
        "head_size": values["d_kv"],
        "attention_scale": 1.0,
        "feed_forward": values["d_ff"],
        "activation": _activation(values),
        "norm": "rms",
        "norm_eps": values.get("layer_norm_epsilon", 1e-6),
        "bias": False,
        "dropout": dropout,
        "attention_dropout": dropout,
        "activation_dropout": dropout,
    }
    layers = int(values["num_layers"])
    deep = values.get("num_decoder_layers")
    return ModelConfig.of(
        {
            "d_model": d_model,
            "embedding": {
                "tied": "source-target" if head else "all",
                "scale": 1.0,
                "positions": {
                    "kind": "t5",
                    "buckets": values.get("relative_attention_num_buckets", 32),
                    "farthest": values.get("relative_attention_max_distance", 128),
                    "shared": kind != "umt5",
                },
                "dropout": dropout,
            },
            "encoder": {"kind": "transformer", "layers": layers, "layer": layer},
            "connection": {
                "kind": "multi-head-attention",
                "heads": values["num_heads"],
                "head_size": values["d_kv"],
                "scale": 1.0,
                "bias": False,
                "dropout": dropout,
            },
            "decoder": {"kind": "transformer", "layers": layers if deep is None else deep, "layer": layer},
            "head": {"scale": d_model**-0.5 if scaled(values) else 1.0},
        },
        "config.json",
    )


def scaled(values: Mapping[str, Any]) -> bool:
    """Whether features are scaled before the head: in T5 and UMT5 where the head is tied, as `config.json` says or does not deny."""
    said = values.get("scale_decoder_outputs")
    if said is not None:
        return bool(said)
    return values["model_type"] != "mt5" and values.get("tie_word_embeddings") is not False


def _activation(values: Mapping[str, Any]) -> str:
    said = str(values.get("feed_forward_proj", "relu" if values["model_type"] == "t5" else "gated-gelu"))
    if said not in _ACTIVATIONS:
        raise InputError(
            "the activation has no counterpart here",
            expected=", ".join(sorted(_ACTIVATIONS)),
            got=repr(said),
            where="config.json: feed_forward_proj",
            fix="import another model",
        )
    return _ACTIVATIONS[said]


def kind_of(config: ModelConfig) -> str:
    """`t5` or `umt5`, whichever computes exactly what a model of this configuration does.

    Raises:
        InputError: neither does; the error says what stands in the way.
    """
    for what, got in _obstacles(config):
        raise not_exact(what, got)
    return "t5" if config.embedding.positions.shared else "umt5"


def their_config(config: ModelConfig, size: int) -> dict[str, Any]:
    """The fields of `config.json` that say what is computed.

    Args:
        config: one that `kind_of` accepts.
        size: of the vocabulary.
    """
    encoder, decoder = _stacks(config)
    layer, positions = decoder.layer, config.embedding.positions
    named = {ours: theirs for theirs, ours in _ACTIVATIONS.items()}
    return {
        "vocab_size": size,
        "d_model": config.d_model,
        "d_kv": _head_size(layer, config),
        "d_ff": layer.feed_forward,
        "num_layers": encoder.layers,
        "num_decoder_layers": decoder.layers,
        "num_heads": layer.heads,
        "relative_attention_num_buckets": positions.buckets,
        "relative_attention_max_distance": positions.farthest,
        "dropout_rate": layer.dropout,
        "layer_norm_epsilon": layer.norm_eps,
        "feed_forward_proj": named[layer.activation],
        "tie_word_embeddings": config.head.scale != 1.0,
    }


def _obstacles(config: ModelConfig) -> Iterator[tuple[str, str]]:
    """What is expected and what is there, wherever neither T5 nor UMT5 fits."""
    connection = config.connection
    if not isinstance(connection, MultiHeadAttentionConfig) or config.sources.count > 1:
        yield "multi-head attention to one source as connection", f"{connection.kind}, {config.sources.count} source(s)"
        return
    encoder, decoder = _stacks(config)
    layer = decoder.layer
    size = _head_size(layer, config)
    scale = config.d_model**-0.5
    shared = config.embedding.positions.shared
    same = ("heads", "head_size", "feed_forward", "activation", "norm_eps")
    for what, good, got in (
        (
            "encoder and decoder alike",
            encoder.layer.model_dump(include={*same}) == layer.model_dump(include={*same}),
            "others",
        ),
        ("RMSNorm", {encoder.layer.norm, layer.norm} == {"rms"}, f"{encoder.layer.norm} and {layer.norm}"),
        ("pre-norm", encoder.layer.norm_first and layer.norm_first, "post-norm"),
        ("a norm after the last layer", encoder.final_norm is not False and decoder.final_norm is not False, "none"),
        ("no biases", not (encoder.layer.bias or layer.bias or connection.bias or config.head.bias), "biases"),
        (
            "query-key products as they are",
            (encoder.layer.attention_scale, layer.attention_scale, connection.scale) == (1.0, 1.0, 1.0),
            f"scales {encoder.layer.attention_scale}, {layer.attention_scale}, {connection.scale}",
        ),
        (
            "a key head for each query head",
            {encoder.layer.key_value_heads, layer.key_value_heads, connection.key_value_heads} <= {None, layer.heads},
            "groups",
        ),
        (
            "a connection with the heads of the layers",
            (connection.heads, connection.head_size or config.d_model // connection.heads) == (layer.heads, size),
            f"{connection.heads} heads",
        ),
        (
            f"one of {', '.join(sorted(_ACTIVATIONS.values()))}",
            layer.activation in _ACTIVATIONS.values(),
            layer.activation,
        ),
        ("embeddings as they are", config.embedding.scale == 1.0 and not config.embedding.norm, "scaled or normed"),
        ("one table for source, target and output", config.embedding.tied == "all", f"tied = {config.embedding.tied}"),
        (
            "features over sqrt(d_model) before the head, or (in T5) as they are",
            math.isclose(config.head.scale, scale) or (shared and config.head.scale == 1.0),
            f"head.scale = {config.head.scale}",
        ),
        ("attention to earlier tokens", decoder.past == "self-attention", decoder.past),
        (
            "no more layers in the decoder than in the encoder: the cache of transformers has no room for more",
            decoder.layers <= encoder.layers,
            f"{decoder.layers} and {encoder.layers}",
        ),
        ("no segments", encoder.layer.segment is None and layer.segment is None, "segments"),
    ):
        if not good:
            yield what, got


def _stacks(config: ModelConfig) -> tuple[TransformerEncoderConfig, TransformerDecoderConfig]:
    encoder, decoder = config.encoder, config.decoder
    if not isinstance(encoder, TransformerEncoderConfig) or not isinstance(decoder, TransformerDecoderConfig):
        raise not_exact("a Transformer on both sides", f"encoder {encoder.kind}, decoder {decoder.kind}")
    return encoder, decoder


def _head_size(layer: LayerConfig, config: ModelConfig) -> int:
    return layer.head_size or config.d_model // layer.heads
