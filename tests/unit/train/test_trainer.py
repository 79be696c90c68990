from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from isthmus.core.errors import CheckpointError, ConfigError, DataError, TrainingError
from isthmus.core.padded import Padded
from isthmus.core.team import Team
from isthmus.data.batches import Batch
from isthmus.model.encoder_decoder import EncoderDecoder
from isthmus.train.checkpoint import Checkpoint, Checkpoints
from isthmus.train.events import Event, Sample, Saved, Started, Stepped, Stopped, Validated
from isthmus.train.log import RunLog
from isthmus.train.objective import CrossEntropy
from isthmus.train.trainer import train
from isthmus.train.validate import ValidationResult
from tests.unit.train.toy import ToyBatches, batch_of, toy_config, toy_job, toy_model


@dataclass(frozen=True)
class Scripted:
    """A validator that gives scores from a list, one a call."""

    scores: Iterator[float]
    name: str = "scripted"

    def __call__(self, model: EncoderDecoder) -> ValidationResult:
        assert not model.training
        assert not torch.is_grad_enabled()
        return ValidationResult({"score": next(self.scores)}, (Sample("a", "b", "c"),))


@dataclass(frozen=True)
class Breaking:
    """Cross-entropy that is not finite at some updates (one batch an update)."""

    bad: frozenset[int]
    calls: list[int]

    def __call__(self, model: EncoderDecoder, batch: Batch, progress: float = 0.0) -> tuple[Tensor, Tensor]:
        self.calls.append(1)
        total, count = CrossEntropy()(model, batch)
        return (total * float("nan") if len(self.calls) in self.bad else total), count


@dataclass(frozen=True)
class Fixed:
    """The same batches every epoch."""

    given: tuple[Batch, ...]

    def epoch(self, epoch: int, start: int = 0) -> Iterator[Batch]:
        yield from self.given[start:]


def of(kind: type[Any], events: list[Event]) -> list[Any]:
    return [event for event in events if isinstance(event, kind)]


def select(direction: str) -> dict[str, str]:
    return {"metric": "score", "direction": direction}


def test_events_come_in_order_and_add_up(tmp_path: Path) -> None:
    job = toy_job(tmp_path, toy_config(steps=7, validate_every=3))
    events = list(train(job))
    names = [type(event).__name__ for event in events]
    assert names == (
        ["Started"] + (["Stepped"] * 3 + ["Validated", "Saved"]) * 2 + ["Stepped", "Validated", "Saved", "Stopped"]
    )
    started, stopped = events[0], events[-1]
    assert isinstance(started, Started)
    assert isinstance(stopped, Stopped)
    assert (started.step, started.steps) == (0, 7)
    assert started.parameters == sum(parameter.numel() for parameter in job.model.parameters())
    assert (stopped.step, stopped.reason) == (7, "finished")
    assert [event.step for event in of(Stepped, events)] == list(range(1, 8))
    assert [event.epoch for event in of(Stepped, events)] == [0] * 5 + [1] * 2
    tokens = [int(batch.target.lengths_B.sum()) for epoch in (0, 1) for batch in ToyBatches().epoch(epoch)]
    assert [event.target_tokens for event in of(Stepped, events)] == tokens[:7]
    assert [event.learning_rate for event in of(Stepped, events)][:3] == pytest.approx([0.01 / 3, 0.02 / 3, 0.01])


def test_training_makes_the_loss_smaller(tmp_path: Path) -> None:
    events = of(Stepped, list(train(toy_job(tmp_path, toy_config(steps=60, validate_every=60)))))
    first, last = (sum(event.loss for event in part) / 10 for part in (events[:10], events[-10:]))
    assert last < first - 0.3


@pytest.mark.parametrize("clip_norm", [math.inf, 0.05])
def test_accumulated_micro_batches_are_one_batch(tmp_path: Path, clip_norm: float) -> None:
    rows = [([4 + n % 5, 7], [9, 5 + n % 3, 4][: 1 + n % 3]) for n in range(13)]
    parts = tuple(batch_of(rows[start:stop]) for start, stop in ((0, 2), (2, 9), (9, 13)))
    weights = torch.linspace(0.25, 2.0, 13)
    parts = tuple(
        replace(part, weight_B=weights[start:stop])
        for part, start, stop in zip(parts, (0, 2, 9), (2, 9, 13), strict=True)
    )
    whole = replace(batch_of(rows), weight_B=weights)
    found = []
    for name, batches, accumulate in (("parts", parts, 3), ("whole", (whole,), 1)):
        # A large epsilon: some gradients are zero but for rounding, and Adam would blow the rounding up.
        optimiser = {"kind": "adam", "learning_rate": 0.01, "epsilon": 1e-3}
        config = toy_config(steps=4, accumulate=accumulate, clip_norm=clip_norm, optimiser=optimiser)
        job = toy_job(tmp_path / name, config, model=toy_model(dropout=0.0), validators=())
        events = of(Stepped, list(train(replace(job, batches=Fixed(batches)))))
        found.append((events, dict(job.model.named_parameters())))
    (ours, our_weights), (theirs, their_weights) = found
    for one, other in zip(ours, theirs, strict=True):
        assert one.loss == pytest.approx(other.loss, rel=1e-5)
        assert one.gradient_norm == pytest.approx(other.gradient_norm, rel=1e-4)
        assert one.target_tokens == other.target_tokens
    for name, parameter in our_weights.items():
        torch.testing.assert_close(parameter, their_weights[name], rtol=1e-4, atol=2e-5)


def test_the_first_update_is_that_of_the_mean_loss(tmp_path: Path) -> None:
    """The gradient of the mean a token, clipped to its norm, through Adam at the first step: each weight moves by rate x sign."""
    config = toy_config(steps=1, clip_norm=0.5, schedule={"kind": "constant"})
    job = toy_job(tmp_path, config, model=toy_model(dropout=0.0), validators=())
    reference = toy_model(dropout=0.0)
    total, count = CrossEntropy(0.1)(reference, next(ToyBatches().epoch(0)))
    torch.autograd.backward(total / count)
    (event,) = of(Stepped, list(train(job)))
    gradients = {name: parameter.grad for name, parameter in reference.named_parameters()}
    norm = torch.stack([gradient.norm() for gradient in gradients.values() if gradient is not None]).norm()
    assert event.loss == pytest.approx((total / count).item(), rel=1e-6)
    assert event.gradient_norm == pytest.approx(float(norm), rel=1e-5)
    start = dict(reference.named_parameters())
    for name, parameter in job.model.named_parameters():
        gradient = gradients[name]
        assert gradient is not None
        clear = gradient.abs() > 1e-5
        moved = (parameter - start[name])[clear]
        torch.testing.assert_close(moved, -0.01 * gradient[clear].sign(), rtol=1e-2, atol=1e-6)


def test_clipping_shortens_the_gradient_before_the_optimiser(tmp_path: Path) -> None:
    moments = []
    for clip_norm in (math.inf, 0.01):
        folder = tmp_path / str(clip_norm)
        job = toy_job(folder, toy_config(steps=1, clip_norm=clip_norm), model=toy_model(0.0), validators=())
        (event,) = of(Stepped, list(train(job)))
        saved = Checkpoints(folder / "checkpoints").latest()
        assert saved is not None
        firsts = [tensor.norm() for name, tensor in saved.optimiser.items() if name.startswith("exp_avg/")]
        moments.append((float(torch.stack(firsts).norm()) / 0.1, event.gradient_norm))
    (unclipped, norm), (clipped, same_norm) = moments
    assert unclipped == pytest.approx(norm, rel=1e-5)
    assert same_norm == norm > 0.01
    assert clipped == pytest.approx(0.01, rel=1e-3)


def test_an_update_that_is_not_finite_is_skipped_and_counted(tmp_path: Path) -> None:
    job = toy_job(tmp_path, toy_config(steps=5), objective=Breaking(frozenset({2}), []), validators=())
    weights: list[dict[str, Tensor]] = []
    events = []
    for event in train(job):
        events.append(event)
        if isinstance(event, Stepped):
            weights.append({name: value.detach().clone() for name, value in job.model.named_parameters()})
    assert [event.skipped for event in of(Stepped, events)] == [False, True, False, False, False]
    assert of(Stepped, events)[1].learning_rate == 0
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])
    assert not all(torch.equal(weights[1][name], weights[2][name]) for name in weights[0])
    lines = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert (lines[1]["loss"], lines[1]["skipped"]) == (None, True)


def test_ten_updates_in_a_row_that_are_not_finite_end_training(tmp_path: Path) -> None:
    nine_and_nine = frozenset(range(2, 11)) | frozenset(range(12, 20))
    list(train(toy_job(tmp_path / "a", toy_config(), objective=Breaking(nine_and_nine, []), validators=())))
    job = toy_job(tmp_path / "b", toy_config(), objective=Breaking(frozenset(range(4, 14)), []), validators=())
    seen: list[Event] = []
    with pytest.raises(TrainingError, match=r"(?s)10 updates in a row.*step 13"):
        seen.extend(event for event in train(job))
    assert of(Stepped, seen)[-1].step == 13


def test_patience_stops_after_so_many_validations_without_a_better_one(tmp_path: Path) -> None:
    scores = iter([3.0, 5.0, 4.0, float("nan"), 5.0, 9.0])
    config = toy_config(steps=50, validate_every=2, patience=3, select=select("higher"))
    events = list(train(toy_job(tmp_path, config, validators=(Scripted(scores),))))
    assert [event.best for event in of(Validated, events)] == [True, True, False, False, True]
    assert events[-1] == Stopped(10, "early-stopping")
    assert {path.name for path in (tmp_path / "checkpoints").glob("step-*")} == {"step-00000008", "step-00000010"}


def test_a_final_average_that_is_the_best_does_not_start_training_again(tmp_path: Path) -> None:
    config = toy_config(
        steps=50, validate_every=2, patience=2, select=select("higher"), average={"kind": "best", "count": 2}
    )
    events = list(train(toy_job(tmp_path, config, validators=(Scripted(iter([3.0, 2.0, 1.0, 9.0])),))))
    assert [(event.step, event.best, event.averaged) for event in of(Validated, events)] == [
        (2, True, False), (4, False, False), (6, False, False), (6, True, True),
    ]  # fmt: skip
    assert events[-1] == Stopped(6, "early-stopping")
    again = list(train(toy_job(tmp_path, config, validators=())))
    assert [type(event) for event in again] == [Started, Stopped]


def test_the_log_is_on_the_disk_before_the_checkpoint_that_knows_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    order: list[str] = []
    real = Checkpoints.save

    def save(self: Checkpoints, checkpoint: Checkpoint) -> Path:
        order.append("save")
        return real(self, checkpoint)

    monkeypatch.setattr(RunLog, "sync", lambda self: order.append("sync"))
    monkeypatch.setattr(Checkpoints, "save", save)
    list(train(toy_job(tmp_path, toy_config(steps=2, validate_every=1))))
    assert order == ["sync", "save"] * 2


def test_another_average_starts_afresh_when_that_is_allowed(tmp_path: Path) -> None:
    list(train(toy_job(tmp_path, toy_config(steps=5, average={"kind": "last"}))))
    changed = toy_config(steps=10, average={"kind": "ema"})
    events = list(train(toy_job(tmp_path, changed, allow=frozenset({"train"}))))
    assert events[-1] == Stopped(10, "finished")


def test_lower_is_better_where_the_recipe_says_so(tmp_path: Path) -> None:
    config = toy_config(steps=8, validate_every=2, select=select("lower"))
    events = list(train(toy_job(tmp_path, config, validators=(Scripted(iter([3.0, 5.0, 2.0, 2.0])),))))
    assert [event.best for event in of(Validated, events)] == [True, False, True, True]
    assert of(Validated, events)[0].samples == (Sample("a", "b", "c"),)


def test_without_validators_the_last_weights_are_the_best(tmp_path: Path) -> None:
    events = list(train(toy_job(tmp_path, toy_config(steps=10), validators=())))
    assert [(event.best, dict(event.scores)) for event in of(Validated, events)] == [(True, {})] * 2


def test_a_metric_that_no_validator_gives_is_an_error(tmp_path: Path) -> None:
    config = toy_config(steps=5, select={"metric": "bleu", "direction": "higher"})
    with pytest.raises(ConfigError, match=r"(?s)expected: one of accuracy, loss, perplexity.*got: bleu"):
        list(train(toy_job(tmp_path, config)))


@pytest.mark.parametrize("kind", ["ema", "last", "best"])
def test_the_model_holds_the_validated_weights_at_the_event_and_its_own_afterwards(tmp_path: Path, kind: str) -> None:
    plain = toy_job(tmp_path / "plain", toy_config())
    list(train(plain))
    averaged = toy_job(tmp_path / kind, toy_config(average={"kind": kind}))
    held: list[dict[str, Tensor]] = []
    events: list[Validated] = []
    for event in train(averaged):
        if isinstance(event, Validated):
            events.append(event)
            held.append({name: value.detach().clone() for name, value in averaged.model.named_parameters()})
    final = dict(averaged.model.named_parameters())
    for name, parameter in plain.model.named_parameters():
        assert torch.equal(parameter, final[name])  # averaging never changes training
    if kind == "best":
        assert [event.averaged for event in events] == [False] * 4 + [True]
        expected = {name: torch.stack([weights[name] for weights in held[:4]]).mean(0) for name in final}
        for name in final:
            torch.testing.assert_close(held[4][name], expected[name])
    else:
        assert [event.averaged for event in events] == [True] * 4
        assert not all(torch.equal(held[-1][name], final[name]) for name in final)


def test_validating_and_saving_never_change_training(tmp_path: Path) -> None:
    ends = []
    for name, changes in (("often", {"validate_every": 1}), ("never", {"validate_every": 100, "log_every": 7})):
        job = toy_job(tmp_path / name, toy_config(**changes))
        list(train(job))
        ends.append(dict(job.model.named_parameters()))
    assert all(torch.equal(ends[0][name], ends[1][name]) for name in ends[0])


def test_an_interruption_is_saved_and_told(tmp_path: Path) -> None:
    asked = iter([False] * 3 + [True])
    events = list(train(toy_job(tmp_path, toy_config()), interrupted=lambda: next(asked)))
    assert events[-1] == Stopped(3, "interrupted")
    assert of(Saved, events) == [Saved(3, tmp_path / "checkpoints" / "step-00000003")]


def test_a_finished_run_stops_at_once(tmp_path: Path) -> None:
    list(train(toy_job(tmp_path, toy_config())))
    metrics = (tmp_path / "metrics.jsonl").read_bytes()
    events = list(train(toy_job(tmp_path, toy_config())))
    assert [type(event) for event in events] == [Started, Stopped]
    assert (tmp_path / "metrics.jsonl").read_bytes() == metrics


def test_no_data_is_an_error_and_not_an_endless_wait(tmp_path: Path) -> None:
    job = replace(toy_job(tmp_path, toy_config()), batches=ToyBatches(batches=0))
    with pytest.raises(DataError, match="nothing to train on"):
        list(train(job))


def test_a_folder_with_a_run_is_not_written_over(tmp_path: Path) -> None:
    job = toy_job(tmp_path, toy_config())
    list(train(job))
    fresh = replace(job, place=replace(job.place, resume=False))
    with pytest.raises(CheckpointError, match="has a run already"):
        list(train(fresh))


def test_an_empty_target_trains_like_any_other(tmp_path: Path) -> None:
    batch = batch_of([([4, 5], []), ([], [6])])
    assert isinstance(batch.source, Padded)
    job = replace(toy_job(tmp_path, toy_config(steps=2), validators=()), batches=Fixed((batch,)))
    assert not any(event.skipped for event in of(Stepped, list(train(job))))


def test_what_no_batch_uses_has_a_gradient_of_0_alone_as_among_several(tmp_path: Path) -> None:
    """Several processes must each send a gradient for every weight; one process must then decay such a weight as they do."""
    model = toy_model()
    model.register_parameter("idle", torch.nn.Parameter(torch.ones(3, 2)))
    adamw = {"kind": "adamw", "learning_rate": 0.1, "weight_decay": 0.5}
    list(train(toy_job(tmp_path, toy_config(steps=4, optimiser=adamw), model)))
    assert 0.5 < model.get_parameter("idle")[0, 0].item() < 1.0


def test_all_processes_go_by_what_the_first_one_finds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A second process, to which the scores of the first are told: it judges nothing itself."""
    told = iter(['{"score": 1.0}', '{"score": 3.0}', '{"score": NaN}', '{"score": 2.0}'])
    monkeypatch.setattr(Team, "told", lambda self, text: next(told))
    monkeypatch.setattr(Team, "add_up", lambda self, tensors: None)
    monkeypatch.setattr(Team, "any", lambda self, flag: flag)
    config = toy_config(accumulate=2, select={"metric": "score", "direction": "higher"})
    job = toy_job(tmp_path, config, validators=(Scripted(iter([])),))
    validated = of(Validated, list(train(replace(job, team=Team(1, 2)))))
    assert [(event.best, event.samples) for event in validated] == [(True, ()), (True, ()), (False, ()), (False, ())]
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_a_compiled_loss_trains_as_the_plain_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With its graphs captured and differentiated, but run by torch's own kernels: making others takes minutes."""
    compiled: list[object] = []

    def captured(loss: Callable[..., Any], dynamic: bool) -> Any:
        compiled.append(loss)
        return compile_(loss, dynamic=dynamic, backend="aot_eager")

    compile_ = torch.compile
    monkeypatch.setattr(torch, "compile", captured)
    plain, same = (
        of(Stepped, list(train(toy_job(tmp_path / str(on), toy_config(steps=3, compile=on))))) for on in (False, True)
    )
    assert len(compiled) == 1
    assert [event.loss for event in same] == pytest.approx([event.loss for event in plain], rel=1e-5)


def test_a_folder_where_no_log_can_be_is_said_plainly(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("here", encoding="utf-8")
    with pytest.raises(TrainingError, match=r"(?s)log of a run could not be written.*then resume"):
        RunLog(tmp_path / "file", 0)

    def refused(descriptor: int) -> None:
        raise OSError(28, f"no space for {descriptor}")

    with RunLog(tmp_path / "run", 0) as log:
        monkeypatch.setattr("os.fsync", refused)
        with pytest.raises(TrainingError, match=r"(?s)log of a run could not be written.*no space.*metrics\.jsonl"):
            log.sync()


@pytest.mark.parametrize(
    ("metric", "direction"),
    [("accuracy", "higher"), ("bleu", "higher"), ("word-error", "lower"), ("loss", "lower"), ("mine", "lower")],
)
def test_the_metric_says_whether_higher_is_better_unless_the_recipe_does(metric: str, direction: str) -> None:
    assert toy_config(select={"metric": metric}).select.direction == direction
    assert toy_config(select={"metric": metric, "direction": "lower"}).select.direction == "lower"
