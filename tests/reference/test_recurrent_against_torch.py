"""Recurrent parts against torch.nn with copied weights, and against the equations of the papers in float64.

B row, S source position, T target position, D model.
"""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from isthmus.core.padded import Padded
from isthmus.core.runtime import seeded
from isthmus.model.build import ModelConfig, build
from isthmus.model.connections.connection import Connection
from isthmus.model.connections.global_attention import GlobalAttention
from isthmus.model.connections.local_attention import LocalAttention
from isthmus.model.decoders.recurrent import RecurrentDecoder
from isthmus.model.encoder_decoder import EncoderDecoder
from isthmus.model.encoders.recurrent import RecurrentEncoder
from isthmus.model.memory import Memory
from isthmus.model.similarity import Similarity, SimilarityKind

D, SIZE, LENGTHS, T = 11, 23, (7, 2, 5), 5


def model_of(encoder: dict[str, Any], decoder: dict[str, Any], connection: dict[str, Any]) -> EncoderDecoder:
    """A model in float64 without positions, its weights moved away from their first values."""
    table = {
        "d_model": D,
        "embedding": {"positions": {"kind": "none"}, "tied": "none"},
        "encoder": {"kind": "recurrent", **encoder},
        "decoder": {"kind": "recurrent", **decoder},
        "connection": connection,
    }
    with seeded(3):
        model = build(ModelConfig.of(table), SIZE, SIZE).double().eval()
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.add_(torch.randn_like(parameter), alpha=0.2)
    return model


def sources() -> Padded:
    generator = torch.Generator().manual_seed(1)
    return Padded.of([torch.randint(4, SIZE, (length,), generator=generator).tolist() for length in LENGTHS])


def copied(ours: RecurrentEncoder, cell: str, layers: int, both: bool) -> nn.Module:
    theirs = (nn.LSTM if cell == "lstm" else nn.GRU)(D, D, layers, batch_first=True, bidirectional=both).double()
    weights = {}
    for name, tensor in ours.layers.state_dict().items():
        number, way, _, kind = name.split(".")
        weights[kind.replace("_l0", f"_l{number}") + ("_reverse" if way == "backwards" else "")] = tensor
    theirs.load_state_dict(weights)
    return theirs


@pytest.mark.parametrize("cell", ["lstm", "gru"])
@pytest.mark.parametrize(("both", "reverse"), [(False, False), (True, False), (False, True)])
@torch.no_grad()
def test_the_encoder_is_torchs_over_packed_sequences(cell: str, both: bool, reverse: bool) -> None:
    model = model_of({"cell": cell, "bidirectional": both, "reverse": reverse}, {}, {"kind": "global-attention"})
    ours, source = model.encoder, sources()
    assert isinstance(ours, RecurrentEncoder)
    memory = model.encode(source)
    read = Padded.of([row[::-1] for row in source.rows()]) if reverse else source
    embedded_BSD = ours.embedding(read.ids_BT, torch.arange(max(LENGTHS))[None])
    packed = pack_padded_sequence(embedded_BSD, read.lengths_B, batch_first=True, enforce_sorted=False)
    output, last = copied(ours, cell, 2, both)(packed)
    states_BSF, _ = pad_packed_sequence(output, batch_first=True)
    hidden = last[0] if cell == "lstm" else last
    assert isinstance(ours.summary, nn.Linear)
    torch.testing.assert_close(memory.summary_BD, ours.summary(torch.cat(list(hidden), dim=-1)))
    for row, length in enumerate(LENGTHS):
        expected_SD = states_BSF[row, :length].flip(0) if reverse else states_BSF[row, :length]
        if ours.output is not None:
            expected_SD = ours.output(expected_SD)
        torch.testing.assert_close(memory.states_BSD[row, :length], expected_SD)


def attended(similarity: Similarity, query_D: Tensor, states_SD: Tensor) -> Tensor:
    """The weights [S] of one query, position by position, as the papers write them."""
    scores = []
    for key_D in states_SD:
        match similarity.kind:
            case "dot":
                score = torch.dot(query_D, key_D)
            case "scaled-dot":
                score = torch.dot(query_D, key_D) / D**0.5
            case "cosine":
                assert similarity.strength is not None
                score = similarity.strength[0].exp() * torch.cosine_similarity(query_D, key_D, dim=0)
            case "general":
                assert similarity.key is not None
                score = query_D @ similarity.key.weight @ key_D
            case "additive":
                assert similarity.query is not None
                assert similarity.key is not None
                assert similarity.score is not None
                inner_D = similarity.query.weight @ query_D + similarity.key.weight @ key_D + similarity.key.bias
                score = similarity.score.weight[0] @ torch.tanh(inner_D)
        scores.append(score)
    return torch.stack(scores).exp() / torch.stack(scores).exp().sum()


def memory_of(states_BSD: Tensor) -> Memory:
    return Memory(states_BSD, torch.arange(states_BSD.shape[1])[None] < torch.tensor(LENGTHS)[:, None])


@pytest.mark.parametrize("kind", ["dot", "scaled-dot", "general", "additive", "cosine"])
@torch.no_grad()
def test_global_attention_is_the_equations(kind: SimilarityKind) -> None:
    torch.manual_seed(1)
    connection = GlobalAttention(Similarity(kind, D, D)).double()
    for parameter in connection.parameters():
        parameter.add_(torch.randn_like(parameter), alpha=0.3)
    states_BSD, query_BTD = torch.randn(3, 7, D).double(), torch.randn(3, T, D).double()
    link = connection.prepare(memory_of(states_BSD))
    reading, same = connection(query_BTD, link, torch.zeros(3), True)
    assert same is link
    assert reading.weights_BHTS is not None
    assert reading.weights_BHTS.shape == (3, 1, T, 7)
    for row, length in enumerate(LENGTHS):
        for t in range(T):
            weight_S = attended(connection.similarity, query_BTD[row, t], states_BSD[row, :length])
            torch.testing.assert_close(
                reading.weights_BHTS[row, 0, t, :length].double(), weight_S, rtol=1e-5, atol=1e-6
            )
            context_D = weight_S @ states_BSD[row, :length]
            torch.testing.assert_close(reading.context_BTD[row, t], context_D, rtol=1e-5, atol=1e-6)


@torch.no_grad()
def test_local_attention_is_the_equations() -> None:
    """Luong et al. 2015, equations 9 and 10, normalised."""
    torch.manual_seed(2)
    window = 2
    connection = LocalAttention(Similarity("general", D, D), D, window).double()
    for parameter in connection.parameters():
        parameter.add_(torch.randn_like(parameter), alpha=0.5)
    states_BSD, query_BTD = torch.randn(3, 7, D).double(), torch.randn(3, T, D).double()
    reading, _ = connection(query_BTD, connection.prepare(memory_of(states_BSD)), torch.zeros(3), True)
    assert reading.weights_BHTS is not None
    hidden = 0
    for row, length in enumerate(LENGTHS):
        for t in range(T):
            query_D = query_BTD[row, t]
            inner_D = torch.tanh(connection.inner.weight @ query_D)
            centre = length * torch.sigmoid(connection.centre.weight[0] @ inner_D)
            place_S = torch.arange(length)
            weight_S = attended(connection.similarity, query_D, states_BSD[row, :length])
            weight_S = weight_S * torch.exp(-((place_S - centre) ** 2) / (2 * (window / 2) ** 2))
            weight_S = torch.where((place_S - centre).abs() <= window, weight_S, 0.0)
            hidden += int((weight_S == 0).sum())
            weight_S = weight_S / weight_S.sum()
            found_S = reading.weights_BHTS[row, 0, t, :length].double()
            torch.testing.assert_close(found_S, weight_S, rtol=1e-4, atol=1e-6)
            torch.testing.assert_close(
                reading.context_BTD[row, t], weight_S @ states_BSD[row, :length], rtol=1e-4, atol=1e-6
            )
    assert hidden > 0


def asked(connection: Connection, query_D: Tensor, states_SD: Tensor) -> Tensor:
    assert isinstance(connection, GlobalAttention)
    return attended(connection.similarity, query_D, states_SD) @ states_SD


@pytest.mark.parametrize("cell", ["lstm", "gru"])
@pytest.mark.parametrize("way", ["bahdanau", "luong", "luong-feeding"])
@torch.no_grad()
def test_the_decoder_is_the_equations(cell: str, way: str) -> None:
    """One layer, row by row and step by step with torch's cells, whose input is [word; what is fed]."""
    order, feeding = way.split("-", maxsplit=1)[0], way.endswith("feeding")
    decoder_table = {"cell": cell, "layers": 1, "order": order, "input_feeding": feeding}
    model = model_of({}, decoder_table, {"kind": "global-attention", "similarity": "additive"})
    decoder, source = model.decoder, sources()
    assert isinstance(decoder, RecurrentDecoder)
    target = Padded.of([[2, 9, 8, 7, 6], [2, 5, 11, 13, 4], [2, 8, 8, 15, 6]])
    memory, decoded = model.read(source, target)
    recurrence = decoder.layers[0].recurrence
    assert isinstance(recurrence, nn.LSTM | nn.GRU)
    weight_GI, weight_GD, bias_G, own_G = recurrence.all_weights[0]
    weight_GF = weight_GI if decoder.feed is None else torch.cat([weight_GI, decoder.feed.weight], dim=1)
    theirs = (nn.LSTMCell if cell == "lstm" else nn.GRUCell)(weight_GF.shape[1], D).double()
    for parameter, value in zip(theirs.parameters(), (weight_GF, weight_GD, bias_G, own_G), strict=True):
        parameter.copy_(value)
    embedded_BTD = decoder.embedding(target.ids_BT, torch.arange(T)[None])
    assert decoder.first_state.from_summary is not None
    assert memory.summary_BD is not None
    for row, length in enumerate(LENGTHS):
        first_F = torch.tanh(decoder.first_state.from_summary(memory.summary_BD[row]))
        state = tuple(first_F.view(-1, 1, D).unbind())
        states_SD, fed_D = memory.states_BSD[row, :length], torch.zeros(D).double()
        for t in range(T):
            if order == "bahdanau":
                fed_D = context_D = asked(decoder.connection, state[0][0], states_SD)
            enters = embedded_BTD[row, t] if decoder.feed is None else torch.cat([embedded_BTD[row, t], fed_D])
            state = theirs(enters[None], state) if cell == "lstm" else (theirs(enters[None], state[0]),)
            if order == "luong":
                context_D = asked(decoder.connection, state[0][0], states_SD)
            feature_D = torch.tanh(decoder.combine.weight @ torch.cat([context_D, state[0][0]]))
            fed_D = feature_D if feeding else fed_D
            torch.testing.assert_close(decoded.features_BTD[row, t], feature_D, rtol=1e-5, atol=1e-6)
