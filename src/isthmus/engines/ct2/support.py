"""Which architectures CTranslate2 can run: the exact ones, or a reason."""

from __future__ import annotations

from isthmus.core.errors import InputError
from isthmus.model.build import ModelConfig
from isthmus.model.connections.multi_head_attention import MultiHeadAttentionConfig
from isthmus.model.decoders.transformer import TransformerDecoderConfig
from isthmus.model.encoders.transformer import TransformerEncoderConfig

POSITIONS = ("sinusoidal", "learned", "rotary", "none")


def obstacle(config: ModelConfig) -> str:
    """What CTranslate2 does not have of a model; empty if it can run it as it is.

    Args:
        config: of the model.
    """
    encoder, connection, decoder = config.encoder, config.connection, config.decoder
    if not isinstance(encoder, TransformerEncoderConfig):
        return f"a {encoder.kind} encoder"
    if not isinstance(decoder, TransformerDecoderConfig):
        return f"a {decoder.kind} decoder"
    if not isinstance(connection, MultiHeadAttentionConfig):
        return f"the connection `{connection.kind}`"
    if config.sources.count > 1:
        return f"{config.sources.count} sources, each encoded by itself"
    if connection.heads != decoder.layer.heads:
        return f"{connection.heads} heads over the source beside {decoder.layer.heads} of the decoder's own"
    positions = config.embedding.positions.kind
    if positions not in POSITIONS:
        return f"{positions} positions"
    if decoder.past != "self-attention":
        return f"a decoder that looks back by {decoder.past}"
    if encoder.layer.segment is not None or decoder.layer.segment is not None:
        return "self-attention over segments"
    if encoder.layer.norm_eps != decoder.layer.norm_eps:
        return f"the norms' eps {encoder.layer.norm_eps} in the encoder and {decoder.layer.norm_eps} in the decoder"
    return ""


def check(config: ModelConfig) -> tuple[TransformerEncoderConfig, MultiHeadAttentionConfig, TransformerDecoderConfig]:
    """The three parts of a model that CTranslate2 can run.

    Args:
        config: of the model.

    Raises:
        InputError: it cannot; the error says why.
    """
    encoder, connection, decoder = config.encoder, config.connection, config.decoder
    if (
        not (reason := obstacle(config))
        and isinstance(encoder, TransformerEncoderConfig)
        and isinstance(connection, MultiHeadAttentionConfig)
        and isinstance(decoder, TransformerDecoderConfig)
    ):
        return encoder, connection, decoder
    raise InputError(
        "CTranslate2 cannot run this architecture",
        expected="Transformers whose decoder reads the source by multi-head attention, with one number of heads and one eps",
        got=reason,
        where="config.json",
        fix="use the engine `torch`, or export to ONNX",
    )
