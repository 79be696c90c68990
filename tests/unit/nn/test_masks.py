"""Orders that put the real positions in front."""

from __future__ import annotations

import torch
from hypothesis import given
from hypothesis import strategies as st

from isthmus.nn.masks import in_front


@given(st.lists(st.lists(st.booleans(), min_size=5, max_size=5), max_size=7))
def test_what_is_true_comes_first_and_goes_back(rows: list[list[bool]]) -> None:
    mask_BS = torch.tensor(rows, dtype=torch.bool).view(len(rows), 5)
    order_BS, place_BS = in_front(mask_BS)
    assert torch.equal(order_BS, (~mask_BS).long().argsort(dim=1, stable=True))
    x_BS = torch.arange(5).expand(len(rows), 5)
    assert torch.equal(x_BS.gather(1, order_BS).gather(1, place_BS), x_BS)
