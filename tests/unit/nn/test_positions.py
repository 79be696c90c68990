from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from isthmus.nn.positions import Learned, Rotary, Sinusoidal, sinusoid_table


def test_the_formula_of_the_paper() -> None:
    table = sinusoid_table(101, 6)
    for position in (0, 1, 7, 100):
        for i in range(3):
            angle = position / 10000 ** (2 * i / 6)
            assert float(table[position, i]) == pytest.approx(math.sin(angle), abs=1e-6)
            assert float(table[position, 3 + i]) == pytest.approx(math.cos(angle), abs=1e-6)


def test_inclusive_waves_end_at_the_slowest() -> None:
    table = sinusoid_table(101, 6, "inclusive")
    for position in (0, 1, 7, 100):
        for i in range(3):
            angle = position / 10000 ** (i / 2)
            assert float(table[position, i]) == pytest.approx(math.sin(angle), abs=1e-6)
            assert float(table[position, 3 + i]) == pytest.approx(math.cos(angle), abs=1e-6)


def test_an_odd_size_has_a_last_column_of_zeros() -> None:
    table = sinusoid_table(5, 7)
    assert table.shape == (5, 7)
    assert bool((table[:, 6] == 0).all())
    assert torch.equal(table[:, :6], sinusoid_table(5, 6))


@pytest.mark.parametrize("kind", [Sinusoidal, Learned])
def test_a_vector_a_position(kind: type[Sinusoidal] | type[Learned]) -> None:
    positions, offset = kind(7, 4), kind(7, 4, 2)
    position_BT = torch.tensor([[0, 3, 6], [2, 2, 1]])
    vectors_BTD = positions(position_BT)
    assert vectors_BTD.shape == (2, 3, 4)
    assert torch.equal(vectors_BTD[1, 0], vectors_BTD[1, 1])
    assert torch.equal(positions(torch.tensor([[6]]))[0, 0], vectors_BTD[0, 2])
    table = next(iter([*offset.parameters(), *offset.buffers()]))
    assert table.shape == (9, 4)
    assert torch.equal(offset(position_BT), table[position_BT + 2])


def test_waves_are_no_weights() -> None:
    assert not Sinusoidal(7, 4).state_dict()
    assert not Rotary(7, 4).state_dict()
    assert list(Learned(7, 4).state_dict()) == ["weight"]


@settings(max_examples=25)
@given(st.integers(0, 40), st.integers(0, 40), st.integers(0, 50))
def test_rotated_products_depend_on_the_difference_only(one: int, other: int, shift: int) -> None:
    rotary = Rotary(101, 8)
    query, key = torch.randn(1, 1, 1, 8), torch.randn(1, 1, 1, 8)

    def product(a: int, b: int) -> float:
        return float((rotary(query, torch.tensor([[a]])) * rotary(key, torch.tensor([[b]]))).sum())

    assert product(one, other) == pytest.approx(product(one + shift, other + shift), rel=1e-4, abs=1e-4)


def test_rotation_keeps_lengths_and_begins_with_nothing() -> None:
    rotary, x = Rotary(11, 6), torch.randn(2, 3, 5, 6)
    position_BT = torch.arange(5)[None]
    rotated = rotary(x, position_BT)
    torch.testing.assert_close(rotated.norm(dim=-1), x.norm(dim=-1))
    assert torch.equal(rotated[:, :, 0], x[:, :, 0])
    assert not torch.allclose(rotated[:, :, 1], x[:, :, 1])
    first = torch.complex(x[..., :3], x[..., 3:])
    turned = first * torch.polar(torch.ones(5, 3), torch.arange(5.0)[:, None] * 10000.0 ** (-torch.arange(3.0) / 3))
    torch.testing.assert_close(torch.complex(rotated[..., :3], rotated[..., 3:]), turned, rtol=1e-5, atol=1e-5)


def test_rows_may_stand_at_different_positions() -> None:
    rotary, x = Rotary(11, 6), torch.randn(2, 3, 1, 6)
    both = rotary(x, torch.tensor([[4], [9]]))
    assert torch.equal(both[1:], rotary(x[1:], torch.tensor([[9]])))


def test_bfloat16_stays_bfloat16() -> None:
    assert Rotary(11, 6)(torch.ones(1, 1, 2, 6, dtype=torch.bfloat16), torch.arange(2)[None]).dtype == torch.bfloat16
