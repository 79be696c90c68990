"""The best scores of a row, against a stable sort of the whole row. N rows, X places."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from isthmus.generate.expand.candidates import BLOCK, top


@pytest.mark.parametrize("values", [3, 1_000_000], ids=["mostly equal", "mostly different"])
@settings(max_examples=60)
@given(st.integers(1, 3), st.integers(1, 40 * BLOCK), st.integers(1, 11), st.integers(0, 999))
def test_the_best_are_those_of_a_stable_sort(values: int, rows: int, places: int, count: int, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    scores_NX = torch.randint(values, (rows, places), generator=generator).float()
    scores_NX[torch.rand(scores_NX.shape, generator=generator) < 0.3] = float("-inf")
    value_NC, index_NC = top(scores_NX, count)
    sorted_NX, order_NX = torch.sort(scores_NX, dim=1, descending=True, stable=True)
    count = min(count, places)
    assert torch.equal(value_NC, sorted_NX[:, :count])
    real_NC = value_NC > float("-inf")
    assert torch.equal(index_NC[real_NC], order_NX[:, :count][real_NC])
