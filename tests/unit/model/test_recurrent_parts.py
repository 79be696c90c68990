"""Recurrent encoders and decoders, first states and similarities: what the laws do not say, and what is refused.

B row, S source position, D model.
"""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from isthmus.core.errors import ConfigError, InputError, StateError
from isthmus.core.padded import Padded
from isthmus.core.runtime import Runtime, seeded
from isthmus.model.build import ModelConfig, build
from isthmus.model.connections.global_attention import GlobalAttentionConfig
from isthmus.model.decoders.recurrent import RecurrentDecoder, RecurrentDecoderConfig
from isthmus.model.encoder_decoder import EncoderDecoder
from isthmus.model.encoders.recurrent import RecurrentEncoder, RecurrentEncoderConfig
from isthmus.model.first_state import FirstState, FirstStateKind
from isthmus.model.memory import Memory
from isthmus.model.presets import RECURRENT
from isthmus.model.similarity import FIRST_STRENGTH, Similarity, SimilarityKind
from isthmus.model.sizes import Sizes

D, SIZE = 14, 23
SOURCE, TARGET = Padded.of([[5, 6, 7, 8], [9, 4]]), Padded.of([[2, 5, 7], [2, 9, 9]])
NO_POSITIONS = {"positions": {"kind": "none"}}


def model_of(**parts: Any) -> EncoderDecoder:
    table = {
        "d_model": D,
        "embedding": NO_POSITIONS,
        "encoder": {"kind": "recurrent"},
        "connection": {"kind": "global-attention"},
        "decoder": {"kind": "recurrent"},
    }
    with seeded(1):
        return build(ModelConfig.of({**table, **parts}), SIZE, SIZE).eval()


@pytest.mark.parametrize("name", RECURRENT)
def test_presets_are_what_their_papers_say(name: str) -> None:
    config = ModelConfig.preset(name)
    encoder, decoder, connection = config.encoder, config.decoder, config.connection
    assert isinstance(encoder, RecurrentEncoderConfig)
    assert isinstance(decoder, RecurrentDecoderConfig)
    assert decoder.first_state.kind == "summary"
    found = (encoder.cell, encoder.layers, encoder.bidirectional, encoder.reverse, decoder.order, decoder.input_feeding)
    similarity = connection.similarity if isinstance(connection, GlobalAttentionConfig) else None
    assert (*found, connection.kind, similarity) == {
        "sutskever2014": ("lstm", 4, False, True, "luong", False, "no-connection", None),
        "cho2014": ("gru", 1, False, False, "bahdanau", False, "fixed-vector", None),
        "bahdanau2015": ("gru", 1, True, False, "bahdanau", False, "global-attention", "additive"),
        "luong2015": ("lstm", 4, False, True, "luong", True, "local-attention", None),
    }[name]
    assert (decoder.cell, decoder.layers) == (encoder.cell, encoder.layers)
    assert ModelConfig.of(config.model_dump(mode="json")) == config


@pytest.mark.parametrize("name", RECURRENT)
def test_presets_train_in_bfloat16(name: str) -> None:
    with seeded(1):
        model = build(ModelConfig.of({"preset": name, "d_model": D}), SIZE, SIZE)
    with Runtime("cpu", "bfloat16").autocast():
        _, decoded = model.read(SOURCE, TARGET)
        total, _ = model.head.nll(decoded, TARGET)
    total.backward()  # type: ignore[no-untyped-call]
    gradients = [parameter.grad for parameter in model.parameters() if parameter.grad is not None]
    assert all(bool(gradient.isfinite().all()) for gradient in gradients)
    with torch.inference_mode(), Runtime("cpu", "bfloat16").autocast():
        model.eval()
        state = model.start(model.encode(SOURCE)).select(torch.tensor([0, 0, 1]))
        for _ in range(3):
            decoded, state = model.step(torch.tensor([[5], [6], [7]]), state)
        assert bool(model.head.log_probs(decoded).isfinite().all())


@pytest.mark.parametrize("way", [{"reverse": True}, {"bidirectional": True}, {}])
@torch.no_grad()
def test_hidden_positions_are_left_out_of_the_reading(way: dict[str, bool]) -> None:
    """Wherever they are: at the start, in the middle, at the end."""
    model = model_of(encoder={"kind": "recurrent", **way})
    long = Padded.of([[5, 6, 7, 8, 9], [9, 4, 11, 12]])
    shown_BS = torch.tensor([[False, True, True, False, True], [True, False, False, True, True]])
    hidden, short = Padded(long.ids_BT, long.lengths_B, shown_BS), Padded.of([[6, 7, 9], [9, 12]])
    memory, expected = model.encode(hidden), model.encode(short)
    torch.testing.assert_close(memory.states_BSD[memory.mask_BS], expected.states_BSD[expected.mask_BS])
    torch.testing.assert_close(memory.summary_BD, expected.summary_BD)


@torch.no_grad()
def test_directions() -> None:
    """What a state knows: onwards what came before it, reversed what comes after it, both ways everything."""
    changed = Padded.of([[5, 6, 13, 8], [9, 4]])
    for way, same in (({}, [0, 1]), ({"reverse": True}, [3]), ({"bidirectional": True}, [])):
        model = model_of(encoder={"kind": "recurrent", **way})
        one, other = model.encode(SOURCE).states_BSD, model.encode(changed).states_BSD
        assert [s for s in range(4) if torch.equal(one[0, s], other[0, s])] == same
        assert torch.equal(one[1], other[1])


def test_masks_over_pairs_of_positions_are_refused() -> None:
    model, pairs_BSS = model_of(), torch.ones(2, 4, 4, dtype=torch.bool)
    with pytest.raises(InputError, match="one after the other") as caught:
        model.encode(Padded(SOURCE.ids_BT, SOURCE.lengths_B, pairs_BSS))
    assert (caught.value.where, caught.value.got) == ("source.attend", "a mask [B, S, S] over pairs of positions")
    with pytest.raises(StateError, match="one after the other") as refused:
        model(SOURCE, Padded(TARGET.ids_BT, TARGET.lengths_B, torch.ones(2, 3, 3, dtype=torch.bool)))
    assert (refused.value.where, refused.value.expected) == ("target_in.attend", "no mask over target positions")


def test_dropout_is_on_in_training_only() -> None:
    for part in ("encoder", "decoder"):
        tables = {side: {"kind": "recurrent", "dropout": 0.5 * (side == part)} for side in ("encoder", "decoder")}
        model = model_of(**tables, embedding={**NO_POSITIONS, "dropout": 0.0})
        assert torch.equal(model(SOURCE, TARGET), model(SOURCE, TARGET))
        model.train()
        assert not torch.equal(model(SOURCE, TARGET), model(SOURCE, TARGET))


@pytest.mark.parametrize("kind", ["mean", "attentive", "last"])
def test_a_summary_may_be_pooled_or_left_out(kind: str) -> None:
    assert model_of(encoder={"kind": "recurrent", "summary": kind}).encode(SOURCE).summary_BD is not None
    decoder = {"kind": "recurrent", "first_state": {"kind": "zero"}}
    assert model_of(encoder={"kind": "recurrent", "summary": None}, decoder=decoder).encode(SOURCE).summary_BD is None


def first(kind: FirstStateKind, seed: int = 1) -> tuple[Tensor, ...]:
    memory = Memory(torch.zeros(3, 5, 7), torch.ones(3, 5, dtype=torch.bool), torch.randn(3, 7))
    vectors: tuple[Tensor, ...] = FirstState(kind, 2, Sizes(d_model=11, d_memory=7), seed)(memory)
    assert [vector.shape for vector in vectors] == [(3, 11)] * 2
    return vectors


def test_first_states() -> None:
    assert all(bool((vector == 0).all()) for kind in ("zero", "learned") for vector in first(kind))
    one, other = first("random")
    assert torch.equal(one[0], one[2])
    assert not torch.equal(one, other)
    assert torch.equal(first("random")[0], one)
    assert not torch.equal(first("random", seed=2)[0], one)
    from_summary = first("summary")[0]
    assert not torch.equal(from_summary[0], from_summary[1])
    assert bool((from_summary.abs() < 1).all())


def test_learned_first_states_learn() -> None:
    model = model_of(decoder={"kind": "recurrent", "first_state": {"kind": "learned"}})
    assert isinstance(model.decoder, RecurrentDecoder)
    model(SOURCE, TARGET)[:, :, 5].sum().backward()
    learned = model.decoder.first_state.learned
    assert learned is not None
    assert learned.shape == (4, D)
    assert learned.grad is not None
    assert bool((learned.grad != 0).any())


def test_a_memory_without_the_summary_that_a_first_state_needs() -> None:
    memory = Memory(torch.zeros(3, 5, D), torch.ones(3, 5, dtype=torch.bool))
    with pytest.raises(ConfigError, match="comes from a summary") as caught:
        model_of().start(memory)
    assert caught.value.got == "a memory without one"


@pytest.mark.parametrize("kind", ["dot", "scaled-dot", "cosine"])
def test_similarities_that_need_one_size(kind: SimilarityKind) -> None:
    with pytest.raises(ConfigError, match="vectors of one size") as caught:
        Similarity(kind, 7, 11)
    error = caught.value
    assert (error.expected, error.got) == ("keys of size 7", "size 11")
    assert error.where == "model.connection.similarity"
    assert "additive" in error.fix


def test_similarities_of_two_sizes_and_of_nothing() -> None:
    for kind in ("general", "additive"):
        similarity = Similarity(kind, 7, 11)
        assert similarity(torch.randn(2, 3, 7), similarity.prepare(torch.randn(2, 5, 11))).shape == (2, 3, 5)
    cosine, zero = Similarity("cosine", 7, 7), torch.zeros(1, 2, 7, requires_grad=True)
    score = cosine(zero, cosine.prepare(zero))
    score.sum().backward()
    assert bool((score == 0).all())
    assert zero.grad is not None
    assert bool(zero.grad.isfinite().all())
    same = torch.randn(1, 1, 7)
    torch.testing.assert_close(cosine(same, cosine.prepare(3 * same)), torch.full((1, 1, 1), FIRST_STRENGTH))


RNN = {"kind": "recurrent"}
NONE = {"kind": "no-connection"}


@pytest.mark.parametrize(
    ("parts", "rule", "expected", "got", "where", "fix"),
    [
        (
            {"encoder": {**RNN, "bidirectional": True, "reverse": True}},
            "its directions exchanged",
            "bidirectional or reverse",
            "both",
            "model.encoder",
            "`reverse`",
        ),
        (
            {"decoder": {**RNN, "order": "bahdanau", "input_feeding": True}},
            "enters the first layer already",
            'order = "luong"',
            'order = "bahdanau"',
            "model.decoder.input_feeding",
            "change `order`",
        ),
        (
            {"encoder": {**RNN, "summary": None}},
            "first state comes from a summary",
            "an encoder with a summary",
            "none",
            "model.encoder.summary",
            "first_state.kind",
        ),
        (
            {"encoder": {**RNN, "summary": None}, "decoder": {}, "connection": {"kind": "fixed-vector"}},
            "reads a summary",
            "model.encoder.summary",
            "none",
            "model",
            "encoder.summary",
        ),
        (
            {"connection": NONE, "decoder": {"kind": "transformer"}},
            "through its first state alone",
            'first_state.kind = "summary"',
            "a transformer decoder",
            "model.connection",
            "take a connection that reads",
        ),
        (
            {"connection": NONE, "decoder": {**RNN, "first_state": {"kind": "learned"}}},
            "through its first state alone",
            'first_state.kind = "summary"',
            "a recurrent decoder that sees nothing",
            "model.connection",
            "take a connection that reads",
        ),
        (
            {"embedding": {"positions": {"kind": "rotary"}}},
            "rotary positions act in self-attention",
            "a Transformer",
            "no self-attention anywhere",
            "model.embedding.positions",
            '"none"',
        ),
        (
            {"embedding": {"positions": {"kind": "alibi"}}, "decoder": {"kind": "transformer", "past": "ssru"}},
            "alibi positions act in self-attention",
            "a Transformer",
            "no self-attention anywhere",
            "model.embedding.positions",
            "added to embeddings",
        ),
    ],
)
def test_parts_that_make_no_sense_together(
    parts: dict[str, Any], rule: str, expected: str, got: str, where: str, fix: str
) -> None:
    with pytest.raises(ConfigError, match=rule) as caught:
        model_of(**parts)
    error = caught.value
    assert expected in error.expected
    assert got in error.got
    assert error.where == where
    assert fix in error.fix


def test_a_table_of_another_kind_of_encoder() -> None:
    """Without a preset the parts are Transformers; over a preset, another kind replaces the whole part."""
    assert ModelConfig.of({"decoder": {"layers": 2}}).decoder.kind == "transformer"
    config = ModelConfig.of({"preset": "tiny", "encoder": {"kind": "recurrent", "cell": "gru"}})
    assert config.encoder == RecurrentEncoderConfig(cell="gru")
    with pytest.raises(ConfigError) as caught:
        ModelConfig.of({"encoder": {"kind": "recurrent", "layer": {}}})
    assert caught.value.rule.startswith("unknown field `encoder.layer`")
    assert isinstance(model_of().encoder, RecurrentEncoder)
