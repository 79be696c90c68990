"""Laws 1 and 3: step after step is one whole forward, whatever happens to the rows in between; `select` commutes.

B row, T target position, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from isthmus.core.padded import Padded
from isthmus.model.encoder_decoder import EncoderDecoder
from isthmus.model.memory import Memory
from isthmus.model.state import DecoderState
from tests.laws.architectures import FAST, TARGET_SIZE, Architecture, agree, architectures, batch

LENGTHS = (7, 3, 5)
WIDTH = 7


def stepped(model: EncoderDecoder, memory: Memory, tokens_BT: Tensor, blocks: Sequence[int]) -> Tensor:
    """Log-probabilities [B, T, V] read block by block."""
    state = model.start(memory)
    found = []
    for block_BT in torch.split(tokens_BT, list(blocks), dim=1):
        decoded, state = model.step(block_BT, state)
        found.append(model.head.log_probs(decoded))
    return torch.cat(found, dim=1)


@architectures
@torch.no_grad()
def test_steps_are_one_forward(architecture: Architecture) -> None:
    model, source, target = architecture.model(), batch(*LENGTHS), batch(WIDTH, WIDTH, WIDTH, seed=1)
    whole_BTV = model(source, target)
    for blocks in ([1] * WIDTH, [WIDTH], [2, 1, 3, 1], [6, 1]):
        agree(stepped(model, model.encode(source), target.ids_BT, blocks), whole_BTV)


@architectures
@torch.no_grad()
def test_more_steps_than_slots_grow_the_caches(architecture: Architecture) -> None:
    model, source, target = architecture.model(), batch(5, 2), batch(37, 37, seed=1)
    agree(stepped(model, model.encode(source), target.ids_BT, [1] * 37), model(source, target))


@architectures
@torch.no_grad()
def test_selecting_sources_commutes_with_encoding(architecture: Architecture) -> None:
    model, source, rows_B = architecture.model(), batch(*LENGTHS), torch.tensor([2, 0, 0, 1, 2])
    memory = model.encode(source)
    first, second = memory.select(rows_B), model.encode(source.select(rows_B))
    agree(first.states_BSD, second.states_BSD)
    assert torch.equal(first.mask_BS, second.mask_BS)
    assert first.summary_BD is not None
    assert second.summary_BD is not None
    agree(first.summary_BD, second.summary_BD)
    assert len(first.layers) == len(second.layers)
    for one, other in zip(first.layers, second.layers, strict=True):
        agree(one, other)
    doubled = memory.repeat(2)
    assert torch.equal(doubled.states_BSD, memory.states_BSD.repeat_interleave(2, dim=0))


@architectures
@pytest.mark.parametrize("rows", [[0, 0, 1, 1, 2, 2], [2, 0, 1], [1, 1, 1, 0], [2, 2, 0, 2], [1]])
@torch.no_grad()
def test_selecting_rows_commutes_with_steps(architecture: Architecture, rows: list[int]) -> None:
    """Before the first step, in the middle, and before and in the middle: repeated, irregular and left out rows."""
    model, source, target = architecture.model(), batch(*LENGTHS), batch(WIDTH, WIDTH, WIDTH, seed=1)
    rows_B = torch.tensor(rows)
    whole_BTV = model(source, target)[rows_B]
    memory = model.encode(source)
    agree(stepped(model, memory.select(rows_B), target.ids_BT[rows_B], [4, 3]), whole_BTV)
    for before in (0, 1, 4):
        state = model.start(memory)
        for t in range(before):
            _, state = model.step(target.ids_BT[:, t : t + 1], state)
        state = state.select(rows_B)
        found = []
        for t in range(before, WIDTH):
            decoded, state = model.step(target.ids_BT[rows_B, t : t + 1], state)
            found.append(model.head.log_probs(decoded))
        agree(torch.cat(found, dim=1), whole_BTV[:, before:])


@torch.no_grad()
def test_beams_of_one_source_share_its_link() -> None:
    one_way = next(one for one in FAST if one.connection == "attention")
    model = one_way.model()
    state = model.start(model.encode(batch(*LENGTHS))).select(torch.tensor([0, 0, 0, 1, 1, 1, 2, 2, 2]))
    assert {link.rows for link in state.links} == {3}
    assert state.rows_per_source == 3
    state = state.select(torch.tensor([8, 6]))
    assert {link.rows for link in state.links} == {1}
    assert state.source_of_row_B.tolist() == [0, 0]


@lru_cache(maxsize=len(FAST))
def known(architecture: Architecture) -> EncoderDecoder:
    return architecture.model()


class Rows:
    """A decoding state and, beside it, what its rows have read: the naive twin that knows only `model.forward`."""

    def __init__(self, model: EncoderDecoder, sources: list[list[int]], state: DecoderState | None = None) -> None:
        self.model = model
        self.sources = sources
        self.tokens: list[list[int]] = [[] for _ in sources]
        self.state = model.start(model.encode(Padded.of(sources))) if state is None else state

    def step(self, block: int) -> None:
        """Feed a block and compare with forwards of the whole past."""
        new = torch.randint(4, TARGET_SIZE, (len(self.sources), block))
        decoded, self.state = self.model.step(new, self.state)
        log_probs_BTV = self.model.head.log_probs(decoded)
        self.tokens = [[*old, *more] for old, more in zip(self.tokens, new.tolist(), strict=True)]
        for row, (source, tokens) in enumerate(zip(self.sources, self.tokens, strict=True)):
            whole_1TV = self.model(Padded.of([source]), Padded.of([tokens]))
            agree(log_probs_BTV[row], whole_1TV[0, len(tokens) - block :])

    def select(self, rows: list[int]) -> None:
        self.state = self.state.select(torch.tensor(rows))
        self.sources, self.tokens = [self.sources[row] for row in rows], [self.tokens[row] for row in rows]

    def fork(self) -> Rows:
        twin = Rows(self.model, self.sources, self.state.fork())
        twin.tokens = list(self.tokens)
        return twin

    def join(self, other: Rows) -> None:
        self.state = DecoderState.join([self.state, other.state])
        self.sources, self.tokens = [*self.sources, *other.sources], [*self.tokens, *other.tokens]


@settings(max_examples=40)
@given(st.data())
@torch.no_grad()
def test_whatever_happens_to_the_rows(data: st.DataObject) -> None:
    """Any sequence of steps, selections, forks and joins of rows at different positions, on any architecture."""
    model = known(data.draw(st.sampled_from(FAST), label="architecture"))
    rows = Rows(model, [[5, 9, 3], [7, 3, 11, 4, 25]])
    for _ in range(data.draw(st.integers(2, 7), label="operations")):
        match data.draw(st.sampled_from(["step", "step", "select", "fork", "join"]), label="operation"):
            case "step":
                rows.step(data.draw(st.integers(1, 3), label="block"))
            case "select":
                index = st.integers(0, len(rows.sources) - 1)
                rows.select(data.draw(st.lists(index, min_size=1, max_size=5), label="rows"))
            case "fork":
                twin = rows.fork()
                for one in (twin, rows, twin):  # neither may notice the other
                    one.step(1)
            case "join":
                other = Rows(model, [[6], [8, 9, 10, 3]])
                other.step(data.draw(st.integers(1, 2), label="other's block"))
                rows.join(other)
        if len(rows.sources) > 7:
            rows.select([0, 6, 3])
    rows.step(1)
