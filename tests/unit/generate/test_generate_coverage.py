"""Coverage of the source: the formula, and its part in a search."""

from __future__ import annotations

import math
from functools import partial

import pytest
import torch

from isthmus.core.errors import InputError
from isthmus.core.padded import Padded
from isthmus.generate.coverage import coverage
from isthmus.generate.expand import Beam
from isthmus.generate.search import Rules, run
from isthmus.generate.state import Requests, SearchState
from tests.unit.generate.table_engine import END, TableEngine

SOURCES = [[5, 6, 4], [4, 4], [6, 5, 4]]


def begin(engine: TableEngine, limit: int = 5) -> SearchState:
    requests = Requests.of([limit] * len(SOURCES), sources=SOURCES)
    return SearchState.begin(engine.start(Padded.of(SOURCES)), engine.start_ids, requests)


def by_hand(attention_TS: list[list[float]], length: int) -> float:
    received = [sum(row[place] for row in attention_TS) for place in range(length)]
    return sum(math.log(max(1e-6, min(one, 1.0))) for one in received)


def test_it_is_the_formula_over_real_positions() -> None:
    attention_NKTS = torch.rand(2, 3, 5, 7).softmax(-1)
    attention_NKTS[1, :, :, 4:] = 0  # padding
    mask_NS = torch.tensor([[True] * 7, [True] * 4 + [False] * 3])
    found_NK = coverage(attention_NKTS, mask_NS)
    for sentence, length in enumerate((7, 4)):
        for beam in range(3):
            expected = by_hand(attention_NKTS[sentence, beam].tolist(), length)
            assert float(found_NK[sentence, beam]) == pytest.approx(expected, rel=1e-5)


def test_what_was_never_read_is_finite_and_what_was_read_is_free() -> None:
    assert coverage(torch.eye(3)[None, None], torch.ones(1, 3, dtype=torch.bool)) == 0
    assert float(coverage(torch.eye(3)[None, None, :2], torch.ones(1, 3, dtype=torch.bool))) == pytest.approx(
        math.log(1e-6)
    )


def test_finished_outputs_are_compared_with_it() -> None:
    engine = TableEngine(seed=21)
    step = partial(engine.step, weights=True)
    wide = Rules(END, Beam(300), early_stopping="never")
    plain = run(step, begin(engine, 3), wide)
    covered = run(step, begin(engine, 3), Rules(END, Beam(300), early_stopping="never", coverage_penalty=0.4))
    changed = 0
    for source, before, after in zip(SOURCES, plain, covered, strict=True):
        expected = {}
        for one in before:
            assert one.attention_TS is not None
            expected[one.ids, one.stop] = one.normalised + 0.4 * by_hand(one.attention_TS.tolist(), len(source))
        assert {(one.ids, one.stop): one.normalised for one in after} == pytest.approx(expected, abs=1e-4)
        best = max((key for key in expected if key[1] == "end"), key=lambda key: expected[key])
        assert after[0].ids == best[0]
        changed += before[0].ids != after[0].ids
    assert changed


def test_without_attention_it_is_an_error() -> None:
    engine = TableEngine(seed=22)
    with pytest.raises(InputError, match="coverage penalty") as caught:
        run(engine.step, begin(engine), Rules(END, Beam(2), coverage_penalty=0.2))
    assert (caught.value.got, caught.value.fix) == ("a model without", "leave out `coverage_penalty`")
