"""The same request gives the same output alone, in any batch, in any order, with any padding: mixed requests."""

from __future__ import annotations

import random
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import pytest

from isthmus.engines.torch_engine import TorchEngine
from isthmus.generate.jobs import Job, Target, search_jobs
from isthmus.generate.options import GenerationOptions
from isthmus.generate.state import Hypothesis
from isthmus.text.vocabulary import BOS, EOS
from tests.unit.generate.tiny_bundle import tiny_bundle

PIECES = range(145, 160)
WAYS: tuple[dict[str, Any], ...] = (
    {"num_beams": 1},
    {"num_beams": 4, "num_return_sequences": 4, "no_repeat_ngram_size": 3},
    {"num_beams": 3, "early_stopping": "never", "length_penalty": 0.6, "min_length": 3},
    {"num_beams": 4, "num_return_sequences": 4, "num_beam_groups": 2, "diversity_penalty": 1.5},
    {"num_beams": 3, "num_return_sequences": 3, "coverage_penalty": 0.3},
    {"num_beams": 4, "num_return_sequences": 2, "force_words_ids": [[150, 151], [[152], [153, 154]]]},
    {"num_beams": 2, "allowed_outputs_ids": [[150, 151], [150], [152, 152, 152], [155]]},
    {"do_sample": True, "num_return_sequences": 3, "seed": 7, "top_k": 0},
    {"do_sample": True, "num_return_sequences": 3, "seed": 7, "top_k": 12, "without_replacement": True},
)


@lru_cache
def engine() -> TorchEngine:
    return TorchEngine(tiny_bundle().model, (BOS,))


def jobs(count: int, longest: int) -> list[Job]:
    """Sources of up to so many pieces, every third with a beginning of its own."""
    chance = random.Random(11)
    found = []
    for number in range(count):
        source = (*chance.choices(PIECES, k=chance.randint(1, longest)), EOS)
        found.append(Job(source, tuple(chance.choices(PIECES, k=chance.randint(1, 3))) if number % 3 == 0 else ()))
    return found


def outputs(several: Sequence[Job], way: dict[str, Any], batch: int) -> list[tuple[Hypothesis, ...]]:
    options = GenerationOptions.of({**way, "max_length": 14, "batch": batch})
    never = [id for id in range(145) if id != EOS]
    return [found.hypotheses for found in search_jobs(engine(), several, Target(EOS, never, 97), options)]


def check(count: int, longest: int, batches: Sequence[int]) -> None:
    """So many requests each way: in batches of several sizes, backwards, shuffled."""
    compared = ties = 0
    for way in WAYS:
        several = [Job(one.source) if "allowed_outputs_ids" in way else one for one in jobs(count, longest)]
        expected = outputs(several, way, batches[0])
        order = random.Random(5).sample(range(count), count)
        turns = [(list(range(count)), batch) for batch in batches[1:]]
        for places, batch in [*turns, (list(reversed(range(count))), batches[0]), (order, batches[-1])]:
            found = outputs([several[place] for place in places], way, batch)
            for place, mine in zip(places, found, strict=True):
                assert len(mine) == len(expected[place])
                for one, other in zip(mine, expected[place], strict=True):
                    compared += 1
                    assert one.normalised == pytest.approx(other.normalised, rel=1e-4, abs=1e-4)
                    ties += (one.ids, one.stop) != (other.ids, other.stop)
        assert len({one[0].ids for one in expected}) > (1 if "allowed_outputs_ids" in way else count // 3)
    assert ties <= 0.001 * compared  # of outputs whose scores agree to the last digits


def test_company_order_and_padding_change_nothing() -> None:
    check(4, 8, [4, 1])


@pytest.mark.slow
def test_company_order_and_padding_change_nothing_for_a_thousand_requests() -> None:
    check(1 + 1000 // len(WAYS), 30, [64, 7])
