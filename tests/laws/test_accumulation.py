"""Law 9: the gradients of n micro-batches, added and divided by the count of all, are those of one batch."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from isthmus.core.padded import Padded
from isthmus.model.encoder_decoder import EncoderDecoder
from tests.laws.architectures import TARGET_SIZE, WITHOUT_WEIGHTS, Architecture, architectures, rows

SOURCES, TARGETS = (7, 1, 5, 2, 11), (3, 11, 1, 5, 2)


def gradients(
    model: EncoderDecoder, parts: list[list[int]], smoothing: float, weight_B: Tensor | None
) -> dict[str, Tensor]:
    source, target = rows(*SOURCES, seed=2), rows(*TARGETS, size=TARGET_SIZE, seed=1)  # some rows of two sources
    model.zero_grad()
    count = torch.zeros(())
    for part in parts:
        _, decoded = model.read(
            Padded.of([source[row] for row in part]), Padded.of([[2, *target[row][:-1]] for row in part])
        )
        total, number = model.head.nll(
            decoded, Padded.of([target[row] for row in part]), smoothing, None if weight_B is None else weight_B[part]
        )
        total.backward()  # type: ignore[no-untyped-call]
        count += number
    return {name: p.grad / count for name, p in model.named_parameters() if p.grad is not None}


def may_be_idle(architecture: Architecture) -> tuple[str, ...]:
    """Who reads a summary asks nothing and sees no states; else nobody may read it; softmax sees no bias of its scores."""
    if architecture.connection in WITHOUT_WEIGHTS:
        return ("around_connection.norm", "summary.score.bias", "encoder.output")
    below = architecture.connection in ("own-layer", "joint-own-layer", "mixed-layers")  # read before the final norm
    return ("summary", "encoder.final_norm") if below else ("summary",)


@architectures
@pytest.mark.parametrize("weighted", [False, True])
def test_micro_batches_are_one_batch(architecture: Architecture, weighted: bool) -> None:
    model = architecture.model()
    weight_B = torch.tensor([0.5, 2.0, 1.0, 0.25, 3.0]) if weighted else None
    whole = gradients(model, [[0, 1, 2, 3, 4]], 0.1, weight_B)
    parts = gradients(model, [[3], [1, 4], [0, 2]], 0.1, weight_B)
    assert whole.keys() == parts.keys()
    for name, gradient in whole.items():
        torch.testing.assert_close(parts[name], gradient, rtol=1e-4, atol=1e-6, msg=name)
    idle = {name for name, gradient in whole.items() if not bool((gradient != 0).any())}
    idle |= {name for name, _ in model.named_parameters()} - whole.keys()
    assert not [name for name in idle if not any(part in name for part in may_be_idle(architecture))]


@architectures
def test_the_loss_is_what_the_log_probabilities_say(architecture: Architecture) -> None:
    model = architecture.model()
    source, target = Padded.of(rows(*SOURCES)), Padded.of(rows(*TARGETS, size=TARGET_SIZE, seed=1))
    target_in = Padded.of([[2, *row[:-1]] for row in target.rows()])
    _, decoded = model.read(source, target_in)
    log_probs_BTV = model(source, target_in)
    expected = -sum(
        log_probs_BTV[row, t, token] for row, ids in enumerate(target.rows()) for t, token in enumerate(ids)
    )
    total, count = model.head.nll(decoded, target)
    torch.testing.assert_close(total, expected, rtol=1e-5, atol=1e-5)
    assert count == sum(TARGETS)
    among = torch.tensor([3, 17, 5])
    logits_BTC = log_probs_BTV[:, :, among]
    torch.testing.assert_close(
        model.head.log_probs(decoded, among), logits_BTC.log_softmax(dim=-1), rtol=1e-5, atol=1e-5
    )
