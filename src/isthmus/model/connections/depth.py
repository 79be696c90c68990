"""Which layer of the encoder a decoder layer reads: the last, its own, or a learned mix of all (Bapna et al. 2018, transparent
attention).

B query rows, N sources, T target position, S source position, D model, L states that the encoder kept.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Literal, final

import torch
from pydantic import Field
from torch import Tensor, nn

from isthmus.core.errors import ConfigError
from isthmus.model.connections.attention import AttentionConfig
from isthmus.model.connections.connection import Connection, ConnectionKind, Link, Reading
from isthmus.model.connections.multi_head_attention import MultiHeadAttentionConfig
from isthmus.model.memory import Memory
from isthmus.model.sizes import Sizes
from isthmus.nn.dropout import dropout as drop


class DepthConfig(ConnectionKind):
    """Configuration of the layer that is read; the encoder must have `keep_layers = true`.

    Attributes:
        kind: names the connection.
        depth: `own`: decoder layer n reads encoder layer n; `mix`: each decoder layer reads Σ softmax(s)ₗ hₗ over the embedded
            source and all layers; `last`: the encoder's output, as without this connection.
        dropout: probability to drop a layer's weight from a mix.
        read: how what was chosen is read.
    """

    kind: Literal["depth"] = "depth"
    depth: Literal["last", "own", "mix"] = "mix"
    dropout: float = Field(default=0.0, ge=0, lt=1)
    read: AttentionConfig = MultiHeadAttentionConfig()

    def build(self, sizes: Sizes) -> Connection:
        """Build the connection of a decoder that has one."""
        (connection,) = self.build_layers(sizes, 1)
        return connection

    def build_layers(self, sizes: Sizes, layers: int) -> list[Connection]:
        """Build one connection a decoder layer.

        Raises:
            ConfigError: the encoder keeps no states of its layers, or has not as many layers as the decoder.
        """
        if self.depth != "last" and not sizes.kept:
            raise _no_layers("an encoder that keeps its output alone")
        if self.depth == "own" and sizes.kept != layers + 1:
            raise ConfigError(
                "each decoder layer reads the encoder layer of its own height",
                expected=f"{layers} encoder layers, as many as read",
                got=f"{sizes.kept - 1}",
                where="model.connection.depth",
                fix='give both sides the same number of layers, or take depth = "mix"',
            )
        return [Depth(_choice(self, sizes, number), self.read.build(sizes)) for number in range(layers)]


class Layer(nn.Module):
    """The normed states of one layer.

    Args:
        place: which of the kept states.
        d_memory: size of the states.
    """

    def __init__(self, place: int, d_memory: int) -> None:
        super().__init__()
        self.place = place
        self.norm = nn.LayerNorm(d_memory)

    def forward(self, layers: tuple[Tensor, ...]) -> Tensor:
        """States [N, S, D] of one layer out of those of all."""
        states_NSD: Tensor = self.norm(layers[self.place])
        return states_NSD


class Mix(nn.Module):
    """norm(Σₗ softmax(s)ₗ hₗ), all layers alike at first.

    Args:
        kept: how many states there are.
        d_memory: size of the states.
        dropout: probability to drop a weight.
    """

    def __init__(self, kept: int, d_memory: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.strength, self.dropout = nn.Parameter(torch.zeros(kept)), dropout
        self.norm = nn.LayerNorm(d_memory)

    def forward(self, layers: tuple[Tensor, ...]) -> Tensor:
        """States [N, S, D] mixed from those of all layers."""
        share_L = drop(torch.softmax(self.strength, dim=0), self.dropout, self.training)
        mixed_NSD: Tensor = self.norm(torch.einsum("l,lnsd->nsd", share_L.to(layers[0].dtype), torch.stack(layers)))
        return mixed_NSD


@final
class Depth(Connection):
    """Reads other states of the encoder than its output.

    Args:
        choose: from the states of all layers to those that are read, or `None` for the encoder's output.
        read: reads them.
    """

    def __init__(self, choose: Layer | Mix | None, read: Connection) -> None:
        super().__init__()
        self.choose, self.read, self.one_way = choose, read, read.one_way

    def prepare(self, memory: Memory) -> Link:
        """The link of the chosen states.

        Raises:
            ConfigError: the memory has no states of lower layers.
        """
        if self.choose is None:
            return self.read.prepare(memory)
        if not memory.layers:
            raise _no_layers("a memory without them")
        return self.read.prepare(replace(memory, states_BSD=self.choose(memory.layers)))

    def forward(self, query_BTD: Tensor, link: Link, position_B: Tensor, weights: bool = False) -> tuple[Reading, Link]:
        """Read, as the connection inside does."""
        reading: tuple[Reading, Link] = self.read(query_BTD, link, position_B, weights)
        return reading


def _choice(config: DepthConfig, sizes: Sizes, number: int) -> Layer | Mix | None:
    if config.depth == "own":
        return Layer(number + 1, sizes.d_memory)
    return Mix(sizes.kept, sizes.d_memory, config.dropout) if config.depth == "mix" else None


def _no_layers(got: str) -> ConfigError:
    return ConfigError(
        "the connection `depth` reads the states of every encoder layer",
        expected="an encoder that keeps them",
        got=got,
        where="model.encoder.keep_layers",
        fix='set it to true (Transformer and convolutional encoders have it), or take depth = "last"',
    )
