"""B batch, T position."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from isthmus.core.padded import PAD, Padded

ROWS = st.lists(st.lists(st.integers(1, 2**40), max_size=7), max_size=5)


@given(ROWS)
def test_stacking_and_taking_apart(rows: list[list[int]]) -> None:
    padded = Padded.of(rows)
    assert padded.rows() == rows
    assert padded.lengths_B.tolist() == [len(row) for row in rows]
    assert padded.ids_BT.shape == (len(rows), max((len(row) for row in rows), default=0))
    assert padded.ids_BT.dtype == padded.lengths_B.dtype == torch.int64
    assert bool((padded.ids_BT[~padded.mask_BT] == PAD).all())
    assert padded.mask_BT.sum(dim=1).tolist() == padded.lengths_B.tolist()


@given(ROWS.filter(bool), st.data())
def test_selecting_is_indexing(rows: list[list[int]], data: st.DataObject) -> None:
    chosen = data.draw(st.lists(st.integers(0, len(rows) - 1), max_size=7))
    index = torch.tensor(chosen, dtype=torch.int64)
    assert Padded.of(rows).select(index).rows() == [rows[number] for number in chosen]


def test_a_real_id_may_be_the_padding_id() -> None:
    assert Padded.of([[0, 5, 0], [7]]).rows() == [[0, 5, 0], [7]]


def test_a_mask_of_ones_own() -> None:
    rows, hide = Padded.of([[5, 6, 7], [8]]), torch.tensor([[True, False, True], [True, True, True]])
    hidden = Padded(rows.ids_BT, rows.lengths_B, hide)
    assert hidden.mask_BT.int().tolist() == [[1, 0, 1], [1, 0, 0]]
    assert hidden.attend_BTT is None
    pairs = Padded(rows.ids_BT, rows.lengths_B, torch.ones(2, 3, 3, dtype=torch.bool))
    assert pairs.mask_BT.int().tolist() == [[1, 1, 1], [1, 0, 0]]
    assert pairs.attend_BTT is pairs.attend
    assert rows.attend_BTT is None
    chosen = hidden.select(torch.tensor([1, 0]))
    assert chosen.attend is not None
    assert torch.equal(chosen.attend, hide.flip(0))


def test_moving_moves_everything() -> None:
    padded = Padded.of([[5, 6]])
    assert padded.to("meta").ids_BT.device.type == padded.to("meta").lengths_B.device.type == "meta"
    assert padded.to("meta").attend is None
    masked = Padded(padded.ids_BT, padded.lengths_B, padded.mask_BT).to("meta")
    assert masked.attend is not None
    assert masked.attend.device.type == "meta"


def test_it_is_frozen() -> None:
    with pytest.raises(AttributeError):
        Padded.of([[1]]).attend = None  # type: ignore[misc]
