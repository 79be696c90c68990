"""Stochastic beam search against the exact probabilities of sampling without replacement, on a toy vocabulary."""

from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Sequence
from functools import partial

import pytest
import torch
from torch import Tensor

from isthmus.core.padded import Padded
from isthmus.engines.engine import EngineState
from isthmus.generate import choose
from isthmus.generate.expand import Stochastic
from isthmus.generate.expand.stochastic import conditioned
from isthmus.generate.noise import request_seed
from isthmus.generate.search import Rules, run
from isthmus.generate.state import Hypothesis, Requests, SearchState
from tests.unit.generate.table_engine import END, TableEngine, TableState

PIECES = (4, 5, 6)
LONGEST = 2


class Toy(TableEngine):
    """Three pieces and the end, which is certain after two pieces: thirteen outputs in all."""

    def log_probs(self, source: Sequence[int], history: Sequence[int]) -> Tensor:
        allowed = torch.full((self.size,), float("-inf"))
        allowed[[END] if len(history) > LONGEST else [END, *PIECES]] = 0.0
        return (super().log_probs((), history) + allowed).log_softmax(-1)


def drawn(
    engine: TableEngine, width: int, seeds: Sequence[int], rules: Rules | None = None
) -> list[tuple[Hypothesis, ...]]:
    memory: dict[tuple[int, ...], Tensor] = {}

    def step(tokens_BT: Tensor, state: EngineState) -> tuple[Tensor, EngineState, None]:
        assert isinstance(state, TableState)
        histories = [(*past, *new) for past, new in zip(state.histories, tokens_BT.tolist(), strict=True)]
        for one in set(histories) - memory.keys():
            memory[one] = engine.log_probs((), one)
        return torch.stack([memory[one] for one in histories]), TableState(state.sources, histories), None

    requests = Requests.of([LONGEST] * len(seeds), seeds=[request_seed(seed, ()) for seed in seeds])
    state = SearchState.begin(engine.start(Padded.of([[5]] * len(seeds))), engine.start_ids, requests)
    return list(run(step, state, rules or Rules(END, Stochastic(width), length_penalty=0.0)))


def exact(engine: TableEngine, warp: float = 1.0) -> dict[tuple[int, ...], float]:
    """The probability of every output."""
    found = {}
    for length in range(LONGEST + 1):
        for ids in itertools.product(PIECES, repeat=length):
            score = 0.0
            for place, id in enumerate((*ids, END)):
                score += float((engine.log_probs((), (*engine.start_ids, *ids[:place])) / warp).log_softmax(-1)[id])
            found[ids] = math.exp(score)
    assert sum(found.values()) == pytest.approx(1)
    return found


def ordered(probability: dict[tuple[int, ...], float], count: int) -> dict[tuple[tuple[int, ...], ...], float]:
    """The probability of drawing each ordered selection of `count` outputs, one after the other."""
    found = {}
    for several in itertools.permutations(probability, count):
        chance, left = 1.0, 1.0
        for one in several:
            chance *= probability[one] / left
            left -= probability[one]
        found[several] = chance
    return found


@pytest.mark.parametrize("warp", [1.0, 2.0])
def test_samples_come_in_the_order_and_as_often_as_drawing_without_replacement(warp: float) -> None:
    engine, draws, width = Toy(seed=3, sharpness=0.7), 8_000, 2
    warpers = (partial(choose.temperature, value=warp),) if warp != 1 else ()
    rules = Rules(END, Stochastic(width, warpers), length_penalty=0.0)
    counts = Counter(tuple(one.ids for one in several) for several in drawn(engine, width, range(draws), rules))
    expected = ordered(exact(engine, warp), width)
    assert set(counts) <= set(expected)
    often = [several for several, chance in expected.items() if chance * draws >= 5]
    chi_square = sum((counts[one] - expected[one] * draws) ** 2 / (expected[one] * draws) for one in often)
    degrees = len(often) - 1
    assert degrees > 50
    assert abs(chi_square - degrees) < 4.5 * (2 * degrees) ** 0.5


def test_inclusion_probabilities_are_the_exact_ones() -> None:
    engine, draws, width = Toy(seed=4, sharpness=0.7), 4_000, 3
    expected: Counter[tuple[int, ...]] = Counter()
    for several, chance in ordered(exact(engine), width).items():
        for one in several:
            expected[one] += chance  # type: ignore[assignment]
    counts = Counter(one.ids for several in drawn(engine, width, range(draws)) for one in several)
    for ids, chance in expected.items():
        assert abs(counts[ids] - chance * draws) < 4.5 * (draws * chance * (1 - chance)) ** 0.5 + 1


def test_as_many_samples_as_there_are_outputs_are_all_of_them() -> None:
    engine = Toy(seed=5)
    for several in drawn(engine, 13, range(20)):
        assert {one.ids for one in several} == set(exact(engine))
        perturbed = [one.normalised for one in several]
        assert perturbed == sorted(perturbed, reverse=True)
        for one in several:
            assert one.score == pytest.approx(math.log(exact(engine)[one.ids]), abs=1e-5)


def test_a_sample_depends_on_its_request_alone() -> None:
    engine = Toy(seed=6)
    together = drawn(engine, 3, range(30))
    assert drawn(engine, 3, range(29, -1, -1)) == together[::-1]
    assert [drawn(engine, 3, [seed])[0] for seed in range(30)] == together
    assert len({tuple(one.ids for one in several) for several in together}) > 10


def test_the_greatest_after_a_beam_is_the_given_one_and_the_order_stays() -> None:
    perturbed_NKV = torch.randn(3, 5, 7, dtype=torch.float64) * 3
    perturbed_NKV[0, 0, 2] = float("-inf")
    greatest_NK = torch.randn(3, 5, dtype=torch.float64)
    moved_NKV = conditioned(perturbed_NKV, greatest_NK)
    assert torch.allclose(moved_NKV.amax(-1), greatest_NK)
    assert torch.equal(moved_NKV.argsort(-1), perturbed_NKV.argsort(-1))
    assert moved_NKV[0, 0, 2] == float("-inf")
    # a truncated Gumbel as it is defined
    most_NK1 = perturbed_NKV.amax(-1, keepdim=True)
    plain = -(torch.exp(-greatest_NK.unsqueeze(-1)) - torch.exp(-most_NK1) + torch.exp(-perturbed_NKV)).log()
    assert torch.allclose(moved_NKV, plain)
