"""The Transformer of the paper in one call."""

from __future__ import annotations

from isthmus.core.config import parse
from isthmus.model.build import ModelConfig, build
from isthmus.model.encoder_decoder import EncoderDecoder
from isthmus.model.presets import transformer_table


def Transformer(
    vocabulary_size: int | tuple[int, int],
    d_model: int = 512,
    n_layers: int | tuple[int, int] = 6,
    n_heads: int = 8,
    dropout: float = 0.1,
    feed_forward: int | None = None,
) -> EncoderDecoder:
    """An encoder-decoder Transformer with fresh weights (Vaswani et al. 2017; pre-norm).

    Args:
        vocabulary_size: pieces of a joint vocabulary with tied embeddings, or of (source, target) apart.
        d_model: size of the states.
        n_layers: layers of encoder and decoder each, or (encoder, decoder).
        n_heads: attention heads.
        dropout: probability to drop a feature.
        feed_forward: size in the middle of the feed-forward layers; 4 x d_model unless said otherwise.

    Raises:
        ConfigError: sizes that do not fit each other.
    """
    layers = (n_layers, n_layers) if isinstance(n_layers, int) else n_layers
    table = transformer_table(d_model, feed_forward or 4 * d_model, layers, n_heads, dropout)
    if isinstance(vocabulary_size, int):
        sizes = (vocabulary_size, vocabulary_size)
    else:
        sizes = vocabulary_size
        table["embedding"]["tied"] = "target"
    return build(parse(ModelConfig, table, "Transformer"), *sizes)
