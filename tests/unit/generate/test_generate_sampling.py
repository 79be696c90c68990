"""Samples over 100,000 draws: as frequent as the cut probabilities say, and rows independent of each other."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from isthmus.generate.noise import request_seed
from isthmus.generate.options import GenerationOptions
from isthmus.generate.rules import rules_of
from isthmus.generate.state import Requests, SearchState
from tests.unit.generate.table_engine import END, TableState

SIZE, ROWS = 11, 100_000
LOGITS_V = torch.tensor([1.1, -0.4, 0.3, 2.0, -2.5, 0.9, -0.1, 1.6, -4.0, 0.2, -1.0])


def draws(values: dict[str, object], requests: Requests) -> Tensor:
    """One piece for each row, all from the same logits; int64 [N]."""
    expand = rules_of(GenerationOptions.of({"do_sample": True, "top_k": 0, **values}), END, ()).expand
    state = SearchState.begin(TableState([], []), (2,), requests)
    log_probs_NKV = LOGITS_V.log_softmax(-1).expand(requests.index_N.shape[0], 1, SIZE)
    return expand(log_probs_NKV, state).token_NC.flatten()


def samples_of_one(seed: int = 1) -> Requests:
    return Requests.of([5], seeds=[request_seed(seed, [5, 6])], samples=ROWS)


def chi_square(counts: Tensor, expected: Tensor) -> float:
    assert torch.equal(counts[expected == 0], torch.zeros_like(counts[expected == 0]))
    possible = expected > 0
    return float(((counts - expected)[possible] ** 2 / expected[possible]).sum())


def probabilities(values: dict[str, object]) -> Tensor:
    """By the definitions, one piece after the other."""
    log_q = LOGITS_V.double().log_softmax(-1)
    log_q = (log_q / float(str(values.get("temperature", 1.0)))).log_softmax(-1)
    q = log_q.exp()
    entropy = float(-(q * log_q).sum())
    best_first = sorted(range(SIZE), key=lambda id: -float(q[id]))
    kept = set(range(SIZE))
    if "top_p" in values:
        kept = enough(best_first, q, values["top_p"])
    if "typical_p" in values:
        kept = enough(sorted(kept, key=lambda id: abs(-float(log_q[id]) - entropy)), q, values["typical_p"])
    if "min_p" in values:
        kept = {id for id in kept if q[id] >= float(str(values["min_p"])) * q.max()}
    if "epsilon_cutoff" in values:
        kept = {id for id in kept if q[id] >= float(str(values["epsilon_cutoff"]))}
    if "eta_cutoff" in values:
        cutoff = float(str(values["eta_cutoff"]))
        kept = {id for id in kept if q[id] >= min(cutoff, cutoff**0.5 * torch.exp(torch.tensor(-entropy)))}
    left = q * torch.tensor([id in kept for id in range(SIZE)])
    return left / left.sum()


def enough(order: list[int], q: Tensor, p: object) -> set[int]:
    """The first pieces of an order, until they sum to p."""
    kept, total = set(), 0.0
    for id in order:
        if total < float(str(p)):
            kept.add(id)
        total += float(q[id])
    return kept


@pytest.mark.parametrize(
    ("values", "left"),
    [
        ({}, 11),
        ({"temperature": 1.7}, 11),
        ({"top_p": 0.8}, 5),
        ({"min_p": 0.2}, 4),
        ({"typical_p": 0.4}, 3),
        ({"epsilon_cutoff": 0.05}, 6),
        ({"eta_cutoff": 0.05}, 7),
        ({"temperature": 1.3, "epsilon_cutoff": 0.04}, 8),
    ],
)
def test_pieces_are_as_frequent_as_their_probabilities(values: dict[str, object], left: int) -> None:
    expected = probabilities(values)
    counts = draws(values, samples_of_one()).bincount(minlength=SIZE).double()
    assert chi_square(counts, expected * ROWS) < 40  # at most 10 degrees of freedom: less than 1 in 50,000
    assert int((expected > 0).sum()) == left


@pytest.mark.parametrize("apart", [1, 2, 64])
def test_rows_of_a_batch_are_independent(apart: int) -> None:
    """Pairs of neighbours are as frequent as the product of both: samples of one text, texts of one seed, and seeds."""
    expected = probabilities({})
    pairs = (expected[:, None] * expected[None, :]).flatten()
    texts = [request_seed(1, [number, 3]) for number in range(ROWS // 4)]
    seeds = [request_seed(number, [5, 6]) for number in range(ROWS // 4)]
    for requests in (
        samples_of_one(),
        Requests.of([5] * len(texts), seeds=texts),
        Requests.of([5] * len(seeds), seeds=seeds),
    ):
        token_N = draws({}, requests)
        code = token_N[:-apart] * SIZE + token_N[apart:]
        found = chi_square(code.bincount(minlength=SIZE**2).double(), pairs * code.shape[0])
        assert found < 200  # 120 degrees of freedom: less than 1 in 100,000


def test_places_of_an_output_are_independent() -> None:
    requests = samples_of_one()
    state = SearchState.begin(TableState([], []), (2,), requests)
    expand = rules_of(GenerationOptions(do_sample=True, top_k=0), END, ()).expand
    log_probs_NKV = LOGITS_V.log_softmax(-1).expand(ROWS, 1, SIZE)
    first, second = (
        expand(log_probs_NKV, replace(state, length_N=torch.full((ROWS,), place))).token_NC.flatten()
        for place in (0, 1)
    )
    expected = probabilities({})
    pairs = (expected[:, None] * expected[None, :]).flatten()
    counts = (first * SIZE + second).bincount(minlength=SIZE**2).double()
    assert chi_square(counts, pairs * ROWS) < 200
