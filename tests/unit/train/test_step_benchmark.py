"""What `benchmarks/step.py` says that an update reads and writes."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from benchmarks.step import REST, Bytes, part_of

X = torch.ones(4, 8)
W = torch.ones(8, 2)
TABLE = torch.ones(1000, 8)
IDS = torch.tensor([3, 5, 3])


@pytest.mark.parametrize(
    ("run", "part", "expected"),
    [
        (lambda: X @ W, "matrix products", 4 * (4 * 8 + 8 * 2 + 4 * 2)),
        (X.bfloat16, "copies between types and layouts", (4 + 2) * 4 * 8),
        (lambda: X.add_(0), "other arithmetic on numbers", 4 * (4 * 8 + 4 * 8)),
        (lambda: X * X[:1].expand(4, 8), "other arithmetic on numbers", 4 * (4 * 8 + 8 + 4 * 8)),
        (lambda: functional.embedding(IDS, TABLE), "look-ups", 8 * 3 + 4 * 3 * 8),
    ],
)
def test_bytes_are_those_of_what_is_read_and_written(run: Callable[[], Tensor], part: str, expected: int) -> None:
    with Bytes() as moved:
        run()
    assert moved.by_part[part] == expected == moved.by_part.total()


def test_a_view_moves_nothing() -> None:
    with Bytes() as moved:
        X.t().reshape(32).view(2, 16).expand(3, 2, 16)[0]
    assert moved.by_part["copies between types and layouts"] == 2 * 4 * 32  # the transposed rows are put in order
    assert moved.by_part.total() == 2 * 4 * 32


def test_gradients_are_counted_too() -> None:
    w = W.clone().requires_grad_()
    with Bytes() as moved:
        torch.autograd.backward((X @ w).sum())
    forward, backward = 32 + 16 + 8, 32 + 1 + 16  # the sum's gradient is one number, repeated
    assert moved.by_part["matrix products"] == 4 * (forward + backward)


@pytest.mark.parametrize(
    ("name", "part"),
    [
        ("aten::addmm", "matrix products"),
        ("aten::_softmax_backward_data", "exponentials, logarithms, softmax"),
        ("aten::add_", "other arithmetic on numbers"),
        ("aten::_fused_adamw_", "optimiser and the gradient's norm"),
        ("aten::transpose", REST),
    ],
)
def test_each_operation_has_a_part(name: str, part: str) -> None:
    assert part_of(name) == part
