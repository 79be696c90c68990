from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from isthmus.train.schedule import (
    Constant,
    Cosine,
    InverseSquareRoot,
    Linear,
    ScheduleConfig,
    WarmupStableDecay,
    factor,
)

SCHEDULES = st.one_of(
    st.builds(InverseSquareRoot, warmup=st.integers(1, 50)),
    st.builds(Cosine, warmup=st.integers(0, 50), final=st.floats(0, 1)),
    st.builds(Linear, warmup=st.integers(0, 50), final=st.floats(0, 1)),
    st.builds(Constant, warmup=st.integers(0, 50)),
    st.builds(WarmupStableDecay, warmup=st.integers(0, 50), decay=st.integers(1, 50), final=st.floats(0, 1)),
)


@given(SCHEDULES, st.integers(101, 300))
def test_factors_rise_to_one_in_the_warm_up_and_never_rise_again(schedule: ScheduleConfig, steps: int) -> None:
    factors = [factor(schedule, step, steps) for step in range(1, steps + 1)]
    peak = max(schedule.warmup, 1)
    assert all(0 <= value <= 1 for value in factors)
    assert factors[: peak - 1] == [step / schedule.warmup for step in range(1, peak)]
    if schedule.warmup:
        assert factors[peak - 1] == pytest.approx(1)
    assert all(later <= sooner + 1e-12 for sooner, later in zip(factors[peak - 1 :], factors[peak:], strict=False))


@pytest.mark.parametrize(
    ("schedule", "step", "expected"),
    [
        (InverseSquareRoot(warmup=100), 400, 0.5),
        (Cosine(warmup=100, final=0.1), 550, 0.55),
        (Cosine(final=0.1), 1000, 0.1),
        (Linear(warmup=100, final=0.2), 550, 0.6),
        (Linear(), 1000, 0.0),
        (Constant(warmup=10), 1000, 1.0),
        (WarmupStableDecay(decay=100), 900, 1.0),
        (WarmupStableDecay(decay=100), 925, 0.5),
        (WarmupStableDecay(decay=100, final=0.25), 1000, 0.25),
    ],
)
def test_factors_are_those_of_the_papers(schedule: ScheduleConfig, step: int, expected: float) -> None:
    assert factor(schedule, step, 1000) == pytest.approx(expected)


def test_inverse_square_root_is_the_rate_of_the_paper_scaled() -> None:
    d_model, warmup = 512, 4000
    for step in (1, 17, 4000, 100_000):
        paper = d_model**-0.5 * min(step**-0.5, step * warmup**-1.5)
        peak = (d_model * warmup) ** -0.5
        assert peak * factor(InverseSquareRoot(warmup=warmup), step, 10) == pytest.approx(paper)
    assert math.isclose(factor(InverseSquareRoot(warmup=4), 4, 1), 1)
