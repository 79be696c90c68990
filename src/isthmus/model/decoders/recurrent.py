"""The recurrent decoder: LSTMs or GRUs write the target, and read the memory before or after each step (Bahdanau et al. 2015,
section 3.1; Luong et al. 2015, section 3).

B row, T target position, L layer, D model, G gates.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, final

import torch
from pydantic import Field
from torch import Tensor, nn

from isthmus.core.config import Config
from isthmus.core.errors import ConfigError, StateError
from isthmus.model.blocks import PositionConfig, check_length
from isthmus.model.connections.connection import Connection, Link, Reading
from isthmus.model.decoders.decoder import Decoded, Decoder
from isthmus.model.first_state import FirstState, FirstStateConfig
from isthmus.model.memory import Memory
from isthmus.model.sizes import Sizes
from isthmus.model.state import DecoderState
from isthmus.nn.attention import projection
from isthmus.nn.blocks import Embedding
from isthmus.nn.dropout import dropout as drop
from isthmus.nn.recurrent import CellKind, RecurrentLayer, RecurrentPast, Vectors

Order = Literal["bahdanau", "luong"]


class RecurrentDecoderConfig(Config):
    """Configuration of the recurrent decoder.

    Attributes:
        kind: names the decoder.
        cell: `lstm` or `gru`.
        layers: how many layers.
        order: `bahdanau`: the last state asks, and what it reads enters the first layer with the next token; `luong`: the new
            state asks, and what it reads joins it on the way to the head.
        input_feeding: with `luong`, whether what went to the head enters the first layer with the next token (section 3.3).
        first_state: what the decoder knows before its first token.
        dropout: probability to drop a feature between layers and before the head.
    """

    kind: Literal["recurrent"] = "recurrent"
    cell: CellKind = "lstm"
    layers: int = Field(default=2, ge=1)
    order: Order = "luong"
    input_feeding: bool = False
    first_state: FirstStateConfig = FirstStateConfig()
    dropout: float = Field(default=0.1, ge=0, lt=1)


@dataclass(slots=True)
class Walk:
    """Where a walk over the target positions stands, and what it has collected.

    Attributes:
        layers: the state of each layer.
        link: the memory as the next read finds it.
        fed_BD: what enters the first layer with the next token, where it was the last step that made it.
        top_BTD: the top layer's output, a position each.
        readings: what was read, a position each.
    """

    layers: list[Vectors]
    link: Link
    fed_BD: Tensor | None
    top_BTD: list[Tensor]
    readings: list[Reading]


@final
class RecurrentDecoder(Decoder):
    """Embeds the tokens so far and runs over them; one connection reads the memory, and features are tanh(W [context; state]).

    Where nothing that was read or said enters the layers again (`luong` without input feeding), a whole block runs layer by layer,
    and the connection reads it at once. Else training goes position by position, as two-way connections need it anyway; what the
    tokens alone add to the first layer is computed before. Bahdanau's maxout over state, word and context (appendix A.2.2) is the
    tanh layer here.

    Args:
        embedding: ids to vectors.
        layers: the layers.
        connection: reads the memory.
        first_state: what the layers begin with: the vectors of the first layer, then of the second, ...
        order: whether the connection is read before or after a step.
        input_feeding: whether features enter the first layer with the next token.
        dropout: probability to drop a feature.
        limit: the longest target that it has positions for, or `None`.
    """

    def __init__(
        self,
        embedding: Embedding,
        layers: Sequence[RecurrentLayer],
        connection: Connection,
        first_state: FirstState,
        order: Order = "luong",
        input_feeding: bool = False,
        dropout: float = 0.0,
        limit: int | None = None,
    ) -> None:
        super().__init__()
        self.embedding, self.layers, self.connection = embedding, nn.ModuleList(layers), connection
        self.first_state, self.order, self.input_feeding = first_state, order, input_feeding
        self.dropout, self.limit = dropout, limit
        size = layers[0].size
        loops = order == "bahdanau" or input_feeding
        self.feed = projection(size, layers[0].gates, bias=False) if loops else None
        self.combine = projection(2 * size, size, bias=False)

    @property
    def _layers(self) -> list[RecurrentLayer]:
        return [layer for layer in self.layers if isinstance(layer, RecurrentLayer)]

    def start(self, memory: Memory, remember: bool = True) -> DecoderState:
        """The first state of each layer, and the connection's link."""
        vectors = self.first_state(memory)
        each = self._layers[0].vectors
        past = [RecurrentPast(vectors[start : start + each]) for start in range(0, len(vectors), each)]
        if self.input_feeding:
            past.append(RecurrentPast((torch.zeros_like(vectors[0]),)))
        row_B = torch.arange(memory.mask_BS.shape[0], device=memory.mask_BS.device)
        links = (self.connection.prepare(memory),)
        return DecoderState(torch.zeros_like(row_B), tuple(past), links, row_B, remember)

    def forward(
        self, tokens_BT: Tensor, state: DecoderState, attend_BTT: Tensor | None = None, weights: bool = False
    ) -> tuple[Decoded, DecoderState]:
        """Read a block of tokens [B, T] to features [B, T, D].

        Raises:
            InputError: there are fewer positions than tokens.
            StateError: a mask over pairs of target positions was given, or the state is another decoder's.
        """
        if attend_BTT is not None:
            raise StateError(
                "a recurrent decoder reads its tokens one after the other",
                expected="no mask over target positions",
                got="one",
                where="target_in.attend",
                fix="take a Transformer decoder for masks of your own",
            )
        T = tokens_BT.shape[1]
        check_length(state.used, self.limit, "a target")
        position_BT = state.position_B[:, None] + torch.arange(T, device=tokens_BT.device)
        x_BTD = self.embedding(tokens_BT, position_BT)
        past = [part.vectors for part in state.past_of(RecurrentPast)]
        fed_BD = past.pop()[0] if self.input_feeding else None
        walk = Walk(past, state.links_by_row()[0], fed_BD, [], [])
        if self.feed is None or T == 0:
            features_BTD, reading = self._block(x_BTD, walk, state.position_B, weights)
        else:
            features_BTD, reading = self._steps(x_BTD, walk, position_BT, weights)
        vectors = walk.layers if walk.fed_BD is None else [*walk.layers, (walk.fed_BD,)]
        new = state.after(T, (walk.link,), tuple(RecurrentPast(part) for part in vectors))
        return Decoded(features_BTD, (reading,)), new

    def _block(self, x_BTD: Tensor, walk: Walk, position_B: Tensor, weights: bool) -> tuple[Tensor, Reading]:
        """Layer by layer over the whole block; then one read."""
        for number, layer in enumerate(self._layers):
            x_BTD = drop(x_BTD, self.dropout, self.training) if number else x_BTD
            x_BTD, walk.layers[number] = layer.over(x_BTD, walk.layers[number])
        reading, walk.link = self.connection(x_BTD, walk.link, position_B, weights)
        return self._features(x_BTD, reading.context_BTD), reading

    def _steps(self, x_BTD: Tensor, walk: Walk, position_BT: Tensor, weights: bool) -> tuple[Tensor, Reading]:
        """Position by position, T > 0."""
        gates_BTG = self._layers[0].project(x_BTD)
        features = []
        for t in range(x_BTD.shape[1]):
            if self.order == "bahdanau":
                asked = self._read(walk.layers[-1][0], walk, position_BT[:, t], weights)
                self._step(gates_BTG[:, t], asked.context_BTD[:, 0], walk)
            else:
                self._step(gates_BTG[:, t], walk.fed_BD, walk)
                asked = self._read(walk.layers[-1][0], walk, position_BT[:, t], weights)
                features.append(self._features(walk.top_BTD[-1], asked.context_BTD[:, 0]))
                walk.fed_BD = features[-1]
        reading = _joined(walk.readings)
        if features:
            return torch.stack(features, dim=1), reading
        return self._features(torch.stack(walk.top_BTD, dim=1), reading.context_BTD), reading

    def _read(self, query_BD: Tensor, walk: Walk, position_B: Tensor, weights: bool) -> Reading:
        """Ask the connection from one position."""
        reading: Reading
        reading, walk.link = self.connection(query_BD[:, None], walk.link, position_B, weights)
        walk.readings.append(reading)
        return reading

    def _step(self, gates_BG: Tensor, fed_BD: Tensor | None, walk: Walk) -> None:
        """Move every layer on by one position."""
        for number, layer in enumerate(self._layers):
            if number:
                gates_BG = layer.project(drop(walk.layers[number - 1][0], self.dropout, self.training))
            elif self.feed is not None and fed_BD is not None:
                gates_BG = gates_BG + self.feed(fed_BD)
            walk.layers[number] = layer.step(gates_BG, walk.layers[number])
        walk.top_BTD.append(walk.layers[-1][0])

    def _features(self, state: Tensor, context: Tensor) -> Tensor:
        """tanh(W [c; h]) (Luong et al. 2015, section 3, equation 5)."""
        both = torch.cat([context.to(state.dtype), state], dim=-1)
        return drop(self.combine(both).tanh(), self.dropout, self.training)


def _joined(readings: Sequence[Reading]) -> Reading:
    """The readings of single positions as one of a block."""
    weights = [one.weights_BHTS for one in readings if one.weights_BHTS is not None]
    copies = [one.copy_BTS for one in readings if one.copy_BTS is not None]
    return Reading(
        torch.cat([one.context_BTD for one in readings], dim=1),
        torch.cat(weights, dim=2) if weights else None,
        torch.cat(copies, dim=1) if copies else None,
        readings[0].ids_BS,
    )


def build(
    config: RecurrentDecoderConfig,
    embedding: Embedding,
    connection: Connection,
    positions: PositionConfig,
    d_model: int,
) -> RecurrentDecoder:
    """Build the decoder of size `d_model` on an embedding and a connection.

    Raises:
        ConfigError: input feeding meets Bahdanau's order.
    """
    if config.order == "bahdanau" and config.input_feeding:
        raise ConfigError(
            "in Bahdanau's order what is read enters the first layer already",
            expected='order = "luong" for input feeding',
            got='order = "bahdanau"',
            where="model.decoder.input_feeding",
            fix="leave out `input_feeding`, or change `order`",
        )
    layers = [RecurrentLayer(config.cell, d_model, d_model) for _ in range(config.layers)]
    first = FirstState(
        config.first_state.kind,
        config.layers * layers[0].vectors,
        Sizes(d_model=d_model, d_memory=d_model),
        config.first_state.seed,
    )
    return RecurrentDecoder(
        embedding, layers, connection, first, config.order, config.input_feeding, config.dropout, positions.limit
    )
