"""Nothing in a training step asks the device for a number: every part's forward and backward pass on tensors without data."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import pytest
import torch

from isthmus.train.feed import on_device
from isthmus.train.objective import CrossEntropy, Objective, RDrop, ScheduledSampling
from tests.laws.architectures import FAST, Architecture
from tests.unit.train.toy import batch_of


def covering(architectures: Iterable[Architecture]) -> Iterator[Architecture]:
    """Those that have a part which none before them has."""
    seen: set[str] = set()
    for one in architectures:
        if not seen.issuperset(parts := str(one).split("+")):
            seen.update(parts)
            yield one


BATCH = batch_of([([5, 6, 7, 8], [6, 7, 5]), ([9, 5], [8, 9, 10, 11]), ([12], [5])])


def step(architecture: Architecture, objective: Objective) -> None:
    """One pass on the device that has shapes and types only; whoever looks at a value there fails."""
    model = architecture.model().train().to("meta")
    total, count = objective(model, on_device(BATCH, "meta"), 0.5)
    torch.autograd.backward(total)
    assert (total.device.type, count.device.type) == ("meta", "meta")
    assert total.dtype == torch.float32
    trained = [parameter for parameter in model.parameters() if parameter.grad is not None]
    assert len(trained) > 3
    assert all(parameter.grad is not None and parameter.grad.dtype == torch.float32 for parameter in trained)


@pytest.mark.parametrize("architecture", list(covering(FAST)), ids=str)
def test_a_step_looks_at_no_value(architecture: Architecture) -> None:
    step(architecture, CrossEntropy(0.1))


@pytest.mark.parametrize("objective", [RDrop(0.1), ScheduledSampling(0.1)], ids=["r-drop", "scheduled-sampling"])
def test_no_objective_looks_at_a_value(objective: Objective) -> None:
    step(FAST[0], objective)


def test_a_look_would_be_noticed() -> None:
    with pytest.raises(RuntimeError):
        torch.ones(3, device="meta")[torch.ones(3, dtype=torch.bool, device="meta")].sum().item()
