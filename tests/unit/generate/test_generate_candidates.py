"""The best scores of a row, against a stable sort of the whole row. N rows, K beams, V pieces, X places."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from isthmus.generate.expand.candidates import BLOCK, BLOCKS_FROM, best, highest, top


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


@settings(max_examples=60)
@given(st.integers(1, 5), st.integers(1, 12 * BLOCK), st.integers(1, 11), st.integers(0, 999))
def test_what_beams_had_before_counts_as_if_it_were_added_to_every_score(
    beams: int, pieces: int, count: int, seed: int
) -> None:
    generator = torch.Generator().manual_seed(seed)
    scores_NKV = torch.randint(1_000_000, (3, beams, pieces), generator=generator) * -1e-5
    before_NK = torch.randint(100, (3, beams), generator=generator) * -0.17
    before_NK[torch.rand(before_NK.shape, generator=generator) < 0.2] = float("-inf")
    found, naive = best(scores_NKV, count, before_NK), best(before_NK.unsqueeze(-1) + scores_NKV, count)
    assert torch.equal(found.score_NC, naive.score_NC)
    real_NC = found.score_NC > float("-inf")
    assert torch.equal(found.parent_NC[real_NC], naive.parent_NC[real_NC])
    assert torch.equal(found.token_NC[real_NC], naive.token_NC[real_NC])


@pytest.mark.parametrize("pieces", [5, BLOCK, 7 * BLOCK, 7 * BLOCK + 3])
@pytest.mark.parametrize("rows", [2, 2 * BLOCKS_FROM])
@pytest.mark.parametrize("values", [3, 1_000_000], ids=["mostly equal", "mostly different"])
def test_the_highest_is_the_first_of_equals(values: int, rows: int, pieces: int) -> None:
    scores_NV = torch.randint(values, (rows, pieces), generator=torch.Generator().manual_seed(0)).float()
    value_N1, place_N1 = highest(scores_NV)
    for row, value, place in zip(scores_NV.tolist(), value_N1.tolist(), place_N1.tolist(), strict=True):
        assert (value, place) == ([max(row)], [row.index(max(row))])
