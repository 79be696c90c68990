"""The fixed-length vector on values by hand."""

from __future__ import annotations

import pytest
import torch

from isthmus.model.summary import Summary, SummaryKind

STATES = torch.tensor([[[1.0, -4.0], [3.0, -2.0], [8.0, 9.0]], [[5.0, 6.0], [7.0, 8.0], [-1.0, 0.0]]])
MASK = torch.tensor([[True, True, False], [False, True, True]])


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("mean", [[2.0, -3.0], [3.0, 4.0]]),
        ("first", [[1.0, -4.0], [7.0, 8.0]]),
        ("last", [[3.0, -2.0], [-1.0, 0.0]]),
        ("maximum", [[3.0, -2.0], [7.0, 8.0]]),
    ],
)
def test_by_hand(kind: SummaryKind, expected: list[list[float]]) -> None:
    assert Summary(kind, 2)(STATES, MASK).tolist() == expected


def test_attentive_by_hand() -> None:
    summary = Summary("attentive", 2)
    assert summary.score is not None
    with torch.no_grad():
        summary.score.weight.copy_(torch.tensor([[0.5, 0.0]]))
    share = torch.tensor([0.5, 1.5]).softmax(0)
    expected = share[0] * STATES[0, 0] + share[1] * STATES[0, 1]
    torch.testing.assert_close(summary(STATES, MASK)[0], expected)


@pytest.mark.parametrize("kind", ["mean", "first", "last", "maximum", "attentive"])
def test_an_empty_source_gives_zeros(kind: SummaryKind) -> None:
    summary = Summary(kind, 2)
    assert summary(STATES, torch.zeros(2, 3, dtype=torch.bool)).tolist() == [[0.0, 0.0]] * 2
    assert summary(torch.zeros(2, 0, 2), torch.zeros(2, 0, dtype=torch.bool)).tolist() == [[0.0, 0.0]] * 2


@pytest.mark.parametrize("kind", ["mean", "first", "last", "maximum", "attentive"])
def test_what_is_masked_says_nothing(kind: SummaryKind) -> None:
    summary = Summary(kind, 2)
    changed = torch.where(MASK[:, :, None], STATES, torch.tensor(1e6))
    torch.testing.assert_close(summary(changed, MASK), summary(STATES, MASK))
