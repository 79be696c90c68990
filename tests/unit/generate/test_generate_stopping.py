"""When a sentence is done: the three meanings of early stopping, number by number."""

from __future__ import annotations

import pytest
import torch

from isthmus.generate.choose import NEVER
from isthmus.generate.expand import Beam
from isthmus.generate.search import Rules
from isthmus.generate.state import Requests


def beaten(best: float, length: int, bar: float, stopping: bool | str, alpha: float, limit: int = 9) -> bool:
    """Whether a sentence is done whose best live beam has a score after so many pieces."""
    rules = Rules(3, Beam(2), length_penalty=alpha, early_stopping=stopping)  # type: ignore[arg-type]
    score_NK = torch.tensor([[best - 1, best]])
    return bool(rules.beaten(score_NK, torch.tensor([length]), torch.tensor([bar]), Requests.of([limit])))


@pytest.mark.parametrize("stopping", [True, False, "never"])
def test_nothing_is_done_before_as_many_have_ended_as_there_are_beams(stopping: bool | str) -> None:
    assert not beaten(-100.0, 5, NEVER, stopping, 1.0)


def test_true_asks_no_more() -> None:
    assert beaten(-0.1, 5, -9.0, True, 1.0)


def test_false_looks_at_the_present_length() -> None:
    assert beaten(-10.0, 5, -2.0, False, 1.0)  # -10 / 5 is no better than -2
    assert not beaten(-9.99, 5, -2.0, False, 1.0)
    assert beaten(-2.0, 5, -2.0, False, 0.0)


def test_never_looks_at_the_longest_output_with_its_end() -> None:
    assert beaten(-20.0, 5, -2.0, "never", 1.0)  # -20 / (9 + 1) is no better than -2
    assert not beaten(-19.9, 5, -2.0, "never", 1.0)
    assert beaten(-2.0, 5, -2.0, "never", 0.0)
    assert beaten(-2.0, 2, -4.0, "never", -1.0)  # where length costs, the present one is the best that can be hoped for
    assert not beaten(-1.9, 2, -4.0, "never", -1.0)


def test_a_coverage_penalty_can_only_lower_what_a_live_beam_may_reach() -> None:
    plain, covered = Rules(3, Beam(2)), Rules(3, Beam(2), coverage_penalty=0.5)
    arguments = (torch.tensor([[-9.0, -8.0]]), torch.tensor([4]), torch.tensor([-2.0]), Requests.of([9]))
    assert torch.equal(plain.beaten(*arguments), covered.beaten(*arguments))
