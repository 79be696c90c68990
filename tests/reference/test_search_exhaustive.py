"""Search against enumeration of everything, and against a beam search written with plain lists."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from isthmus.core.padded import Padded
from isthmus.generate.expand import Beam, Greedy
from isthmus.generate.search import Rules, run, search
from isthmus.generate.state import Hypothesis, Requests, SearchState
from tests.unit.generate.table_engine import END, TableEngine

SOURCES = [[5, 6], [4], [6, 5, 4], [5]]
ALPHAS = st.sampled_from([0.0, 0.6, 1.0, 1.7, -0.5])
STOPS = st.sampled_from([True, False, "never"])


def outputs(
    engine: TableEngine, sources: list[list[int]], limits: list[int], rules: Rules
) -> tuple[tuple[Hypothesis, ...], ...]:
    start = SearchState.begin(engine.start(Padded.of(sources)), engine.start_ids, Requests.of(limits))
    return run(engine.step, start, rules)


def all_outputs(engine: TableEngine, source: list[int], limit: int) -> list[tuple[int, ...]]:
    """Every output of at most `limit` pieces that ends."""
    pieces = [id for id in range(engine.size) if id != END]
    return [ids for length in range(limit + 1) for ids in itertools.product(pieces, repeat=length)]


def naive_beam(
    engine: TableEngine, source: list[int], limit: int, width: int, alpha: float, stopping: bool | str
) -> list[tuple[float, tuple[int, ...], str]]:
    """Beam search of one sentence with plain lists: (normalised score, ids, stop), best first."""
    live: list[tuple[float, tuple[int, ...]]] = [(0.0, ())]
    done: list[tuple[float, tuple[int, ...], str]] = []
    for length in range(1, limit + 2):
        options = [
            (float(np.float32(score) + np.float32(value)), beam, id, ids)
            for beam, (score, ids) in enumerate(live)
            for id, value in enumerate(engine.log_probs(source, (*engine.start_ids, *ids)).tolist())
        ]
        options.sort(key=lambda option: (-option[0], option[1], option[2]))
        before, ended = live, {beam for _, beam, id, _ in options[:width] if id == END}
        done += [(score / length**alpha, ids, "end") for score, _, id, ids in options[:width] if id == END]
        done = sorted(done, key=lambda one: -one[0])[:width]
        live = [(score, (*ids, id)) for score, _, id, ids in options if id != END][:width]
        if length == limit + 1 and len(done) < width:
            cut = [(s / limit**alpha, ids, "max_length") for beam, (s, ids) in enumerate(before) if beam not in ended]
            return done + sorted(cut, key=lambda one: -one[0])[: width - len(done)]
        if len(done) == width:
            hoped = limit + 1 if stopping == "never" and alpha > 0 else length
            if stopping is True or width == 1 or live[0][0] / hoped**alpha <= done[-1][0]:
                return done
    return done


@settings(max_examples=60)
@given(seed=st.integers(0, 10**6), alpha=ALPHAS, limit=st.integers(1, 3))
def test_a_beam_as_wide_as_all_continuations_finds_the_best_output_of_all(seed: int, alpha: float, limit: int) -> None:
    engine = TableEngine(size=5, seed=seed)
    rules = Rules(END, Beam(5 * 4**limit), length_penalty=alpha, early_stopping="never")
    for source, hypotheses in zip(SOURCES, outputs(engine, SOURCES, [limit] * 4, rules), strict=True):
        scored = {
            ids: math.fsum(engine.score(source, (*ids, END))) / (len(ids) + 1) ** alpha
            for ids in all_outputs(engine, source, limit)
        }
        best = max(scored.values())
        assert hypotheses[0].stop == "end"
        assert scored[hypotheses[0].ids] == pytest.approx(best, abs=1e-5)
        assert hypotheses[0].normalised == pytest.approx(best, abs=1e-5)


@settings(max_examples=150)
@given(
    seed=st.integers(0, 10**6),
    width=st.integers(1, 5),
    alpha=ALPHAS,
    stopping=STOPS,
    limit=st.integers(1, 7),
    end_bonus=st.sampled_from([-2.0, 0.0, 1.0]),
    levels=st.sampled_from([0, 0, 1, 2]),
)
def test_the_vectorised_search_equals_the_naive_one(
    seed: int, width: int, alpha: float, stopping: bool, limit: int, end_bonus: float, levels: int
) -> None:
    engine = TableEngine(size=7, seed=seed, end_bonus=end_bonus, levels=levels)
    limits = [limit, limit + 2, limit + 1, limit]
    rules = Rules(END, Beam(width), length_penalty=alpha, early_stopping=stopping)
    found = outputs(engine, SOURCES, limits, rules)
    for source, at_most, hypotheses in zip(SOURCES, limits, found, strict=True):
        expected = naive_beam(engine, source, at_most, width, alpha, stopping)
        assert [(one.ids, one.stop) for one in hypotheses] == [(ids, stop) for _, ids, stop in expected]
        assert [one.normalised for one in hypotheses] == pytest.approx([score for score, _, _ in expected], abs=1e-5)


@settings(max_examples=60)
@given(seed=st.integers(0, 10**6), width=st.integers(1, 5), stopping=STOPS)
def test_a_batch_equals_its_sentences_alone_in_any_order(seed: int, width: int, stopping: bool) -> None:
    engine = TableEngine(size=7, seed=seed)
    rules = Rules(END, Beam(width) if width > 1 else Greedy(), early_stopping=stopping)
    together = outputs(engine, SOURCES, [5, 6, 7, 8], rules)
    backwards = outputs(engine, SOURCES[::-1], [8, 7, 6, 5], rules)
    alone = [outputs(engine, [source], [limit], rules)[0] for source, limit in zip(SOURCES, [5, 6, 7, 8], strict=True)]
    assert list(together) == alone
    assert list(backwards) == alone[::-1]


@settings(max_examples=60)
@given(seed=st.integers(0, 10**6), levels=st.integers(1, 2), width=st.integers(2, 4))
def test_exact_ties_go_to_the_lower_beam_then_the_lower_id(seed: int, levels: int, width: int) -> None:
    engine = TableEngine(size=7, seed=seed, levels=levels)
    first_ties = len(set(engine.log_probs(SOURCES[0], engine.start_ids).tolist())) < engine.size
    rules = Rules(END, Beam(width))
    states = list(search(engine.step, _begin(engine, SOURCES[0], 5), rules))
    expected = sorted(
        (id for id in range(engine.size) if id != END),
        key=lambda id: (-float(engine.log_probs(SOURCES[0], engine.start_ids)[id]), id),
    )
    assert first_ties
    if states[1].live:
        assert states[1].beams.ids_NKT[0, :, 0].tolist() == expected[:width]


def _begin(engine: TableEngine, source: list[int], limit: int) -> SearchState:
    return SearchState.begin(engine.start(Padded.of([source])), engine.start_ids, Requests.of([limit]))
