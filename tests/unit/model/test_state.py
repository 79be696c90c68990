"""The rules of decoding states; that they tell the truth is a law (tests/laws/test_steps.py)."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import pytest
import torch

from isthmus.core.errors import InputError, StateError
from isthmus.core.padded import Padded
from isthmus.model.build import ModelConfig, build
from isthmus.model.encoder_decoder import EncoderDecoder
from isthmus.model.state import DecoderState
from isthmus.model.transformer import Transformer
from isthmus.nn.cache import SLOTS, KeyValueCache
from isthmus.nn.recurrent import RecurrentPast
from tests.laws.coverage import Coverage


@pytest.fixture
def model() -> EncoderDecoder:
    return Transformer(16, d_model=8, n_layers=1, n_heads=2).eval()


SOURCE = Padded.of([[5, 6, 3], [7, 3]])
TOKENS = torch.tensor([[2], [2]])
Use = Callable[[EncoderDecoder, DecoderState], Any]
WAYS: Mapping[str, Use] = {
    "step": lambda model, state: model.step(TOKENS, state),
    "select": lambda model, state: state.select(torch.tensor([1])),
    "join": lambda model, state: DecoderState.join([state]),
}
USES: Mapping[str, Use] = {**WAYS, "fork": lambda model, state: state.fork()}


@pytest.mark.parametrize("second", USES)
@pytest.mark.parametrize("first", WAYS)
def test_a_consumed_state_is_not_used_again(model: EncoderDecoder, first: str, second: str) -> None:
    state = model.start(model.encode(SOURCE))
    WAYS[first](model, state)
    with pytest.raises(StateError, match="consumed by `step`, `select` and `join`") as caught:
        USES[second](model, state)
    assert "fork" in caught.value.fix
    assert caught.value.exit_code == 1


@pytest.mark.parametrize("way", WAYS)
def test_a_fork_goes_its_own_way(model: EncoderDecoder, way: str) -> None:
    state = model.start(model.encode(SOURCE))
    fork = state.fork()
    WAYS[way](model, state)
    WAYS[way](model, fork)


def test_one_state_cannot_be_joined_with_itself(model: EncoderDecoder) -> None:
    state = model.start(model.encode(SOURCE))
    with pytest.raises(StateError):
        DecoderState.join([state, state])


def test_a_state_that_remembers_nothing_reads_one_block(model: EncoderDecoder) -> None:
    state = model.start(model.encode(SOURCE), remember=False)
    assert state.past == ()
    _, state = model.step(torch.tensor([[2, 5], [2, 6]]), state)
    with pytest.raises(StateError, match="reads one block") as caught:
        model.step(TOKENS, state)
    assert "remember=True" in caught.value.fix


def test_a_mask_of_ones_own_is_for_one_block(model: EncoderDecoder) -> None:
    with pytest.raises(StateError, match="one whole block") as caught:
        model.step(TOKENS, model.start(model.encode(SOURCE)), attend_BTT=torch.ones(2, 1, 1, dtype=torch.bool))
    assert "model.read" in caught.value.fix


def test_caches_grow_by_half_and_forget_rows_that_left(model: EncoderDecoder) -> None:
    state = model.start(model.encode(SOURCE))
    capacities = []
    for _ in range(40):
        _, state = model.step(torch.full((state.position_B.shape[0], 1), 5), state)
        capacities.append(state.past_of(KeyValueCache)[0].capacity)
    assert sorted(set(capacities)) == [SLOTS, 24, 36, 54]
    young = model.start(model.encode(SOURCE))
    joined = DecoderState.join([state, young])
    assert joined.used == 40
    assert joined.select(torch.tensor([2, 3])).used == 0


def test_a_state_of_another_kind_of_decoder(model: EncoderDecoder) -> None:
    state = model.start(model.encode(SOURCE))
    other = dataclasses.replace(state, past=(RecurrentPast((torch.zeros(2, 8),)),))
    with pytest.raises(StateError, match="its own states") as caught:
        model.step(TOKENS, other)
    assert (caught.value.expected, caught.value.got) == ("a past of KeyValueCache", "RecurrentPast")


@pytest.mark.parametrize("kind", ["sinusoidal", "learned", "rotary"])
def test_more_tokens_than_positions(kind: str) -> None:
    config = ModelConfig.of(
        {"preset": "tiny", "embedding": {"positions": {"kind": kind, "maximum": 5}}, "decoder": {"layers": 1}}
    )
    model = build(config, 16, 16).eval()
    with pytest.raises(InputError, match="a source is longer than the model has positions") as caught:
        model.encode(Padded.of([[4] * 6]))
    assert (caught.value.expected, caught.value.got) == ("at most 5 pieces", "6 pieces")
    assert "embedding.positions.maximum" in caught.value.fix
    state = model.start(model.encode(Padded.of([[4] * 5])))
    _, state = model.step(torch.tensor([[4] * 5]), state)
    with pytest.raises(InputError, match="a target is longer"):
        model.step(torch.tensor([[4]]), state)
    with pytest.raises(InputError, match="a target is longer"):
        model(Padded.of([[4]]), Padded.of([[4] * 6]))


def test_without_positions_any_length_goes() -> None:
    config = ModelConfig.of({"preset": "tiny", "embedding": {"positions": {"kind": "none", "maximum": 5}}})
    model = build(config, 16, 16).eval()
    assert model(Padded.of([[4] * 7]), Padded.of([[4] * 11])).shape == (1, 11, 16)


def test_links_that_were_written_belong_to_rows(model: EncoderDecoder) -> None:
    layer = model.decoder.get_submodule("layers.0")
    layer.add_module("connection", Coverage(8))
    state = model.start(model.encode(SOURCE)).select(torch.tensor([0, 0, 0, 1, 1, 1]))
    assert state.links[0].rows == 2
    _, state = model.step(torch.tensor([[2], [5], [6], [2], [5], [6]]), state)
    assert state.links[0].rows == 6
    assert state.rows_per_source == 1
    (covered_BS1,) = state.links[0].written
    torch.testing.assert_close(covered_BS1.sum(dim=(1, 2)), torch.ones(6))
    assert not torch.equal(covered_BS1[0], covered_BS1[1])
    state = state.select(torch.tensor([4, 1]))
    assert state.source_of_row_B.tolist() == [1, 0]
    torch.testing.assert_close(state.links_by_row()[0].written[0], covered_BS1[torch.tensor([4, 1])])


def test_rows_stand_at_one_position_until_states_of_different_length_are_joined(model: EncoderDecoder) -> None:
    young = model.start(model.encode(SOURCE))
    _, state = model.step(torch.tensor([[2, 5], [2, 6]]), model.start(model.encode(SOURCE)))
    state = state.select(torch.tensor([1, 0, 0]))
    assert {cache.used for cache in state.past_of(KeyValueCache)} == {2}
    mixed = DecoderState.join([state.fork(), young])
    assert {cache.used for cache in mixed.past_of(KeyValueCache)} == {None}
    naive, found = mixed.select(torch.tensor([0, 1, 2])), state
    for token in (5, 7, 6):
        one, naive = model.step(torch.full((3, 1), token), naive)
        other, found = model.step(torch.full((3, 1), token), found)
        torch.testing.assert_close(one.features_BTD, other.features_BTD, rtol=1e-5, atol=1e-5)
    twice = DecoderState.join([found, found.fork()][:1])
    assert {cache.used for cache in twice.past_of(KeyValueCache)} == {5}
