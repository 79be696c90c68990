"""B row, T position, I input, D state."""

from __future__ import annotations

import pytest
import torch

from isthmus.nn.cache import KeyValueCache
from isthmus.nn.past import Past
from isthmus.nn.recurrent import CellKind, RecurrentLayer, RecurrentPast

B, T, IN, D = 3, 7, 5, 11
cells = pytest.mark.parametrize("cell", ["lstm", "gru"])


@cells
@pytest.mark.parametrize("begun", [False, True])
def test_steps_are_one_reading(cell: CellKind, begun: bool) -> None:
    layer, x_BTI = RecurrentLayer(cell, IN, D), torch.randn(B, T, IN)
    start = tuple(torch.randn(B, D) if begun else torch.zeros(B, D) for _ in range(layer.vectors))
    whole_BTD, last = layer.over(x_BTI, start if begun else None)
    gates_BTG, state = layer.project(x_BTI), start
    assert gates_BTG.shape == (B, T, layer.gates)
    for t in range(T):
        state = layer.step(gates_BTG[:, t], state)
        torch.testing.assert_close(state[0], whole_BTD[:, t])
    assert len(last) == layer.vectors
    for one, other in zip(state, last, strict=True):
        torch.testing.assert_close(one, other)


@cells
def test_bfloat16_keeps_its_state_in_a_sensible_type(cell: CellKind) -> None:
    layer, x_BTI = RecurrentLayer(cell, IN, D), torch.randn(B, T, IN)
    exact_BTD, _ = layer.over(x_BTI)
    with torch.autocast("cpu", torch.bfloat16):
        rough_BTD, _ = layer.over(x_BTI)
        gates_BTG, state = layer.project(x_BTI), (torch.zeros(B, D),) * layer.vectors
        for t in range(T):
            state = layer.step(gates_BTG[:, t], state)
    torch.testing.assert_close(rough_BTD.float(), exact_BTD, rtol=0.05, atol=0.02)
    torch.testing.assert_close(state[0].float(), exact_BTD[:, -1], rtol=0.05, atol=0.02)


def test_a_past_is_rows_of_vectors() -> None:
    past = RecurrentPast((torch.randn(B, D), torch.randn(B, D)))
    rows = torch.tensor([2, 0, 0, 1])
    chosen = past.select(rows)
    assert all(torch.equal(a, b[rows]) for a, b in zip(chosen.vectors, past.vectors, strict=True))
    joined = past.join((chosen, past))
    assert [vector.shape for vector in joined.vectors] == [(B + 4 + B, D)] * 2
    assert torch.equal(joined.vectors[1][B : B + 4], chosen.vectors[1])
    assert past.fork().reserved(99) == past


def test_both_kinds_are_pasts() -> None:
    pasts: tuple[Past, ...] = (
        RecurrentPast((torch.zeros(B, D),)),
        KeyValueCache.empty(B, 2, 5, torch.zeros(1)).reserved(3),
    )
    assert all(past.join((past,)).select(torch.tensor([5, 0])) for past in pasts)
    cache = pasts[1]
    assert isinstance(cache, KeyValueCache)
    assert cache.capacity == 16
    assert cache.reserved(16) is cache
    assert cache.reserved(17).capacity == 24
