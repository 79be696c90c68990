"""The recurrent encoder: LSTMs or GRUs read the source, one way, reversed (Sutskever et al. 2014, section 3.3) or both ways
(Bahdanau et al. 2015, section 3.2).

B batch, S source position, D model.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, final

import torch
from pydantic import Field
from torch import Tensor, nn

from isthmus.core.config import Config
from isthmus.core.errors import ConfigError, InputError
from isthmus.core.padded import Padded
from isthmus.model.blocks import PositionConfig, check_length
from isthmus.model.encoders.encoder import Encoder
from isthmus.model.memory import Memory
from isthmus.model.summary import Summary, SummaryKind
from isthmus.nn.attention import projection
from isthmus.nn.blocks import Embedding
from isthmus.nn.dropout import dropout as drop
from isthmus.nn.masks import in_front
from isthmus.nn.recurrent import CellKind, RecurrentLayer


class RecurrentEncoderConfig(Config):
    """Configuration of the recurrent encoder.

    Attributes:
        kind: names the encoder.
        cell: `lstm` or `gru`.
        layers: how many layers.
        bidirectional: whether each layer reads in both directions, each with a state of d_model.
        reverse: whether the source is read from its end; the memory stands in the order of the source all the same.
        dropout: probability to drop a feature between layers.
        summary: the fixed-length vector: `final` projects the last states of all layers and directions; or how to pool the
            memory; or `None`.
    """

    kind: Literal["recurrent"] = "recurrent"
    cell: CellKind = "lstm"
    layers: int = Field(default=2, ge=1)
    bidirectional: bool = False
    reverse: bool = False
    dropout: float = Field(default=0.1, ge=0, lt=1)
    summary: Literal["final"] | SummaryKind | None = "final"


class RecurrentEncoderLayer(nn.Module):
    """Reads the real positions of a sequence onwards, and on request backwards.

    Args:
        onwards: reads from the first position to the last.
        backwards: reads from the last real position to the first, or `None`.
    """

    def __init__(self, onwards: RecurrentLayer, backwards: RecurrentLayer | None = None) -> None:
        super().__init__()
        self.onwards, self.backwards = onwards, backwards

    def forward(self, x_BSI: Tensor, turned_BS: Tensor, length_B: Tensor) -> tuple[Tensor, Tensor]:
        """Inputs to the states of each position and the last ones, directions side by side.

        Args:
            x_BSI: inputs; real positions stand first.
            turned_BS: the index of each position when the real ones are read from their end.
            length_B: how many are real.
        """
        states_BSD, _ = self.onwards.over(x_BSI)
        last_BD = _last(states_BSD, length_B)
        if self.backwards is None:
            return states_BSD, last_BD
        turned_BSD, _ = self.backwards.over(_taken(x_BSI, turned_BS))
        last_BD = torch.cat([last_BD, _last(turned_BSD, length_B)], dim=-1)
        return torch.cat([states_BSD, _taken(turned_BSD, turned_BS)], dim=-1), last_BD


@final
class RecurrentEncoder(Encoder):
    """Embeds the source and reads it layer by layer.

    Padding changes nothing: it stands behind what is real in either direction. The loop over positions is torch's own, which
    `torch.export` unrolls: an exported `encode` has one width, to which shorter sources are padded.

    Args:
        embedding: ids to vectors.
        layers: the layers.
        output: from both directions to the size of the memory, or `None` where there is one.
        summary: pools the memory, or projects the last states (a linear layer), or `None`.
        reverse: whether the source is read from its end.
        dropout: probability to drop a feature between layers.
        limit: the longest source that it has positions for, or `None`.
    """

    def __init__(
        self,
        embedding: Embedding,
        layers: Sequence[RecurrentEncoderLayer],
        output: nn.Linear | None = None,
        summary: Summary | nn.Linear | None = None,
        reverse: bool = False,
        dropout: float = 0.0,
        limit: int | None = None,
    ) -> None:
        super().__init__()
        self.embedding, self.layers, self.output, self.summary = embedding, nn.ModuleList(layers), output, summary
        self.reverse, self.dropout, self.limit = reverse, dropout, limit

    def forward(self, source: Padded) -> Memory:
        """Ids [B, S] to a memory of states [B, S, D]; positions hidden by a [B, S] mask are left out of the reading.

        Raises:
            InputError: a source is longer than there are positions, or has a mask over pairs of positions.
        """
        check_length(source.ids_BT.shape[1], self.limit, "a source")
        if source.attend_BTT is not None:
            raise InputError(
                "a recurrent encoder reads positions one after the other",
                expected="a mask [B, S] that hides positions, or none",
                got="a mask [B, S, S] over pairs of positions",
                where="source.attend",
                fix="take a Transformer encoder for masks over pairs",
            )
        mask_BS = source.mask_BT
        length_B = mask_BS.sum(dim=1)
        x_BSD = self.embedding(source.ids_BT, torch.arange(mask_BS.shape[1], device=mask_BS.device)[None])
        turned_BS = _turned(length_B, mask_BS.shape[1])
        order_BS, place_BS = (None, None) if source.attend is None else in_front(mask_BS)
        if order_BS is not None:
            x_BSD = _taken(x_BSD, order_BS)
        if self.reverse:
            x_BSD = _taken(x_BSD, turned_BS)
        last = []
        for number, layer in enumerate(self.layers):
            if number:
                x_BSD = drop(x_BSD, self.dropout, self.training)
            x_BSD, last_BD = layer(x_BSD, turned_BS, length_B)
            last.append(last_BD)
        if self.reverse:
            x_BSD = _taken(x_BSD, turned_BS)
        if place_BS is not None:
            x_BSD = _taken(x_BSD, place_BS)
        if self.output is not None:
            x_BSD = self.output(x_BSD)
        if isinstance(self.summary, Summary):
            return Memory(x_BSD, mask_BS, self.summary(x_BSD, mask_BS))
        return Memory(x_BSD, mask_BS, None if self.summary is None else self.summary(torch.cat(last, dim=-1)))


def _turned(length_B: Tensor, width: int) -> Tensor:
    """Indices [B, S] that turn the real positions round and leave padding where it is; they undo themselves."""
    position_S = torch.arange(width, device=length_B.device)[None]
    return torch.where(position_S < length_B[:, None], length_B[:, None] - 1 - position_S, position_S)


def _taken(x_BSD: Tensor, index_BS: Tensor) -> Tensor:
    return x_BSD.gather(1, index_BS[:, :, None].expand(-1, -1, x_BSD.shape[2]))


def _last(states_BSD: Tensor, length_B: Tensor) -> Tensor:
    """The state after the last real position; 0 where there is none."""
    begun_BSD = torch.nn.functional.pad(states_BSD, (0, 0, 1, 0))
    return _taken(begun_BSD, length_B[:, None])[:, 0]


def build(
    config: RecurrentEncoderConfig, embedding: Embedding, positions: PositionConfig, d_model: int
) -> RecurrentEncoder:
    """Build the encoder of size `d_model` on an embedding.

    Raises:
        ConfigError: a source that is read both ways shall be reversed.
    """
    if config.bidirectional and config.reverse:
        raise ConfigError(
            "reading both ways and reversing the source is the same model with its directions exchanged",
            expected="bidirectional or reverse",
            got="both",
            where="model.encoder",
            fix="leave out `reverse`",
        )
    ways = 2 if config.bidirectional else 1
    layers = []
    for number in range(config.layers):
        inputs = ways * d_model if number else d_model
        backwards = RecurrentLayer(config.cell, inputs, d_model) if config.bidirectional else None
        layers.append(RecurrentEncoderLayer(RecurrentLayer(config.cell, inputs, d_model), backwards))
    summary: Summary | nn.Linear | None = None
    if config.summary == "final":
        summary = projection(config.layers * ways * d_model, d_model, bias=True)
    elif config.summary is not None:
        summary = Summary(config.summary, d_model)
    output = projection(2 * d_model, d_model, bias=True) if config.bidirectional else None
    return RecurrentEncoder(embedding, layers, output, summary, config.reverse, config.dropout, positions.limit)
