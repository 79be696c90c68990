"""Coverage and interactive attention against what their equations say, position by position in float64.

B row, S source position, T target position, D model.
"""

from __future__ import annotations

from typing import Literal

import pytest
import torch
from torch import Tensor

from isthmus.core.runtime import seeded
from isthmus.model.connections.connection import Connection
from isthmus.model.connections.coverage import Coverage, CoverageConfig
from isthmus.model.connections.interactive_attention import InteractiveAttention, InteractiveAttentionConfig
from isthmus.model.memory import Memory
from isthmus.model.similarity import Similarity
from isthmus.model.sizes import Sizes

S, T, Q, D = 7, 5, 13, 11
REAL = (7, 4)


def given() -> tuple[Memory, Tensor]:
    with seeded(2):
        states_BSD, query_BTQ = torch.randn(2, S, D, dtype=torch.float64), torch.randn(2, T, Q, dtype=torch.float64)
    return Memory(states_BSD, torch.arange(S)[None] < torch.tensor(REAL)[:, None]), query_BTQ


def double(connection: Connection) -> None:
    connection.double().eval()
    with torch.no_grad():
        for parameter in connection.parameters():
            parameter.add_(torch.randn_like(parameter), alpha=0.3)


def read(connection: Connection, parts: list[int]) -> tuple[Tensor, Tensor, Tensor]:
    """Contexts, weights and what was written, read in blocks of the given sizes."""
    memory, query_BTQ = given()
    link, position_B, contexts, weights = connection.prepare(memory), torch.zeros(2, dtype=torch.int64), [], []
    for block_BTQ in torch.split(query_BTQ, parts, dim=1):
        reading, link = connection(block_BTQ, link, position_B, weights=True)
        position_B = position_B + block_BTQ.shape[1]
        assert reading.weights_BHTS is not None
        contexts.append(reading.context_BTD)
        weights.append(reading.weights_BHTS[:, 0])
    return torch.cat(contexts, dim=1), torch.cat(weights, dim=1).double(), link.written[0]


def naive_coverage(one: Coverage, kind: str) -> tuple[Tensor, Tensor, Tensor]:
    memory, query_BTQ = given()
    weights, covered = torch.zeros(2, T, S, dtype=torch.float64), torch.zeros(2, S, one.size, dtype=torch.float64)
    for row, real in enumerate(REAL):
        for t in range(T):
            scores = []
            for s in range(real):
                inner = one.query.weight @ query_BTQ[row, t] + one.key.weight @ memory.states_BSD[row, s] + one.key.bias
                scores.append(one.score.weight[0] @ torch.tanh(inner + one.covered.weight @ covered[row, s]))
            weights[row, t, :real] = torch.softmax(torch.stack(scores), dim=0)
            for s in range(S):
                weight, state = weights[row, t, s], memory.states_BSD[row, s]
                if kind == "neural":
                    assert one.neural is not None
                    seen = torch.cat([weight[None], state, query_BTQ[row, t]])
                    covered[row, s] = one.neural(seen[None], covered[row, s][None])[0]
                elif kind == "fertility":
                    assert one.fertility is not None
                    covered[row, s] += weight / (2 * torch.sigmoid(one.fertility.expected.weight[0] @ state))
                else:
                    covered[row, s] += weight
    return weights @ memory.states_BSD, weights, covered


@pytest.mark.parametrize("kind", ["sum", "fertility", "neural"])
@pytest.mark.parametrize("parts", [[T], [1] * T, [2, 3]])
@torch.no_grad()
def test_coverage_is_what_its_equations_say(kind: Literal["sum", "fertility", "neural"], parts: list[int]) -> None:
    with seeded(3):
        one = CoverageConfig(coverage=kind, size=3).build(Sizes(Q, D))
        double(one)
    for ours, other in zip(read(one, parts), naive_coverage(one, kind), strict=True):
        torch.testing.assert_close(ours.double(), other, rtol=1e-5, atol=1e-6)


def naive_weights(by: Similarity, query: Tensor, states: Tensor) -> Tensor:
    assert by.key is not None
    assert by.query is not None
    assert by.score is not None
    inner = (by.query.weight @ query)[None] + states @ by.key.weight.T + by.key.bias
    return torch.softmax(torch.tanh(inner) @ by.score.weight[0], dim=0)


@pytest.mark.parametrize("parts", [[T], [1] * T, [2, 3]])
@torch.no_grad()
def test_interactive_attention_is_what_its_equations_say(parts: list[int]) -> None:
    with seeded(3):
        one = InteractiveAttentionConfig().build(Sizes(Q, D))
        double(one)
    memory, query_BTQ = given()
    contexts, states = torch.zeros(2, T, D, dtype=torch.float64), memory.states_BSD.clone()
    weights = torch.zeros(2, T, S, dtype=torch.float64)
    for row, real in enumerate(REAL):
        for t, query in enumerate(query_BTQ[row]):
            forget = torch.sigmoid(one.forget.weight @ query + one.forget.bias)
            update = torch.sigmoid(one.update.weight @ query + one.update.bias)
            wrote = naive_weights(one.write, query, states[row, :real]) if t else torch.zeros(real).double()
            for s in range(real):
                states[row, s] = states[row, s] * (1 - wrote[s] * forget) + wrote[s] * update
            weights[row, t, :real] = naive_weights(one.read, query, states[row, :real])
            contexts[row, t] = weights[row, t] @ states[row]
    for ours, other in zip(read(one, parts), (contexts, weights, states), strict=True):
        torch.testing.assert_close(ours.double(), other, rtol=1e-5, atol=1e-6)


def test_they_say_that_they_are_two_way() -> None:
    assert not Coverage.one_way
    assert not InteractiveAttention.one_way
