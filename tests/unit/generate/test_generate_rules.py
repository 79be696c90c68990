"""The rules that options ask for, in whole searches."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest
import torch

from isthmus.core.errors import InputError
from isthmus.core.padded import Padded
from isthmus.generate.jobs import Found, Job, Target, length_limit, search_jobs
from isthmus.generate.options import GenerationOptions
from isthmus.generate.rules import rules_of
from isthmus.generate.search import run
from isthmus.generate.state import Requests, SearchState
from tests.unit.generate.table_engine import END, TableEngine

SOURCES = [[5, 6, END], [4, END], [6, 5, 4, END], [5, 5, 6, 4, 6, END], [6, END]]
WAYS: list[dict[str, object]] = [{}, {"num_beams": 1}, {"do_sample": True, "seed": 5, "num_return_sequences": 3}]


def found(values: dict[str, object], engine: TableEngine | None = None, never: Sequence[int] = ()) -> list[Found]:
    engine = engine or TableEngine(seed=31)
    jobs = [Job(tuple(source)) for source in SOURCES]
    return search_jobs(engine, jobs, Target(END, never), GenerationOptions.of(values))


def outputs(values: dict[str, object], engine: TableEngine | None = None) -> list[tuple[int, ...]]:
    return [one.ids for several in found(values, engine) for one in several.hypotheses]


def grams(ids: Sequence[int], size: int) -> list[tuple[int, ...]]:
    return [tuple(ids[first : first + size]) for first in range(len(ids) - size + 1)]


ENDLESS = TableEngine(seed=31, end_bonus=-3.0)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("size", [2, 3])
def test_no_ngram_comes_twice(way: dict[str, object], size: int) -> None:
    way = {**way, "max_length": 40}
    repeats = [ids for ids in outputs(way, ENDLESS) if len({*grams(ids, size)}) < len(grams(ids, size))]
    assert repeats
    for ids in outputs({**way, "no_repeat_ngram_size": size}, ENDLESS):
        assert len({*grams(ids, size)}) == len(grams(ids, size))


@pytest.mark.parametrize("way", WAYS)
def test_no_ngram_of_the_source_comes(way: dict[str, object]) -> None:
    def copied(values: dict[str, object]) -> int:
        return sum(
            len({*grams([*one.ids, END][: len(one.token_scores)], 2)} & {*grams(source, 2)})
            for source, several in zip(SOURCES, found(values, ENDLESS), strict=True)
            for one in several.hypotheses
        )

    assert copied(way) > 0
    assert copied({**way, "encoder_no_repeat_ngram_size": 2}) == 0


@pytest.mark.parametrize("way", WAYS)
def test_phrases_and_pieces_that_are_not_to_come(way: dict[str, object]) -> None:
    plain = outputs(way, ENDLESS)
    banned, phrase, first = plain[0][-1], plain[1][1:3], plain[2][0]
    values = {**way, "bad_words_ids": [list(phrase)], "suppress_tokens": [banned], "begin_suppress_tokens": [first]}
    chosen = outputs(values, ENDLESS)
    assert not any(banned in ids or phrase in grams(ids, 2) or ids[:1] == (first,) for ids in chosen)
    assert any(phrase in grams(ids, 2) for ids in plain)


@pytest.mark.parametrize("way", WAYS)
def test_the_first_and_the_last_piece_are_forced(way: dict[str, object]) -> None:
    values = {**way, "max_length": 5, "forced_bos_token_id": 6, "forced_eos_token_id": END}
    for several in found(values, ENDLESS):
        for one in several.hypotheses:
            assert one.ids[0] == 6
            assert one.stop == "end"
            assert len(one.token_scores) == len(one.ids) + 1 <= 6
    free = found({**way, "max_length": 5}, ENDLESS)
    assert "max_length" in {one.stop for several in free for one in several.hypotheses}


@pytest.mark.parametrize("way", WAYS)
def test_a_given_piece_has_its_score_although_it_is_ruled_out(way: dict[str, object]) -> None:
    values = {**way, "forced_bos_token_id": 6}
    first = [[one.token_scores[0] for one in several.hypotheses] for several in found(values, ENDLESS)]
    ruled_out = [[one.token_scores[0] for one in several.hypotheses] for several in found(values, ENDLESS, never=[6])]
    assert [scores[0] for scores in ruled_out] == [scores[0] for scores in first]
    assert min(map(min, ruled_out)) > float("-inf")


def test_only_the_end_is_forced_at_the_end() -> None:
    with pytest.raises(InputError, match="only the end") as caught:
        found({"forced_eos_token_id": 5})
    assert "forced_eos_token_id" in caught.value.fix


def test_what_is_not_to_come_first_waits_for_the_given_beginning() -> None:
    engine = TableEngine(seed=31)
    options = GenerationOptions.of(
        {"num_beams": 1, "begin_suppress_tokens": [0, 1, 2, 4, 6, END], "forced_bos_token_id": 6}
    )
    (one,) = search_jobs(engine, [Job((5, END), prefix=(4, 6))], Target(END, ()), options)
    assert one.hypotheses[0].ids[:2] == (4, 6)  # the request's own beginning, not the option's
    assert one.hypotheses[0].ids[2] == 5
    assert {*one.hypotheses[0].ids[3:]} > {5}


@pytest.mark.parametrize("way", WAYS)
def test_repetition_is_made_less_likely(way: dict[str, object]) -> None:
    def repeated(penalty: float) -> int:
        values = {**way, "repetition_penalty": penalty, "max_length": 6}
        return sum(len(ids) - len({*ids}) for ids in outputs(values, ENDLESS))

    assert repeated(1.0) <= repeated(0.5)
    assert repeated(8.0) < repeated(1.0)


def test_the_score_stays_that_of_the_model() -> None:
    values: dict[str, object] = {"repetition_penalty": 1.5, "forced_eos_token_id": END, "max_length": 4}
    for source, several in zip(SOURCES, found(values, ENDLESS), strict=True):
        for one in several.hypotheses:
            assert one.token_scores == pytest.approx(ENDLESS.score(source, [*one.ids, END]), abs=1e-5)


@pytest.mark.parametrize("way", WAYS)
def test_lengths_follow_the_source(way: dict[str, object]) -> None:
    values = {**way, "min_length_ratio": 1.5, "max_length_ratio": 2}
    for engine in (TableEngine(seed=1, end_bonus=3.0), ENDLESS):
        for source, several in zip(SOURCES, found(values, engine), strict=True):
            for one in several.hypotheses:
                assert 1.5 * (len(source) - 1) <= len(one.ids) <= 2 * (len(source) - 1)


def test_limits_of_a_length() -> None:
    def limit(values: dict[str, object], source: int, room: int | None = None) -> int:
        return length_limit(Job((5,) * source + (END,)), 1, room, GenerationOptions.of(values))

    assert limit({}, 4) == 18
    assert limit({"max_length_ratio": 1.5}, 7) == 10
    assert limit({"max_length_ratio": 0.1}, 7) == 1
    assert limit({"max_length_ratio": 1.1}, 10) == 11
    assert limit({"max_length_ratio": 3.0, "max_length": 20}, 7) == 20
    assert limit({"max_length_ratio": 2.0, "max_new_tokens": 20}, 7) == 14
    assert limit({"max_length_ratio": 9.0}, 7, room=31) == 30
    assert limit({"min_length": 40}, 4) == 40
    assert limit({"min_length_ratio": 7}, 4) == 28
    assert GenerationOptions.of({"min_length_ratio": 1.1, "min_new_tokens": 3}).shortest(10) == 11
    assert GenerationOptions.of({"min_length_ratio": 0.1, "min_new_tokens": 3}).shortest(10) == 3


def test_a_minimum_beyond_the_maximum_gives_way() -> None:
    for ids in outputs({"min_length_ratio": 5, "max_length": 4}, TableEngine(seed=1, end_bonus=9.0)):
        assert len(ids) == 4


@pytest.mark.parametrize("way", WAYS)
def test_where_nothing_may_come_the_output_stops(way: dict[str, object]) -> None:
    values = {**way, "suppress_tokens": [0, 1, 2, 4], "no_repeat_ngram_size": 1, "min_length": 6}
    for several in found(values):
        assert {one.stop for one in several.hypotheses} == {"dead_end"}
        assert all({*one.ids} == {5, 6} and len(one.ids) == 2 for one in several.hypotheses)


@pytest.mark.parametrize("way", WAYS)
def test_neighbours_change_nothing(way: dict[str, object]) -> None:
    values = {**way, "encoder_no_repeat_ngram_size": 2, "no_repeat_ngram_size": 2, "min_length_ratio": 1}
    together = found(values, ENDLESS)
    for source, one in zip(SOURCES, together, strict=True):
        (alone,) = search_jobs(ENDLESS, [Job(tuple(source))], Target(END, ()), GenerationOptions.of(values))
        assert alone.hypotheses == one.hypotheses


def test_sentences_that_have_produced_differently_many_pieces_are_told_apart() -> None:
    """What stands in a state before the first piece of a sentence is not its history."""
    engine = TableEngine(seed=31)
    requests = Requests.of([9, 9])
    state = SearchState.begin(engine.start(Padded.of([[5], [6]])), engine.start_ids, requests)
    rules = rules_of(GenerationOptions.of({"no_repeat_ngram_size": 1, "num_beams": 1}), END, ())
    beams = replace(state.beams, ids_NKT=torch.tensor([[[4, 5]], [[4, 5]]]))
    state = replace(state, beams=beams, length_N=torch.tensor([2, 1]))
    scores_NKV = torch.zeros(2, 1, 7)
    for choose in rules.choosers:
        scores_NKV = choose(scores_NKV, state)
    assert (scores_NKV[:, 0] == float("-inf")).nonzero().tolist() == [[0, 4], [0, 5], [1, 5]]
    assert run(engine.step, state, rules)
