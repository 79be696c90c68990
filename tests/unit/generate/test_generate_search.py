"""The search: its moments, its laws, its edges."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from functools import partial

import pytest
import torch
from torch import Tensor

from isthmus.core.errors import IsthmusError
from isthmus.core.padded import Padded
from isthmus.engines.engine import EngineState
from isthmus.generate.expand import Beam, Sample, top
from isthmus.generate.jobs import Job, Target, search_jobs
from isthmus.generate.noise import request_seed
from isthmus.generate.options import GenerationOptions
from isthmus.generate.rules import rules_of
from isthmus.generate.search import Rules, run, search
from isthmus.generate.state import Hypothesis, Requests, SearchState
from tests.unit.generate.table_engine import END, TableEngine, TableState

SOURCES = [[5, 6], [4], [6, 5, 4], [5], [6]]


def begin(
    engine: TableEngine, limit: int = 7, sources: Sequence[Sequence[int]] = SOURCES, seed: int = 0
) -> SearchState:
    requests = Requests.of([limit] * len(sources), seeds=[request_seed(seed, source) for source in sources])
    return SearchState.begin(engine.start(Padded.of(sources)), engine.start_ids, requests)


def best(engine: TableEngine, rules: Rules, limit: int = 7, seed: int = 0) -> list[tuple[int, ...]]:
    return [one[0].ids for one in run(engine.step, begin(engine, limit, seed=seed), rules)]


def rules(**values: object) -> Rules:
    return rules_of(GenerationOptions.of(values), END, ())


@pytest.mark.parametrize("seed", range(7))
def test_one_beam_is_greedy_is_no_temperature_is_top_one(seed: int) -> None:
    engine = TableEngine(seed=seed)
    greedy = best(engine, rules(num_beams=1))
    assert best(engine, Rules(END, Beam(1), early_stopping="never")) == greedy
    assert best(engine, rules(do_sample=True, temperature=1e-4), seed=seed) == greedy
    assert best(engine, rules(do_sample=True, top_k=1), seed=seed) == greedy
    for source, ids in zip(SOURCES, greedy, strict=True):
        for place, id in enumerate(ids):
            assert id == int(engine.log_probs(source, (*engine.start_ids, *ids[:place])).argmax())


@pytest.mark.parametrize("values", [{}, {"num_beams": 1}, {"do_sample": True, "temperature": 1.7, "top_k": 4}])
def test_the_reported_score_is_that_of_scoring_the_output_again(values: dict[str, object]) -> None:
    engine = TableEngine(seed=11)
    for source, hypotheses in zip(SOURCES, run(engine.step, begin(engine), rules(**values)), strict=True):
        for one in hypotheses:
            again = engine.score(source, (*one.ids, END) if one.stop == "end" else one.ids)
            assert one.token_scores == pytest.approx(again, abs=1e-6)
            assert one.score == pytest.approx(math.fsum(again), abs=1e-5)
            assert one.normalised == pytest.approx(one.score / len(again), abs=1e-5)


def test_hypotheses_are_different_and_best_first() -> None:
    engine = TableEngine(seed=2)
    for hypotheses in run(engine.step, begin(engine), rules(num_beams=4)):
        assert len({one.ids for one in hypotheses}) == len(hypotheses) == 4
        order = [(one.stop != "end", -one.normalised) for one in hypotheses]
        assert order == sorted(order)


def test_the_search_gives_every_moment_and_finished_sentences_leave() -> None:
    engine = TableEngine(seed=3, end_bonus=1.0)
    states = list(search(engine.step, begin(engine), rules(num_beams=3, early_stopping=True)))
    assert states[0].live == len(SOURCES)
    assert states[-1].live == 0
    assert engine.rows_fed[0] == len(SOURCES)  # one row a sentence at first, then one a beam
    assert engine.rows_fed[1:] == [state.live * 3 for state in states[1:-1]]
    assert sorted(engine.rows_fed[1:], reverse=True) == engine.rows_fed[1:]
    assert engine.rows_fed[-1] < engine.rows_fed[1]
    for before, after in itertools.pairwise(states):
        for index, sentence in enumerate(after.requests.index_N.tolist()):
            old = before.requests.index_N.tolist().index(sentence)
            parents = before.beams.ids_NKT[old][after.beams.parent_NK[index]]
            assert torch.equal(after.beams.ids_NKT[index, :, :-1], parents)


def test_a_search_can_be_taken_up_from_any_of_its_states() -> None:
    engine = TableEngine(seed=4)
    whole = run(engine.step, begin(engine), rules())
    for stop in range(5):
        state = next(itertools.islice(search(engine.step, begin(engine), rules()), stop, None))
        assert run(engine.step, state, rules()) == whole


def test_greedy_search_moves_no_rows_until_a_sentence_ends() -> None:
    class Counting(TableEngine):
        moved = 0

        def step(
            self, tokens_BT: Tensor, state: EngineState, weights: bool = False
        ) -> tuple[Tensor, TableState, Tensor | None]:
            log_probs, after, attention = super().step(tokens_BT, state, weights)
            engine = self

            class Watched(TableState):
                def select(self, rows: Tensor) -> TableState:
                    engine.moved += 1
                    return TableState.select(self, rows)

            return log_probs, Watched(after.sources, after.histories), attention

    engine = Counting(seed=5, end_bonus=-50.0)
    hypotheses = run(engine.step, begin(engine), rules(num_beams=1))
    assert all(one.stop == "max_length" for (one,) in hypotheses)
    assert engine.moved == 0


def test_reaching_the_maximum_length_is_said() -> None:
    engine = TableEngine(seed=6, end_bonus=-50.0)
    for values in ({"num_beams": 1}, {"num_beams": 3}, {"do_sample": True}):
        for hypotheses in run(engine.step, begin(engine, limit=4), rules(**values)):
            assert {(one.stop, len(one.ids)) for one in hypotheses} == {("max_length", 4)}
            assert len({one.ids for one in hypotheses}) == len(hypotheses) == values.get("num_beams", 1)


def test_an_output_of_exactly_the_maximum_length_ends() -> None:
    engine = TableEngine(seed=7)
    (free,) = run(engine.step, begin(engine, 9, SOURCES[:1]), rules(num_beams=1))[0]
    assert free.stop == "end"
    (exact,) = run(engine.step, begin(engine, len(free.ids), SOURCES[:1]), rules(num_beams=1))[0]
    assert exact == free
    (short,) = run(engine.step, begin(engine, len(free.ids) - 1, SOURCES[:1]), rules(num_beams=1))[0]
    assert (short.ids, short.stop) == (free.ids[:-1], "max_length")


def test_outputs_that_ended_come_before_those_that_did_not() -> None:
    engine = TableEngine(seed=8, end_bonus=-2.0)
    found = [one for one in run(engine.step, begin(engine, 3), rules(num_beams=5)) if one[0].stop != one[-1].stop]
    assert found
    for hypotheses in found:
        stops = [one.stop for one in hypotheses]
        assert stops == sorted(stops)  # "end" before "max_length"


def test_no_end_before_the_minimum_length_and_no_forbidden_piece() -> None:
    engine = TableEngine(seed=9, end_bonus=3.0)
    requests = Requests.of([7] * 5, min_length=4)
    start = SearchState.begin(engine.start(Padded.of(SOURCES)), engine.start_ids, requests)
    strict = rules_of(GenerationOptions(num_beams=3, min_length=4), END, {0, 2, END})
    for hypotheses in run(engine.step, start, strict):
        assert all(len(one.ids) >= 4 and not {0, 2} & set(one.ids) for one in hypotheses)
        assert all(one.stop == "end" for one in hypotheses)


def test_an_output_begins_as_it_must_even_with_forbidden_pieces() -> None:
    engine = TableEngine(seed=10)
    prefixes: list[list[int]] = [[1, 6], [], [0], [4, 4, 4], []]
    for values in ({"num_beams": 3}, {"num_beams": 1}, {"do_sample": True}):
        requests = Requests.of([7] * 5, prefixes=prefixes)
        start = SearchState.begin(engine.start(Padded.of(SOURCES)), engine.start_ids, requests)
        found = run(engine.step, start, rules_of(GenerationOptions.of(values), END, {0, 1}))
        for prefix, source, hypotheses in zip(prefixes, SOURCES, found, strict=True):
            for one in hypotheses:
                assert list(one.ids[: len(prefix)]) == prefix
                assert one.token_scores[: len(prefix)] == pytest.approx(engine.score(source, prefix), abs=1e-6)
            if values.get("num_beams") == 1:
                free = engine.log_probs(source, (*engine.start_ids, *prefix))
                free[[0, 1]] = float("-inf")
                assert int(free.argmax()) == (*hypotheses[0].ids, END)[len(prefix)]


def test_a_dead_end_is_said() -> None:
    def nothing_after_two(scores_NKV: Tensor, state: SearchState) -> Tensor:
        return scores_NKV.masked_fill((state.length_N >= 2)[:, None, None], float("-inf"))

    engine = TableEngine(seed=12, end_bonus=-50.0)
    for hypotheses in run(engine.step, begin(engine), Rules(END, Beam(3), (nothing_after_two,))):
        assert {(one.stop, len(one.ids)) for one in hypotheses} == {("dead_end", 2)}


def test_scores_that_are_no_numbers_are_an_error() -> None:
    engine = TableEngine()

    def step(tokens_BT: Tensor, state: EngineState) -> tuple[Tensor, EngineState, None]:
        log_probs, state, _ = engine.step(tokens_BT, state)
        return log_probs * float("nan"), state, None

    for values in ({}, {"num_beams": 1}):
        with pytest.raises(IsthmusError, match="not numbers"):
            run(step, begin(engine), rules(**values))


def test_attention_follows_its_beam() -> None:
    engine = TableEngine(seed=13)
    for hypotheses in run(partial(engine.step, weights=True), begin(engine), rules(num_beams=3)):
        for one in hypotheses:
            assert one.attention_TS is not None
            fed = [sum((*engine.start_ids, *one.ids[:place])) for place in range(len(one.token_scores))]
            assert one.attention_TS.argmax(dim=1).tolist() == [total % 3 for total in fed]


def test_a_batch_of_nothing_and_an_output_of_nothing() -> None:
    engine = TableEngine(seed=14, end_bonus=50.0)
    assert run(engine.step, begin(engine, sources=[]), rules()) == ()
    for hypotheses in run(engine.step, begin(engine), rules()):
        assert hypotheses[0].ids == ()
        assert hypotheses[0].stop == "end"


def draws(engine: TableEngine, options: Rules, sources: list[list[int]], samples: int) -> list[list[Hypothesis]]:
    requests = Requests.of([5] * len(sources), seeds=[request_seed(7, source) for source in sources], samples=samples)
    cache = engine.start(Padded.of([source for source in sources for _ in range(samples)]))
    found = [one for (one,) in run(engine.step, SearchState.begin(cache, engine.start_ids, requests), options)]
    return [found[first : first + samples] for first in range(0, len(found), samples)]


def test_a_sample_does_not_depend_on_its_neighbours() -> None:
    engine = TableEngine(seed=15)
    sampling = rules(do_sample=True, top_k=0)
    together = draws(engine, sampling, SOURCES, 5)
    backwards = draws(engine, sampling, SOURCES[::-1], 3)
    for index, source in enumerate(SOURCES):
        assert draws(engine, sampling, [source], 5)[0] == together[index]
        assert backwards[-1 - index] == together[index][:3]
    assert len({one.ids for sampled in together for one in sampled}) > len(SOURCES)


def test_different_sources_draw_differently() -> None:
    class Deaf(TableEngine):
        def log_probs(self, source: Sequence[int], history: Sequence[int]) -> Tensor:
            return super().log_probs((), history)

    options = GenerationOptions(do_sample=True, top_k=0, temperature=3.0, seed=1)
    jobs = [Job((number, END)) for number in range(4, 24)]
    found = search_jobs(Deaf(seed=16), jobs, Target(END, ()), options)
    assert len({one.hypotheses[0].ids for one in found}) > 5


@pytest.mark.parametrize("values", [{"top_k": 0}, {"temperature": 0.6, "top_k": 5}, {"top_p": 0.8, "top_k": 0}])
def test_samples_are_as_frequent_as_the_warped_probabilities_say(values: dict[str, object]) -> None:
    size, rows = 11, 100_000
    logits_NV = torch.randn(1, 1, size, generator=torch.Generator().manual_seed(16)).expand(rows, 1, size)
    expand = rules(do_sample=True, **values).expand
    assert isinstance(expand, Sample)
    requests = Requests.of([5], seeds=[request_seed(1, [5, 6])], samples=rows)
    state = SearchState.begin(TableState([], []), (2,), requests)
    counts = expand(logits_NV.log_softmax(-1), state).token_NC.flatten().bincount(minlength=size).double()
    warped = logits_NV[0, 0]
    for warp in expand.warpers:
        warped = warp(warped)
    expected = warped.double().softmax(-1) * rows
    assert torch.equal(counts[expected == 0], torch.zeros_like(counts[expected == 0]))
    possible = expected > 0
    chi_square = float(((counts - expected) ** 2 / expected)[possible].sum())
    assert chi_square < 40  # at most 10 degrees of freedom: less than 1 in 50,000


def test_the_best_of_equals_is_the_first() -> None:
    scores = torch.tensor([[1.0, 3.0, 3.0, 2.0, 3.0, 2.0], [0.0] * 6, [5.0, 4.0, 3.0, 2.0, 1.0, 0.0]])
    assert top(scores, 4)[1].tolist() == [[1, 2, 4, 3], [0, 1, 2, 3], [0, 1, 2, 3]]
    assert top(scores[:1], 2)[1].tolist() == [[1, 2]]
    assert top(scores, 9)[0].shape == (3, 6)
    many = torch.randint(0, 50, (7, 997)).float()
    expected = many.sort(dim=1, descending=True, stable=True)
    for count in (1, 2, 10, 997):
        value, index = top(many, count)
        assert torch.equal(value, expected.values[:, :count])
        assert torch.equal(index, expected.indices[:, :count])
