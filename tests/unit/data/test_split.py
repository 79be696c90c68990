from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from isthmus.core.errors import DataError, InputError
from isthmus.data.example import Example
from isthmus.data.split import hold_out, part_of


def examples(sources: list[int]) -> list[Example]:
    return [Example((f"source {source}",), f"target {number}") for number, source in enumerate(sources)]


@given(
    st.lists(st.integers(0, 60), min_size=1, max_size=211).filter(lambda values: len(set(values)) > 1),
    st.integers(0, 23),
    st.floats(0, 1),
)
def test_the_part_is_small_enough_and_never_empty(sources: list[int], most: int, share: float) -> None:
    every = examples(sources)
    part = hold_out(every, most, share)
    held = [example for example in every if part.holds(example)]
    rest = [example for example in every if part.rest.holds(example)]
    assert len(held) + len(rest) == len(every)
    assert held
    assert rest
    assert not {example.source for example in held} & {example.source for example in rest}
    limit = min(most, int(share * len(every)))
    assert len(held) <= limit or len({example.source for example in held}) == 1


def test_as_many_as_fit_are_held_out() -> None:
    every = examples(list(range(10_007)))
    assert sum(map(hold_out(every).holds, every)) == 200
    assert sum(map(hold_out(every, most=101).holds, every)) == 101


def test_the_order_does_not_matter() -> None:
    every = examples([number % 701 for number in range(2003)])
    shuffled = every.copy()
    random.Random(1).shuffle(shuffled)
    assert hold_out(every) == hold_out(shuffled)
    assert hold_out(every, salt="other") != hold_out(every)


@pytest.mark.parametrize("sources", [[], [3], [3, 3, 3]])
def test_one_source_cannot_be_divided(sources: list[int]) -> None:
    with pytest.raises(DataError, match="at least two different sources"):
        hold_out(examples(sources))


def test_parts_have_the_sizes_of_the_fractions() -> None:
    parts = [part_of(f"source {number}", [0.7, 0.2, 0.1]) for number in range(10_007)]
    assert [parts.count(part) / 10_007 for part in range(3)] == pytest.approx([0.7, 0.2, 0.1], abs=0.02)
    salted = [part_of(f"source {number}", [0.7, 0.2, 0.1], "salt") for number in range(10_007)]
    agree = sum(one == other for one, other in zip(parts, salted, strict=True)) / 10_007
    assert agree == pytest.approx(0.7**2 + 0.2**2 + 0.1**2, abs=0.02)


def test_a_part_of_nothing_stays_empty() -> None:
    assert {part_of(f"{number}", [0.0, 1.0, 0.0]) for number in range(997)} == {1}


@pytest.mark.parametrize("fractions", [[], [0.5, 0.6], [-0.5, 1.5]])
def test_wrong_fractions_are_an_error(fractions: list[float]) -> None:
    with pytest.raises(InputError, match="sum to 1"):
        part_of("a", fractions)
