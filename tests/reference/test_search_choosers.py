"""Each chooser against the logits processor of Hugging Face transformers that it names, element by element."""

from __future__ import annotations

from typing import cast

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
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


@pytest.fixture
def produced() -> torch.LongTensor:
    """Pieces of few kinds, so that they repeat."""
    return cast(torch.LongTensor, torch.randint(4, 11, (ROWS, 17)))


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


@pytest.mark.parametrize("p", [0.01, 0.2, 0.9, 0.999])
def test_typical(logits: Tensor, p: float) -> None:
    assert torch.equal(choose.typical(logits, p), hf.TypicalLogitsWarper(p)(history(1), logits))


@pytest.mark.parametrize("cutoff", [3e-4, 0.02, 0.3, 0.9])
def test_epsilon(logits: Tensor, cutoff: float) -> None:
    assert torch.equal(choose.epsilon(logits, cutoff), hf.EpsilonLogitsWarper(cutoff)(history(1), logits))


@pytest.mark.parametrize("cutoff", [3e-4, 0.02, 0.3, 0.9])
@pytest.mark.parametrize("flatness", [0.1, 1.0, 3.0])
def test_eta(logits: Tensor, cutoff: float, flatness: float) -> None:
    logits = logits / flatness
    assert torch.equal(choose.eta(logits, cutoff), hf.EtaLogitsWarper(cutoff)(history(1), logits))


def test_cut_offs_after_others(logits: Tensor) -> None:
    """What is ruled out before stays so, and weighs nothing."""
    some = choose.top_k(logits, 7)
    assert torch.equal(choose.typical(some, 0.8), hf.TypicalLogitsWarper(0.8)(history(1), some))
    assert torch.equal(choose.epsilon(some, 0.1), hf.EpsilonLogitsWarper(0.1)(history(1), some))
    assert torch.equal(choose.eta(some, 0.3), hf.EtaLogitsWarper(0.3)(history(1), some))


def test_choosers_that_keep_everything_change_nothing(logits: Tensor) -> None:
    for same in (
        choose.top_k(logits, 0),
        choose.top_p(logits, 1.0),
        choose.min_p(logits, 0.0),
        choose.typical(logits, 1.0),
        choose.epsilon(logits, 0.0),
        choose.eta(logits, 0.0),
        choose.no_copied_ngram(logits, torch.ones(ROWS, 5), torch.full((ROWS, 7), -1), 2),
    ):
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


@pytest.mark.parametrize("length", [0, 5, 6])
def test_forced_last_piece(logits: Tensor, length: int) -> None:
    expected = hf.ForcedEOSTokenLogitsProcessor(7, END)(history(1 + length), logits)
    assert torch.equal(choose.force(logits, torch.tensor([END if length == 5 else -1])), expected)


@pytest.mark.parametrize("penalty", [0.8, 1.0, 1.3])
def test_repetition_penalty(logits: Tensor, produced: torch.LongTensor, penalty: float) -> None:
    for scores in (logits, logits.log_softmax(-1)):
        expected = hf.RepetitionPenaltyLogitsProcessor(penalty)(produced, scores)
        assert torch.equal(choose.repetition_penalty(scores, produced, penalty), expected)


@pytest.mark.parametrize("size", [1, 2, 3, 17, 18, 40])
def test_no_repeated_ngram(logits: Tensor, produced: torch.LongTensor, size: int) -> None:
    expected = hf.NoRepeatNGramLogitsProcessor(size)(produced, logits)
    assert torch.equal(choose.no_repeat_ngram(logits, produced, size), expected)
    assert bool((expected != logits).any()) == (size < 17)


@pytest.mark.parametrize("size", [1, 2, 3, 23, 24])
def test_no_ngram_of_the_source(logits: Tensor, produced: torch.LongTensor, size: int) -> None:
    source = torch.randint(4, 11, (ROWS, 23))
    expected = hf.EncoderNoRepeatNGramLogitsProcessor(size, source)(produced, logits)
    assert torch.equal(choose.no_copied_ngram(logits, produced, source, size), expected)
    assert bool((expected != logits).any()) == (size <= 3)


PHRASES = [[41], [9], [5, 6], [7, 7], [8, 99], [4, 5, 6], [10, 9, 8, 7, 6, 5, 4]]


@pytest.mark.parametrize("length", [0, 1, 5, 17])
def test_no_bad_words(logits: Tensor, produced: torch.LongTensor, length: int) -> None:
    produced = cast(torch.LongTensor, produced[:, :length])
    chosen = logits
    for size in {len(phrase) for phrase in PHRASES}:
        of_size = torch.tensor([phrase for phrase in PHRASES if len(phrase) == size])
        chosen = choose.no_phrase(chosen, produced, of_size)
    assert torch.equal(chosen, hf.NoBadWordsLogitsProcessor(PHRASES, END)(produced, logits))


ids = st.integers(0, 4)


@settings(deadline=None, max_examples=100)
@given(row=st.lists(ids, max_size=6), source=st.lists(ids, max_size=6), size=st.integers(1, 5))
def test_pieces_that_do_not_count_change_nothing(row: list[int], source: list[int], size: int) -> None:
    """A row with -1 before its pieces is like the row alone; a source with -1 behind likewise."""
    logits, so_far, text = torch.full((1, 5), -1.0), torch.tensor([row]).long(), torch.tensor([source]).long()
    before, behind = (
        torch.nn.functional.pad(ids, sides, value=-1) for ids, sides in ((so_far, (3, 0)), (text, (0, 3)))
    )
    for chosen, alone in (
        (choose.no_repeat_ngram(logits, before, size), choose.no_repeat_ngram(logits, so_far, size)),
        (choose.no_copied_ngram(logits, before, behind, size), choose.no_copied_ngram(logits, so_far, text, size)),
        (choose.repetition_penalty(logits, before, 2.0), choose.repetition_penalty(logits, so_far, 2.0)),
    ):
        assert torch.equal(chosen, alone)


@settings(deadline=None, max_examples=60)
@given(row=st.lists(ids, max_size=9), source=st.lists(ids, max_size=9), size=st.integers(1, 4))
def test_ngrams_by_their_definition(row: list[int], source: list[int], size: int) -> None:
    """A piece is ruled out if the last n - 1 pieces and it are an n-gram of the source."""
    grams = {tuple(source[first : first + size]) for first in range(len(source) - size + 1)}
    latest = tuple(row[len(row) - size + 1 :]) if len(row) >= size - 1 else None
    wanted = [latest is not None and (*latest, piece) in grams for piece in range(5)]
    so_far, text = torch.tensor([row], dtype=torch.int64), torch.tensor([source], dtype=torch.int64)
    chosen = choose.no_copied_ngram(torch.zeros(1, 5), so_far, text, size)
    assert (chosen == choose.NEVER)[0].tolist() == wanted


def test_the_argument_is_never_changed(logits: Tensor) -> None:
    before = logits.clone()
    choose.temperature(logits, 2.0)
    choose.top_k(logits, 5)
    choose.top_p(logits, 0.5)
    choose.min_p(logits, 0.5)
    choose.suppress(logits, torch.tensor([1]))
    choose.suppress_where(logits, torch.ones(ROWS, dtype=torch.bool), END)
    choose.force(logits, torch.ones(ROWS, dtype=torch.int64))
    choose.typical(logits, 0.5)
    choose.epsilon(logits, 0.5)
    choose.eta(logits, 0.5)
    so_far = torch.ones(ROWS, 5, dtype=torch.int64)
    choose.repetition_penalty(logits, so_far, 2.0)
    choose.no_repeat_ngram(logits, so_far, 2)
    assert torch.equal(logits, before)
