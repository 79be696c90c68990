"""Searches that are joined, thinned out and joined again find what each finds alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest
import torch

from isthmus.core.errors import StateError
from isthmus.engines.ensemble import Ensemble, Mean
from isthmus.engines.torch_engine import TorchEngine
from isthmus.generate.jobs import Job, Target, prepared
from isthmus.generate.joining import can_join, joined, without
from isthmus.generate.options import GenerationOptions
from isthmus.generate.search import Rules, Step, run, search
from isthmus.generate.state import Hypothesis, SearchState
from isthmus.generate.wording import in_ids
from isthmus.text.vocabulary import BOS, EOS
from tests.unit.generate.tiny_bundle import tiny_bundle

WAYS: dict[str, dict[str, Any]] = {
    "greedy": {"num_beams": 1},
    "beam": {"num_beams": 3, "alignment": True},
    "coverage": {"num_beams": 2, "coverage_penalty": 0.3},
    "diverse": {"num_beams": 4, "num_beam_groups": 2, "diversity_penalty": 0.7, "num_return_sequences": 2},
    "sample": {"do_sample": True, "num_return_sequences": 3, "seed": 7},
    "stochastic": {"do_sample": True, "without_replacement": True, "num_return_sequences": 3, "top_k": 0, "seed": 7},
    "forced": {"num_beams": 3, "force_words": ["g"]},
    "repetition": {"num_beams": 2, "no_repeat_ngram_size": 2, "repetition_penalty": 1.2},
}
GROUPS = (("abc", "fedcba hgf"), ("gg hh ee",), ("a", "bcdef", "h!"))


@dataclass(frozen=True, slots=True)
class Bench:
    """A tiny model, and the ways to begin a search with it."""

    engine: TorchEngine
    options: GenerationOptions
    target: Target
    groups: tuple[tuple[Job, ...], ...]

    @classmethod
    def of(cls, way: str) -> Bench:
        bundle = tiny_bundle()
        codec = bundle.codec
        options = in_ids(GenerationOptions.of(WAYS[way]), codec)
        groups = tuple(
            tuple(Job((*codec.source.encode(text), EOS), prefix=(8,) * (len(text) % 2)) for text in texts)
            for texts in GROUPS
        )
        target = Target(EOS, codec.target.vocabulary.control, 97)
        return cls(TorchEngine(bundle.model, (BOS,)), options, target, groups)

    def begin(self, jobs: tuple[Job, ...]) -> tuple[Step, SearchState, Rules]:
        return prepared(self.engine, jobs, self.target, self.options)

    def alone(self, jobs: tuple[Job, ...]) -> list[tuple[Hypothesis, ...]]:
        with torch.inference_mode():
            return [one for job in jobs for one in run(*self.begin((job,)))]


def stepped(step: Step, state: SearchState, rules: Rules) -> SearchState:
    moments = search(step, state, rules)
    next(moments)
    return next(moments, state)


def to_the_end(step: Step, state: SearchState, rules: Rules) -> tuple[tuple[Hypothesis, ...], ...]:
    *_, last = search(step, state, rules)
    return last.finished


def check_same(found: list[tuple[Hypothesis, ...]], expected: list[tuple[Hypothesis, ...]]) -> None:
    assert [[one.ids for one in several] for several in found] == [[one.ids for one in several] for several in expected]
    for several, others in zip(found, expected, strict=True):
        for one, other in zip(several, others, strict=True):
            assert one.score == pytest.approx(other.score, abs=1e-4)
            assert one.normalised == pytest.approx(other.normalised, abs=1e-4)
            assert (one.stop, one.met) == (other.stop, other.met)
            if other.attention_TS is not None:
                assert one.attention_TS is not None
                S = other.attention_TS.shape[1]
                torch.testing.assert_close(one.attention_TS[:, :S], other.attention_TS, atol=1e-5, rtol=1e-4)
                assert not one.attention_TS[:, S:].any()


@pytest.mark.parametrize("way", WAYS)
def test_searches_that_join_one_after_the_other_find_what_each_finds_alone(way: str) -> None:
    bench = Bench.of(way)
    expected = [one for jobs in bench.groups for one in bench.alone(jobs)]
    with torch.inference_mode():
        step, state, rules = bench.begin(bench.groups[0])
        for jobs in bench.groups[1:]:
            for _ in range(3):
                state = stepped(step, state, rules)
            later = stepped(step, bench.begin(jobs)[1], rules)
            state = joined([state, later])
        found = to_the_end(step, state, rules)
    check_same(list(found), expected)


@pytest.mark.parametrize("way", ["beam", "sample", "diverse"])
def test_a_search_goes_on_without_those_that_leave(way: str) -> None:
    bench = Bench.of(way)
    rows = bench.options.rows
    jobs = tuple(job for group in bench.groups for job in group)
    expected = bench.alone(jobs)
    leaving = [place * rows + row for place in (0, 3) for row in range(rows)]
    with torch.inference_mode():
        step, state, rules = bench.begin(jobs)
        for _ in range(2):
            state = stepped(step, state, rules)
        state = without(state, leaving)
        state = stepped(step, state, rules)
        found = to_the_end(step, without(state, []), rules)
    check_same(list(found), [one for place, one in enumerate(expected) if place not in leaving])


def test_what_is_over_can_be_joined_and_can_leave() -> None:
    bench = Bench.of("beam")
    with torch.inference_mode():
        step, state, rules = bench.begin(bench.groups[0])
        *_, done = search(step, state, rules)
        later = stepped(step, bench.begin(bench.groups[1])[1], rules)
        state = joined([done, later])
        assert state.live == 1
        assert state.finished[:2] == done.finished
        state = without(state, [0, 1])
        found = to_the_end(step, state, rules)
        nobody = without(stepped(step, bench.begin(bench.groups[0])[1], rules), [0, 1])
        both = joined([done, done])
    check_same(list(found), bench.alone(bench.groups[1]))
    assert (nobody.live, nobody.finished) == (0, ())
    assert both.finished == done.finished * 2


def test_outputs_do_not_drag_along_what_stood_before_them() -> None:
    bench = Bench.of("greedy")
    with torch.inference_mode():
        step, state, rules = bench.begin(bench.groups[0])
        for _ in range(9):
            state = stepped(step, state, rules)
        assert state.live
        fresh = stepped(step, bench.begin(bench.groups[1])[1], rules)
        alone = without(joined([state, fresh]), [0, 1])
        again = joined([alone, stepped(step, bench.begin(bench.groups[1])[1], rules)])
    assert again.beams.ids_NKT.shape[2] == 1


def test_states_of_other_engines_say_that_they_cannot_join() -> None:
    bench = Bench.of("greedy")
    ensemble = Ensemble([bench.engine, bench.engine], Mean.of(2))
    with torch.inference_mode():
        step, state, rules = prepared(ensemble, bench.groups[0], bench.target, bench.options)
        state = stepped(step, state, rules)
        assert not can_join(state)
        assert can_join(bench.begin(bench.groups[0])[1])
        with pytest.raises(StateError, match="can be joined only where the engine's states can"):
            joined([state, stepped(step, prepared(ensemble, bench.groups[1], bench.target, bench.options)[1], rules)])
