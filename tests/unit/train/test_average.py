from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from isthmus.train.average import (
    Average,
    AverageConfig,
    BestAverage,
    EmaAverage,
    LastAverage,
    NoAverage,
    build_average,
)


def weights(number: float) -> dict[str, Tensor]:
    return {"a": torch.full((2, 3), number), "b": torch.full((5,), -number)}


def value(found: object) -> float:
    assert isinstance(found, dict)
    assert torch.equal(found["a"].flatten()[:5], -found["b"])
    return float(found["b"][0]) * -1


def live(average: Average, steps: range) -> None:
    for step in steps:
        average.after_step(weights(float(step)))
        if step % 2 == 0:
            average.before_validation(step, weights(float(step)))
            average.after_validation(step, weights(float(step)), merit=float(step % 5))


def test_none_keeps_nothing() -> None:
    average = build_average(NoAverage())
    live(average, range(1, 9))
    assert (average.weights(), average.final(), average.tensors()) == (None, None, {})


def test_last_is_the_mean_of_the_last_validations() -> None:
    average = build_average(LastAverage(count=3))
    live(average, range(1, 5))
    assert value(average.weights()) == 3
    live(average, range(5, 11))
    assert value(average.weights()) == 8
    assert average.final() is None


def test_best_is_the_mean_of_the_best_validations_and_of_equals_the_earlier() -> None:
    average = build_average(BestAverage(count=2))
    live(average, range(1, 15))  # merits: 2:2 4:4 6:1 8:3 10:0 12:2 14:4
    assert average.weights() is None
    assert value(average.final()) == (4 + 14) / 2
    average.after_validation(16, weights(16.0), merit=4.0)
    assert value(average.final()) == (4 + 14) / 2


@given(st.lists(st.floats(-100, 100), min_size=1, max_size=30), st.floats(0.01, 0.999))
def test_ema_is_the_weighted_mean_whose_weights_sum_to_one(numbers: list[float], decay: float) -> None:
    average = build_average(EmaAverage(decay=decay))
    for number in numbers:
        average.after_step({"a": torch.tensor([number], dtype=torch.float64)})
    shares = [decay ** (len(numbers) - 1 - index) for index in range(len(numbers))]
    expected = sum(share * number for share, number in zip(shares, numbers, strict=True)) / sum(shares)
    found = average.weights()
    assert found is not None
    assert float(found["a"]) == pytest.approx(expected, rel=1e-9, abs=1e-9)


@pytest.mark.parametrize("config", [LastAverage(count=3), BestAverage(count=2), EmaAverage(decay=0.9), NoAverage()])
def test_saved_and_loaded_goes_on_to_the_bit(config: AverageConfig) -> None:
    whole, halved = build_average(config), build_average(config)
    live(whole, range(1, 20))
    live(halved, range(1, 8))
    resumed = build_average(config)
    resumed.load({name: tensor.clone() for name, tensor in halved.tensors().items()})
    live(resumed, range(8, 20))
    ours, theirs = whole.tensors(), resumed.tensors()
    assert sorted(ours) == sorted(theirs)
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)


def test_snapshots_are_copies() -> None:
    average, own = build_average(LastAverage(count=1)), weights(1.0)
    average.before_validation(1, own)
    own["a"].zero_(), own["b"].zero_()
    assert value(average.weights()) == 1
