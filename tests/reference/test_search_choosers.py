"""Each chooser against the logits processor of Hugging Face transformers that it names, element by element."""

from __future__ import annotations

from typing import cast

import pytest
import torch
from torch import Tensor
from transformers.generation import logits_process as hf

from isthmus.generate import choose

ROWS, SIZE, END = 13, 101, 3


@pytest.fixture
def logits() -> Tensor:
    """Random logits, with exact ties in some rows."""
    logits = torch.randn(ROWS, SIZE) * 3
    logits[::3] = logits[::3].round()
    return logits


def history(length: int) -> torch.LongTensor:
    return cast(torch.LongTensor, torch.zeros(ROWS, length, dtype=torch.int64))


@pytest.mark.parametrize("value", [0.05, 0.7, 1.0, 2.5])
def test_temperature(logits: Tensor, value: float) -> None:
    assert torch.equal(choose.temperature(logits, value), hf.TemperatureLogitsWarper(value)(history(1), logits))


@pytest.mark.parametrize("k", [1, 7, 100, 101, 500])
def test_top_k(logits: Tensor, k: int) -> None:
    assert torch.equal(choose.top_k(logits, k), hf.TopKLogitsWarper(k)(history(1), logits))


@pytest.mark.parametrize("p", [0.001, 0.3, 0.9, 0.999])
def test_top_p(logits: Tensor, p: float) -> None:
    assert torch.equal(choose.top_p(logits, p), hf.TopPLogitsWarper(p)(history(1), logits))


@pytest.mark.parametrize("p", [0.01, 0.2, 1.0])
def test_min_p(logits: Tensor, p: float) -> None:
    assert torch.equal(choose.min_p(logits, p), hf.MinPLogitsWarper(p)(history(1), logits))


def test_choosers_that_keep_everything_change_nothing(logits: Tensor) -> None:
    for same in (choose.top_k(logits, 0), choose.top_p(logits, 1.0), choose.min_p(logits, 0.0)):
        assert torch.equal(same, logits)


def test_suppress(logits: Tensor) -> None:
    ids = [0, 2, 97]
    assert torch.equal(
        choose.suppress(logits, torch.tensor(ids)), hf.SuppressTokensLogitsProcessor(ids)(history(1), logits)
    )


@pytest.mark.parametrize("length", [0, 4, 5, 6])
def test_minimum_length(logits: Tensor, length: int) -> None:
    start = 2
    expected = hf.MinNewTokensLengthLogitsProcessor(start, 5, END)(history(start + length), logits)
    assert torch.equal(choose.suppress_where(logits, torch.full((ROWS,), length < 5), END), expected)


def test_minimum_length_is_each_row_s_own(logits: Tensor) -> None:
    where = torch.arange(ROWS) % 2 == 0
    chosen = choose.suppress_where(logits, where, END)
    assert torch.equal(chosen[:, END] == choose.NEVER, where)
    assert torch.equal(chosen[~where], logits[~where])


@pytest.mark.parametrize("length", [1, 2])
def test_forced_first_piece(logits: Tensor, length: int) -> None:
    expected = hf.ForcedBOSTokenLogitsProcessor(41)(history(length), logits)
    ids = torch.full((ROWS,), 41 if length == 1 else -1)
    assert torch.equal(choose.force(logits, ids), expected)


def test_the_argument_is_never_changed(logits: Tensor) -> None:
    before = logits.clone()
    choose.temperature(logits, 2.0)
    choose.top_k(logits, 5)
    choose.top_p(logits, 0.5)
    choose.min_p(logits, 0.5)
    choose.suppress(logits, torch.tensor([1]))
    choose.suppress_where(logits, torch.ones(ROWS, dtype=torch.bool), END)
    choose.force(logits, torch.ones(ROWS, dtype=torch.int64))
    assert torch.equal(logits, before)
