"""Constrained beam search and allowed outputs against enumeration of everything."""

from __future__ import annotations

import itertools
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from isthmus.core.padded import Padded
from isthmus.generate.allowed import Allowed
from isthmus.generate.expand import Beam, Constrained, Greedy
from isthmus.generate.options import GenerationOptions
from isthmus.generate.phrases import Constraint
from isthmus.generate.rules import rules_of
from isthmus.generate.search import Rules, run
from isthmus.generate.state import Hypothesis, Requests, SearchState
from tests.unit.generate.table_engine import END, TableEngine

SOURCES = [[5, 6], [4], [6, 5, 4], [5]]
SIZE, LIMIT = 6, 3
PIECES = [id for id in range(SIZE) if id != END]

PHRASES = st.lists(st.sampled_from(PIECES), min_size=1, max_size=2)
CONSTRAINTS = st.lists(st.lists(PHRASES, min_size=1, max_size=2), max_size=2)


def outputs(
    engine: TableEngine, constraints: list[list[Constraint]], rules: Rules, limit: int = LIMIT
) -> tuple[tuple[Hypothesis, ...], ...]:
    requests = Requests.of([limit] * len(constraints), constraints=constraints)
    cache = engine.start(Padded.of(SOURCES[: len(constraints)]))
    return run(engine.step, SearchState.begin(cache, engine.start_ids, requests), rules)


def appears(phrase: list[int], ids: tuple[int, ...]) -> bool:
    return any(list(ids[first : first + len(phrase)]) == phrase for first in range(len(ids)))


def holds(constraint: Constraint, ids: tuple[int, ...]) -> bool:
    return any(appears(list(phrase), ids) for phrase in constraint)


def score(engine: TableEngine, source: list[int], ids: tuple[int, ...], alpha: float) -> float:
    return math.fsum(engine.score(source, (*ids, END))) / float((len(ids) + 1) ** alpha)


def everything(limit: int) -> list[tuple[int, ...]]:
    return [ids for length in range(limit + 1) for ids in itertools.product(PIECES, repeat=length)]


@settings(max_examples=12)
@given(seed=st.integers(0, 10**6), constraints=CONSTRAINTS, alpha=st.sampled_from([0.0, 1.0]))
def test_a_beam_as_wide_as_all_continuations_finds_the_best_output_that_meets_all(
    seed: int, constraints: list[Constraint], alpha: float
) -> None:
    engine = TableEngine(size=SIZE, seed=seed)
    rules = Rules(END, Constrained(SIZE * len(PIECES) ** LIMIT, END), length_penalty=alpha, early_stopping="never")
    (hypotheses,) = outputs(engine, [constraints], rules)
    allowed = [ids for ids in everything(LIMIT) if all(holds(one, ids) for one in constraints)]
    ended = {one.ids: one.normalised for one in hypotheses if one.stop == "end"}
    assert set(ended) == set(allowed)
    for ids, normalised in ended.items():
        assert normalised == pytest.approx(score(engine, SOURCES[0], ids, alpha), abs=1e-5)
    if allowed:
        assert hypotheses[0].ids == max(allowed, key=lambda ids: score(engine, SOURCES[0], ids, alpha))


@settings(max_examples=10)
@given(seed=st.integers(0, 10**6), constraints=st.lists(CONSTRAINTS, min_size=4, max_size=4), width=st.integers(1, 5))
def test_what_ends_meets_all_and_the_report_is_true(seed: int, constraints: list[list[Constraint]], width: int) -> None:
    engine = TableEngine(size=SIZE, seed=seed)
    rules = Rules(END, Constrained(width, END))
    found = outputs(engine, constraints, rules, limit=8)
    for wanted, hypotheses in zip(constraints, found, strict=True):
        assert len({(one.ids, one.stop) for one in hypotheses}) == len(hypotheses)
        for one in hypotheses:
            assert one.met == tuple(holds(constraint, one.ids) for constraint in wanted)
            assert one.stop == "max_length" or all(one.met)
        assert all(hypotheses[0].met)  # with room enough, even one beam gets there
    for place, alone in enumerate(constraints):
        requests = Requests.of([8], constraints=[alone])
        start = SearchState.begin(engine.start(Padded.of([SOURCES[place]])), engine.start_ids, requests)
        assert run(engine.step, start, rules)[0] == found[place]


@pytest.mark.parametrize("width", [1, 3, 5])
def test_without_phrases_it_is_beam_search(width: int) -> None:
    engine = TableEngine(seed=width, levels=2)
    mixed: list[list[Constraint]] = [[], [[[4, 5]]], [], []]
    beam = outputs(engine, [[]] * 4, Rules(END, Beam(width)), 7)
    found = outputs(engine, mixed, Rules(END, Constrained(width, END)), 7)
    assert [found[place] for place in (0, 2, 3)] == [beam[place] for place in (0, 2, 3)]
    assert all(one.met == () for one in found[0])
    assert found[1][0].met == (True,)


def test_an_unlikely_phrase_is_found_by_few_beams() -> None:
    class Averse(TableEngine):
        """Hates the piece 6."""

        def log_probs(self, source: object, history: object) -> object:  # type: ignore[override]
            logits = super().log_probs(source, history).clone()  # type: ignore[arg-type]
            logits[6] -= 20
            return logits.log_softmax(-1)

    engine = Averse(seed=1, end_bonus=1.5)
    constraints: list[list[Constraint]] = [[[[6, 6, 4]], [[6, 5], [5, 6]]]] * 4
    assert not any(6 in one.ids for several in outputs(engine, [[]] * 4, Rules(END, Beam(4)), 12) for one in several)
    for several in outputs(engine, constraints, Rules(END, Constrained(4, END)), 12):
        assert several[0].stop == "end"
        assert several[0].met == (True, True)


def test_what_cannot_be_met_in_time_is_said() -> None:
    engine = TableEngine(seed=2)
    for *_, last in outputs(engine, [[[[4, 5, 6]], [[4]]]] * 4, Rules(END, Constrained(3, END)), 2):
        assert last.stop == "max_length"
        assert last.met[0] is False


@settings(max_examples=40)
@given(
    seed=st.integers(0, 10**6),
    allowed=st.lists(st.lists(st.sampled_from(PIECES), max_size=4), min_size=1, max_size=9),
    width=st.integers(1, 9),
)
def test_of_allowed_outputs_the_best_are_found(seed: int, allowed: list[list[int]], width: int) -> None:
    engine = TableEngine(size=SIZE, seed=seed)
    choose = Allowed.of(tuple(map(tuple, allowed)), END)
    expand = Greedy() if width == 1 else Beam(width)
    every = {tuple(one) for one in allowed}
    for source, hypotheses in zip(
        SOURCES, outputs(engine, [[]] * 4, Rules(END, expand, (choose,), early_stopping="never"), 4), strict=True
    ):
        assert {one.ids for one in hypotheses} <= every
        assert all(one.stop == "end" for one in hypotheses)
        if width >= len(every):  # then nothing is ever thrown away
            ranked = sorted(every, key=lambda ids: -score(engine, source, ids, 1.0))
            assert [one.ids for one in hypotheses] == ranked


@settings(max_examples=15)
@given(
    seed=st.integers(0, 10**6),
    must=CONSTRAINTS,
    must_not=st.lists(PHRASES, min_size=1, max_size=3),
    alpha=st.sampled_from([0.0, 1.0]),
)
def test_what_must_and_what_must_not_appear_hold_together(
    seed: int, must: list[Constraint], must_not: list[list[int]], alpha: float
) -> None:
    engine = TableEngine(size=SIZE, seed=seed)
    options = GenerationOptions.of(
        {
            "num_beams": SIZE * len(PIECES) ** LIMIT,
            "early_stopping": "never",
            "length_penalty": alpha,
            "force_words_ids": must,
            "bad_words_ids": must_not,
        }
    )
    (hypotheses,) = outputs(engine, [list(options.required)], rules_of(options, END, ()))
    allowed = [
        ids
        for ids in everything(LIMIT)
        if all(holds(one, ids) for one in must) and not any(appears(phrase, ids) for phrase in must_not)
    ]
    assert {one.ids for one in hypotheses if one.stop == "end"} == set(allowed)
    if allowed:
        assert hypotheses[0].ids == max(allowed, key=lambda ids: score(engine, SOURCES[0], ids, alpha))
