"""Diverse beam search against Algorithm 1 of Vijayakumar et al. 2018, written with plain lists."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from isthmus.core.padded import Padded
from isthmus.generate.expand import Beam, Diverse
from isthmus.generate.search import Rules, run
from isthmus.generate.state import Hypothesis, Requests, SearchState
from tests.unit.generate.table_engine import END, TableEngine

SOURCES = [[5, 6], [4], [6, 5, 4], [5]]
LIMITS = [5, 7, 6, 5]

Output = tuple[float, tuple[int, ...], str]


def found(engine: TableEngine, groups: int, rules: Rules, places: list[int]) -> list[list[tuple[Hypothesis, ...]]]:
    """What each group of each source found."""
    sources = [SOURCES[place] for place in places]
    requests = Requests.of([LIMITS[place] for place in places], samples=groups)
    cache = engine.start(Padded.of([source for source in sources for _ in range(groups)]))
    finished = run(engine.step, SearchState.begin(cache, engine.start_ids, requests), rules)
    return [list(finished[first : first + groups]) for first in range(0, len(finished), groups)]


def transcribed(
    engine: TableEngine, place: int, groups: int, width: int, penalty: float, alpha: float
) -> list[list[Output]]:
    source, limit = SOURCES[place], LIMITS[place]
    live: list[list[tuple[float, tuple[int, ...]]]] = [[(0.0, ())] for _ in range(groups)]
    done: list[list[Output]] = [[] for _ in range(groups)]
    over = [False] * groups
    for length in range(1, limit + 2):
        chosen: Counter[int] = Counter()
        for group in range(groups):
            if over[group]:
                continue
            options = []
            for beam, (score, ids) in enumerate(live[group]):
                for id, value in enumerate(engine.log_probs(source, (*engine.start_ids, *ids)).tolist()):
                    total = np.float32(score) + np.float32(value) - np.float32(penalty) * np.float32(chosen[id])
                    options.append((float(total), beam, id, ids))
            options.sort(key=lambda option: (-option[0], option[1], option[2]))
            before = live[group]
            ended = {beam for _, beam, id, _ in options[:width] if id == END}
            done[group] += [(total / length**alpha, ids, "end") for total, _, id, ids in options[:width] if id == END]
            done[group] = sorted(done[group], key=lambda one: -one[0])[:width]
            live[group] = [(total, (*ids, id)) for total, _, id, ids in options if id != END][:width]
            chosen.update(ids[-1] for _, ids in live[group])
            if len(done[group]) == width:
                over[group] = width == 1 or live[group][0][0] / length**alpha <= done[group][-1][0]
            if length == limit + 1 and not over[group]:
                cut = [(s / limit**alpha, ids, "max_length") for b, (s, ids) in enumerate(before) if b not in ended]
                done[group] += sorted(cut, key=lambda one: -one[0])[: width - len(done[group])]
    return done


@settings(max_examples=40)
@given(
    seed=st.integers(0, 10**6),
    groups=st.integers(1, 4),
    width=st.integers(1, 3),
    penalty=st.sampled_from([0.0, 0.25, 0.5, 1.0, 8.0]),
    alpha=st.sampled_from([0.0, 1.0, 0.6]),
    levels=st.sampled_from([0, 2]),
)
def test_it_is_algorithm_1(seed: int, groups: int, width: int, penalty: float, alpha: float, levels: int) -> None:
    engine = TableEngine(seed=seed, levels=levels)
    rules = Rules(END, Diverse(width, penalty, END), length_penalty=alpha)
    for place, mine in enumerate(found(engine, groups, rules, [0, 1, 2, 3])):
        for hypotheses, expected in zip(mine, transcribed(engine, place, groups, width, penalty, alpha), strict=True):
            assert [(one.ids, one.stop) for one in hypotheses] == [(ids, stop) for _, ids, stop in expected]
            scores = [score for score, _, _ in expected]
            assert [one.normalised for one in hypotheses] == pytest.approx(scores, abs=1e-5)


@settings(max_examples=10)
@given(seed=st.integers(0, 10**6), width=st.integers(1, 3), penalty=st.sampled_from([0.0, 0.5]))
def test_neighbours_in_the_batch_change_nothing(seed: int, width: int, penalty: float) -> None:
    engine = TableEngine(seed=seed)
    rules = Rules(END, Diverse(width, penalty, END))
    together = found(engine, 3, rules, [0, 1, 2, 3])
    assert found(engine, 3, rules, [3, 1, 2, 0]) == [together[place] for place in (3, 1, 2, 0)]
    assert [found(engine, 3, rules, [place])[0] for place in range(4)] == together


def test_one_group_is_beam_search_and_no_penalty_makes_all_groups_the_same() -> None:
    engine = TableEngine(seed=5)
    beam = found(engine, 1, Rules(END, Beam(3)), [0, 1, 2, 3])
    assert found(engine, 1, Rules(END, Diverse(3, 0.7, END)), [0, 1, 2, 3]) == beam
    for (expected,), mine in zip(beam, found(engine, 4, Rules(END, Diverse(3, 0.0, END)), [0, 1, 2, 3]), strict=True):
        assert mine == [expected] * 4


def test_a_high_penalty_gives_each_group_a_first_piece_of_its_own() -> None:
    engine = TableEngine(seed=6, end_bonus=-9.0)
    for mine in found(engine, 5, Rules(END, Diverse(1, 100.0, END)), [0, 1, 2, 3]):
        assert len({one.ids[0] for (one,) in mine}) == 5
        for (one,) in mine:
            assert one.score == pytest.approx(sum(one.token_scores))  # the model's, without penalties
