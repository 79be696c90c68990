"""A model as CTranslate2's specification, built directly from its parts.

T position, D model.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final

import torch
from ctranslate2.specs import attention_spec, common_spec, transformer_spec
from torch import Tensor

from isthmus.core.errors import InputError
from isthmus.data.codec import Codec
from isthmus.engines.ct2.layout import GATED, layout
from isthmus.engines.ct2.support import check
from isthmus.model.blocks import LayerConfig, PositionConfig
from isthmus.model.build import ModelConfig
from isthmus.model.connections.multi_head_attention import MultiHeadAttentionConfig
from isthmus.model.decoders.transformer import TransformerDecoderConfig
from isthmus.model.encoder_decoder import EncoderDecoder
from isthmus.model.encoders.transformer import TransformerEncoderConfig
from isthmus.nn.positions import sinusoid_table

ACTIVATIONS: Final[Mapping[str, Any]] = MappingProxyType(
    {
        "relu": common_spec.Activation.RELU,
        "gelu": common_spec.Activation.GELU,
        "gelu-tanh": common_spec.Activation.GELUTanh,
        "geglu-tanh": common_spec.Activation.GELUTanh,
        "silu": common_spec.Activation.SWISH,
        "swiglu": common_spec.Activation.SWISH,
    }
)


def specification(model: EncoderDecoder, config: ModelConfig, codec: Codec) -> transformer_spec.TransformerSpec:
    """The specification with all weights, validated; not yet quantised.

    Args:
        model: the weights.
        config: how the model is built.
        codec: its vocabularies, and what the decoder reads first.

    Raises:
        InputError: CTranslate2 cannot run the model.
    """
    encoder, connection, decoder = check(config)
    spec = transformer_spec.TransformerSpec(_encoder(encoder, config), _decoder(decoder, connection, config))
    _fill(spec, model, config)
    source, target = codec.source.vocabulary, codec.target.vocabulary
    spec.register_source_vocabulary(list(source.pieces))
    spec.register_target_vocabulary(list(target.pieces))
    spec.config.unk_token, spec.config.eos_token = target.piece(target.unk), target.piece(target.eos)
    spec.config.bos_token = spec.config.decoder_start_token = target.piece(codec.config.frame.start)
    spec.config.layer_norm_epsilon = decoder.layer.norm_eps
    spec.validate()
    return spec


def _encoder(encoder: TransformerEncoderConfig, config: ModelConfig) -> Any:
    layer = encoder.layer
    spec = transformer_spec.TransformerEncoderSpec(
        encoder.layers,
        layer.heads,
        **_alike(encoder, config),
    )
    _around(spec, config, layer)
    return spec


def _decoder(decoder: TransformerDecoderConfig, connection: MultiHeadAttentionConfig, config: ModelConfig) -> Any:
    layer = decoder.layer
    spec = transformer_spec.TransformerDecoderSpec(
        decoder.layers,
        layer.heads,
        **_alike(decoder, config),
        alignment_heads=0,
    )
    for one in spec.layer:
        one.attention = attention_spec.MultiHeadAttentionSpec(
            rms_norm=layer.norm == "rms",
            num_heads_kv=_grouped(connection.heads, connection.key_value_heads),
            head_dim=connection.head_size,
        )
        if connection.scale is not None:
            one.attention.queries_scale = connection.scale
    if config.head.scale != 1.0:
        spec.scale_outputs = config.head.scale
    _around(spec, config, layer)
    return spec


def _alike(side: TransformerEncoderConfig | TransformerDecoderConfig, config: ModelConfig) -> dict[str, Any]:
    """What the specifications of both sides are told by the same names."""
    positions, layer = config.embedding.positions, side.layer
    return {
        "pre_norm": True,
        "no_final_norm": not _final_norm(side),
        "activation": ACTIVATIONS[layer.activation],
        "layernorm_embedding": config.embedding.norm,
        "ffn_glu": layer.activation in GATED,
        "rms_norm": layer.norm == "rms",
        "num_heads_kv": _grouped(layer.heads, layer.key_value_heads),
        "head_dim": layer.head_size,
        "rotary_dim": 0 if positions.kind == "rotary" else None,
        "rotary_interleave": False,
        "rotary_base": positions.base,
    }


def _around(spec: Any, config: ModelConfig, layer: LayerConfig) -> None:
    """What both sides have alike. The place of the norms is set afterwards: a post-norm model may have a final norm too."""
    embedding = config.embedding
    spec.pre_norm = layer.norm_first
    spec.scale_embeddings = config.d_model**0.5 if embedding.scale is None else embedding.scale
    if embedding.norm:
        decoder = check(config)[2]
        spec.layernorm_embedding = common_spec.LayerNormSpec(rms_norm=decoder.layer.norm == "rms")
    if layer.attention_scale is not None:
        for one in spec.layer:
            one.self_attention.queries_scale = layer.attention_scale
    if (table_TD := _position_table(embedding.positions, config.d_model)) is not None:
        spec.position_encodings.encodings = table_TD


def _position_table(positions: PositionConfig, d_model: int) -> Tensor | None:
    """Positions that are no weights. CTranslate2 adds its own waves where it finds none, so that no positions are zeros."""
    if positions.kind == "sinusoidal":
        return sinusoid_table(positions.maximum + positions.offset, d_model, positions.waves)[positions.offset :]
    return torch.zeros(positions.maximum, d_model) if positions.kind == "none" else None


def _final_norm(part: TransformerEncoderConfig | TransformerDecoderConfig) -> bool:
    return part.layer.norm_first if part.final_norm is None else part.final_norm


def _grouped(heads: int, key_value_heads: int | None) -> int | None:
    """How many heads keys and values have, where it is another number."""
    return None if key_value_heads in (None, heads) else key_value_heads


def _fill(spec: Any, model: EncoderDecoder, config: ModelConfig) -> None:
    """Put every weight where the layout says."""
    from ctranslate2.specs.model_spec import index_spec

    own = {name: one.detach().float().cpu() for name, one in model.named_parameters(remove_duplicate=False)}
    slots = layout(config)
    if left := own.keys() - {name for slot in slots for name in slot.parameters}:
        unread = [name for name in sorted(left) if not name.startswith("encoder.summary.")]
        if unread:
            raise InputError(
                "a weight has no place in CTranslate2's specification",
                expected=f"the {len(own) - len(left)} weights of a Transformer that it can run",
                got=unread[0],
                where="model.safetensors",
                fix="use the engine `torch`, or export to ONNX",
            )
    for slot in slots:
        scope, attribute = slot.variable.rsplit("/", 1)
        value = torch.cat([own[name] for name in slot.parameters])[slot.skipped :]
        vars(index_spec(spec, scope))[attribute] = value.contiguous()
