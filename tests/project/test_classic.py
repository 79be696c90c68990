"""The listings of the README, run at a small size."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from isthmus import Padded

README = Path(__file__).parents[2] / "README.md"
SMALL = {"d_model=512": "d_model=16", "n_layers=6": "n_layers=1", "n_heads=8": "n_heads=2", "range(20)": "range(2)"}


def listing(marker: str) -> str:
    blocks = re.findall(r"```python run\n(.*?)```", README.read_text(encoding="utf-8"), flags=re.S)
    (found,) = [block for block in blocks if marker in block]
    for large, small in SMALL.items():
        found = found.replace(large, small)
    return str(found)


def test_the_classic_program_is_short_and_learns() -> None:
    program = listing("for epoch in")
    assert len([line for line in program.splitlines() if line.strip()]) <= 30
    torch.manual_seed(1)
    rows = [[5, 6, 7], [8, 9], [6, 5, 9, 8], [7]]
    batches = [(rows, rows)] * 120
    space: dict[str, Any] = {"batches": batches, "question": [5, 6, 7]}
    exec(program, space)
    assert space["loss"].item() < 5.0
    assert all(isinstance(token, int) for token in space["output"])


def test_masks_of_ones_own_do_what_the_listing_says() -> None:
    torch.manual_seed(1)
    space: dict[str, Any] = {}
    exec(listing("window ="), space)
    model, source, padding, target_in = (space[name] for name in ("model", "source", "padding", "target_in"))
    before = space["log_probs_BTV"]
    torch.testing.assert_close(model(changed_at(padding, 1), target_in), before)
    with_window = model(source, target_in)
    assert (model(padding, target_in) - with_window).abs().max() > 1e-3
    changed = (model(source, changed_at(target_in, 0)) - with_window).abs().amax(dim=-1)[0] > 1e-6
    assert changed.tolist() == [True, True, False, False]


def changed_at(padded: Padded, position: int) -> Padded:
    ids_BT = padded.ids_BT.clone()
    ids_BT[0, position] = 77
    return replace(padded, ids_BT=ids_BT)


@pytest.mark.parametrize("what", ["d_model=512", "n_layers=6", "n_heads=8", "dropout=0.1", "lr=1e-3", "range(20)"])
def test_the_classic_program_has_the_classic_numbers(what: str) -> None:
    blocks = re.findall(r"```python run\n(.*?)```", README.read_text(encoding="utf-8"), flags=re.S)
    assert any(what in block for block in blocks if "for epoch in" in block)
