"""Law 2: padding never changes anything. Law 7: weights are probabilities, and an empty source is finite. Law 12: a batch of n is n of one.

B row, S source position, T target position.
"""

from __future__ import annotations

import torch

from isthmus.core.padded import Padded
from isthmus.model.encoder_decoder import EncoderDecoder
from isthmus.model.memory import Memory
from tests.laws.architectures import (
    FAST,
    SEVERAL,
    TARGET_SIZE,
    TWO_WAYS,
    WITHOUT_WEIGHTS,
    Architecture,
    agree,
    agree_as_vectors,
    architectures,
    batch,
    rows,
)

SOURCES, TARGETS = (7, 1, 5, 2), (3, 11, 1, 5)


def widened(padded: Padded, more: int) -> Padded:
    """More padding, and random ids in all of it."""
    ids_BT = torch.nn.functional.pad(padded.ids_BT, (0, more))
    garbage_BT = torch.randint_like(ids_BT, 1, TARGET_SIZE - 2)
    wide = Padded(ids_BT, padded.lengths_B)
    return Padded(torch.where(wide.mask_BT, ids_BT, garbage_BT), padded.lengths_B)


@architectures
@torch.no_grad()
def test_padding_of_source_and_target_changes_nothing(architecture: Architecture) -> None:
    model, source, target = architecture.model(), batch(*SOURCES), batch(*TARGETS, seed=1)
    real_BT = target.mask_BT
    expected = model(source, target)[real_BT]
    agree(model(widened(source, 6), target)[real_BT], expected)
    agree(model(source, widened(target, 6))[:, : real_BT.shape[1]][real_BT], expected)
    memory, wide = model.encode(source), model.encode(widened(source, 6))
    agree_as_vectors(wide.states_BSD[:, : memory.mask_BS.shape[1]][memory.mask_BS], memory.states_BSD[memory.mask_BS])
    assert memory.summary_BD is not None
    assert wide.summary_BD is not None
    agree_as_vectors(wide.summary_BD, memory.summary_BD)


@architectures
@torch.no_grad()
def test_a_batch_is_its_rows(architecture: Architecture) -> None:
    model, source, target = architecture.model(), batch(*SOURCES), batch(*TARGETS, seed=1)
    together_BTV = model(source, target)
    for row, (ids, target_ids) in enumerate(zip(source.rows(), target.rows(), strict=True)):
        alone_1TV = model(Padded.of([ids]), Padded.of([target_ids]))
        agree(together_BTV[row, : len(target_ids)], alone_1TV[0])


@architectures
@torch.no_grad()
def test_weights_are_probabilities_over_real_positions(architecture: Architecture) -> None:
    model, source, target = architecture.model(), widened(batch(*SOURCES), 2), batch(*TARGETS, seed=1)
    _, decoded = model.read(source, target, weights=True)
    for reading in decoded.readings:
        if architecture.connection in WITHOUT_WEIGHTS:
            assert reading.weights_BHTS is None
            continue
        assert reading.weights_BHTS is not None
        weights_BHTS = reading.weights_BHTS
        assert weights_BHTS.shape[0] == 4
        assert weights_BHTS.shape[2:] == (11, 9)
        assert bool((weights_BHTS >= 0).all())
        agree(weights_BHTS.sum(dim=-1), torch.ones_like(weights_BHTS[..., 0]))
        padding_BHTS = (~source.mask_BT)[:, None, None].expand_as(weights_BHTS)
        assert bool((weights_BHTS[padding_BHTS] == 0).all())


@architectures
@torch.no_grad()
def test_asking_for_weights_changes_nothing(architecture: Architecture) -> None:
    model, source, target = architecture.model(), batch(*SOURCES), batch(*TARGETS, seed=1)
    _, plain = model.read(source, target)
    _, asked = model.read(source, target, weights=True)
    assert torch.equal(asked.features_BTD, plain.features_BTD)
    assert all(reading.weights_BHTS is None for reading in plain.readings)


def check_empty(model: EncoderDecoder, source: Padded) -> None:
    """Reading and stepping over an empty source is finite, and so are the gradients."""
    target = batch(3, 5, seed=1)
    memory, decoded = model.read(source, target, weights=True)
    assert bool(memory.states_BSD.isfinite().all())
    log_probs_BTV = model.head.log_probs(decoded)
    assert bool(log_probs_BTV.isfinite().all())
    for reading in decoded.readings:
        if reading.weights_BHTS is not None:
            assert bool((reading.weights_BHTS[0] == 0).all())
    total, _ = model.head.nll(decoded, target)
    total.backward()  # type: ignore[no-untyped-call]
    for name, parameter in model.named_parameters():
        assert parameter.grad is None or bool(parameter.grad.isfinite().all()), name
    with torch.no_grad():
        state, found = model.start(model.encode(source)), []
        for t in range(5):
            step, state = model.step(target.ids_BT[:, t : t + 1], state)
            found.append(model.head.log_probs(step))
    agree(torch.cat(found, dim=1)[1], log_probs_BTV[1].detach())


@architectures
def test_an_empty_source_beside_another(architecture: Architecture) -> None:
    check_empty(architecture.model(), Padded.of([[], [5, 6, 7]]))


@architectures
def test_a_batch_of_empty_sources(architecture: Architecture) -> None:
    check_empty(architecture.model(), Padded.of([[], []]))


@architectures
@torch.no_grad()
def test_an_empty_source_is_the_same_in_any_company(architecture: Architecture) -> None:
    model, target = architecture.model(), batch(3, seed=1)
    alone_1TV = model(Padded.of([[]]), target)
    agree(model(Padded.of([[], [5, 6, 7]]), target.select(torch.tensor([0, 0])))[:1], alone_1TV)


@architectures
@torch.no_grad()
def test_an_empty_batch_is_an_empty_answer(architecture: Architecture) -> None:
    model = architecture.model()
    assert model(Padded.of([]), Padded.of([])).shape == (0, 0, TARGET_SIZE)


@architectures
@torch.no_grad()
def test_memories_of_several_sources_are_one(architecture: Architecture) -> None:
    """Masks travel with their states: two sources joined the other way round are read the same, but for who reads by place."""
    if architecture.connection == "local" or architecture.connection in SEVERAL:
        return
    model, target = architecture.model(), batch(5, 3, seed=2)
    first, second = model.encode(batch(7, 3)), model.encode(batch(2, 5, seed=3))
    if architecture.encoder == "post-gelu" and architecture.connection != "mixed-layers":
        first, second = (Memory(one.states_BSD, one.mask_BS, one.summary_BD) for one in (first, second))
    found = []
    for memories in ((first, second), (second, first)):
        decoded, _ = model.step(target.ids_BT, model.start(Memory.concat(memories), remember=False))
        found.append(model.head.log_probs(decoded))
    agree(found[0], found[1])


@torch.no_grad()
def test_a_mask_of_ones_own_hides_source_positions() -> None:
    """Hiding the last positions from everybody is having a shorter source; positions in the middle lose their vote."""
    for architecture in FAST:
        model, target = architecture.model(), batch(5, 3, seed=1)
        long = batch(7, 7)
        shorter_BT = torch.arange(7)[None] < torch.tensor([[4], [6]])
        hidden = Padded(long.ids_BT, long.lengths_B, shorter_BT)
        short = Padded.of([ids[:length] for ids, length in zip(long.rows(), (4, 6), strict=True)])
        agree(model(hidden, target), model(short, target))
        if not architecture.attending_encoder:
            continue
        pairs_BTT = shorter_BT[:, None] & torch.ones(7, 7, dtype=torch.bool)
        states_BSD = model.encode(Padded(long.ids_BT, long.lengths_B, pairs_BTT)).states_BSD
        agree(states_BSD[0, :4], model.encode(short).states_BSD[0, :4])


@torch.no_grad()
def test_a_mask_of_ones_own_narrows_the_target() -> None:
    """A target packed of two sequences that do not see each other: with no positions, each is as if alone."""
    for architecture in FAST:
        undivided = architecture.attending_decoder and architecture.target_segment is None
        no_positions = architecture.outside == "none-source-target" and undivided
        if not no_positions or architecture.connection in TWO_WAYS:
            continue
        model, source = architecture.model(), batch(7)
        one, two = rows(3, 4, seed=1)
        block_T = torch.tensor([0] * 3 + [1] * 4)
        packed = Padded(torch.tensor([one + two]), torch.tensor([7]), (block_T[:, None] == block_T[None])[None])
        expected = torch.cat([model(source, Padded.of([one])), model(source, Padded.of([two]))], dim=1)
        agree(model(source, packed), expected)
        hidden = Padded(torch.tensor([one + two]), torch.tensor([7]), (block_T == 1)[None])
        agree(model(source, hidden)[:, 3:], expected[:, 3:])
