from __future__ import annotations

import math
import os
import signal
import threading

import pytest
import torch

from isthmus.model.decoders.decoder import Decoded
from isthmus.model.heads import head
from isthmus.model.heads.softmax import SoftmaxHead
from isthmus.train.interrupt import interruptible
from isthmus.train.objective import CrossEntropy, ScheduledSampling
from isthmus.train.validate import LossValidator
from tests.unit.train.toy import RUNTIME, VOCABULARY, ToyBatches, toy_model


@torch.no_grad()
def test_the_loss_validator_counts_every_token_once() -> None:
    model, batches = toy_model().eval(), ToyBatches(batches=3, rows=5)
    result = LossValidator(batches, RUNTIME)(model)
    loss = right = tokens = 0.0
    for batch in batches.epoch(0):
        for row, target in enumerate(batch.target.rows()):
            one = torch.tensor([row])
            log_probs_TV = model(batch.source.select(one), batch.target_in.select(one))[0, : len(target)]
            loss -= sum(float(log_probs_TV[place, token]) for place, token in enumerate(target))
            right += sum(int(log_probs_TV[place].argmax()) == token for place, token in enumerate(target))
            tokens += len(target)
    assert result.scores["loss"] == pytest.approx(loss / tokens, rel=1e-5)
    assert result.scores["accuracy"] == pytest.approx(right / tokens)
    assert result.scores["perplexity"] == pytest.approx(math.exp(loss / tokens), rel=1e-5)


def test_the_log_probabilities_of_a_few_rows_exist_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    model, batches = toy_model().eval(), ToyBatches(batches=2, rows=5)
    seen: list[torch.Size] = []
    log_probs = SoftmaxHead.log_probs

    def watched(self: SoftmaxHead, decoded: Decoded) -> torch.Tensor:
        seen.append((result := log_probs(self, decoded)).shape)
        return result

    with torch.no_grad():
        whole = LossValidator(batches, RUNTIME)(model).scores
        monkeypatch.setattr(head, "LOGITS", 2 * 7 * VOCABULARY)
        monkeypatch.setattr(SoftmaxHead, "log_probs", watched)
        parts = LossValidator(batches, RUNTIME)(model).scores
    assert parts == pytest.approx(whole, rel=1e-6)
    assert sum(shape[0] for shape in seen) == 10
    assert max(shape.numel() for shape in seen) <= 2 * 7 * VOCABULARY


def test_scheduled_sampling_predicts_a_few_rows_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    model, batch = toy_model(dropout=0.0), next(ToyBatches(rows=5).epoch(0))
    losses = []
    for most in (1 << 24, VOCABULARY):
        monkeypatch.setattr(head, "LOGITS", most)
        torch.manual_seed(3)
        losses.append(ScheduledSampling(0.1, 1.0)(model, batch, 1.0)[0].item())
    assert losses[0] == pytest.approx(losses[1], rel=1e-6)


def test_no_held_out_batches_give_no_number() -> None:
    scores = LossValidator(ToyBatches(batches=0), RUNTIME)(toy_model()).scores
    assert math.isnan(scores["loss"])


def test_the_objective_smooths_labels_and_weighs_examples() -> None:
    model, batch = toy_model().eval(), next(ToyBatches(rows=5).epoch(0))
    weight_B = torch.tensor([0.0, 1.0, 2.0, 0.5, 3.0])
    batch = type(batch)(batch.source, batch.target_in, batch.target, weight_B, batch.index_B)
    total, number = CrossEntropy(0.3)(model, batch)
    expected = count = 0.0
    log_probs_BTV = model(batch.source, batch.target_in).detach()
    for row, target in enumerate(batch.target.rows()):
        for place, token in enumerate(target):
            log_probs_V = log_probs_BTV[row, place]
            expected -= float(weight_B[row] * (0.7 * log_probs_V[token] + 0.3 * log_probs_V.mean()))
            count += float(weight_B[row])
    assert total.item() == pytest.approx(expected, rel=1e-5)
    assert number.item() == count


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_first_signal_asks_and_the_second_exits(number: signal.Signals) -> None:
    before = signal.getsignal(number)
    with interruptible() as interruption:
        assert not interruption()
        os.kill(os.getpid(), number)
        assert interruption()
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), number)
    assert signal.getsignal(number) is before


def test_outside_the_main_thread_nothing_is_installed() -> None:
    found: list[bool] = []

    def work() -> None:
        with interruptible() as interruption:
            found.append(interruption())

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert found == [False]
