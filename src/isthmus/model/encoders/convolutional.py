"""The convolutional encoder (Gehring et al. 2017, section 3.2): stacked gated convolutions, each sees its neighbours only.

B batch, S source position, D model.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, final

import torch
from pydantic import Field
from torch import nn

from isthmus.core.config import Config
from isthmus.core.errors import ConfigError, InputError
from isthmus.core.padded import Padded
from isthmus.model.blocks import PositionConfig, check_length
from isthmus.model.encoders.encoder import Encoder
from isthmus.model.memory import Memory
from isthmus.model.summary import Summary, SummaryKind
from isthmus.nn.blocks import Embedding
from isthmus.nn.convolution import GatedConvolution


class ConvolutionalEncoderConfig(Config):
    """Configuration of the convolutional encoder.

    Attributes:
        kind: names the encoder.
        layers: how many layers; each lets a position see (width - 1) / 2 more positions on either side.
        width: how many positions a kernel sees; odd.
        dropout: probability to drop a feature before each convolution.
        summary: how to pool the fixed-length vector, or `None`.
        keep_layers: whether the memory holds the states of every layer, the embedding's first.
    """

    kind: Literal["convolutional"] = "convolutional"
    layers: int = Field(default=6, ge=1)
    width: int = Field(default=3, ge=1)
    dropout: float = Field(default=0.1, ge=0, lt=1)
    summary: SummaryKind | None = None
    keep_layers: bool = False


@final
class ConvolutionalEncoder(Encoder):
    """Embeds the source and lets each layer look a little further.

    The states keep the size of the model, so that the paper's maps into and out of the layers are not needed. Its values of the
    attention are z + e, its keys z; a memory holds z for both.

    Args:
        embedding: ids to vectors.
        layers: the layers.
        summary: pools the fixed-length vector, or `None`.
        keep_layers: whether the memory holds the states of every layer, the embedding's first.
        limit: the longest source that it has positions for, or `None`.
    """

    def __init__(
        self,
        embedding: Embedding,
        layers: Sequence[GatedConvolution],
        summary: Summary | None = None,
        keep_layers: bool = False,
        limit: int | None = None,
    ) -> None:
        super().__init__()
        self.embedding, self.layers, self.summary = embedding, nn.ModuleList(layers), summary
        self.limit, self.kept = limit, len(layers) + 1 if keep_layers else 0

    def forward(self, source: Padded) -> Memory:
        """Ids [B, S] to a memory of states [B, S, D].

        Raises:
            InputError: a source is longer than there are positions, or has a mask over pairs of positions.
        """
        check_length(source.ids_BT.shape[1], self.limit, "a source")
        if source.attend_BTT is not None:
            raise InputError(
                "a convolutional encoder sees neighbours, whoever they are",
                expected="a mask [B, S] that hides positions, or none",
                got="a mask [B, S, S] over pairs of positions",
                where="source.attend",
                fix="take a Transformer encoder for masks over pairs",
            )
        mask_BS = source.mask_BT
        x_BSD = self.embedding(source.ids_BT, torch.arange(mask_BS.shape[1], device=mask_BS.device)[None])
        kept = [x_BSD]
        for layer in self.layers:
            x_BSD = layer(x_BSD, mask_BS)
            if self.kept:
                kept.append(x_BSD)
        summary_BD = None if self.summary is None else self.summary(x_BSD, mask_BS)
        return Memory(x_BSD, mask_BS, summary_BD, tuple(kept) if self.kept else ())


def build(
    config: ConvolutionalEncoderConfig, embedding: Embedding, positions: PositionConfig, d_model: int
) -> ConvolutionalEncoder:
    """Build the encoder of size `d_model` on an embedding.

    Raises:
        ConfigError: a kernel has no middle.
    """
    if config.width % 2 == 0:
        raise ConfigError(
            "a position stands in the middle of what its kernel sees",
            expected="an odd width",
            got=f"width = {config.width}",
            where="model.encoder.width",
            fix=f"take {config.width + 1}",
        )
    layers = [GatedConvolution(d_model, config.width, config.dropout) for _ in range(config.layers)]
    summary = None if config.summary is None else Summary(config.summary, d_model)
    return ConvolutionalEncoder(embedding, layers, summary, config.keep_layers, positions.limit)
