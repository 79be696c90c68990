from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from isthmus.core.errors import InputError
from isthmus.train.events import Event, Sample, Started, Stepped, Stopped, Validated
from isthmus.train.log import RunLog, json_line
from isthmus.train.track import JsonLinesTracker, Tracker, TrackerKind, WandbTracker, build_tracker, tracked

STEPPED = Stepped(7, 0, 3.5, 11, 13, 1e-3, 0.25, skipped=False)
VALIDATED = Validated(7, {"loss": 2.5}, (Sample("ä", "b", "c"),), best=True, averaged=False)


def lines(path: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_the_log_keeps_the_clock_apart(tmp_path: Path) -> None:
    ticks = iter([100.0, 102.0, 105.0])
    with RunLog(tmp_path, 0, clock=lambda: next(ticks)) as log:
        log.stepped(STEPPED, write=False)
        log.stepped(STEPPED, write=True)
        log.validated(VALIDATED)
        log.sync()
    metrics, timing = lines(tmp_path / "metrics.jsonl"), lines(tmp_path / "timing.jsonl")
    assert [line["event"] for line in metrics] == ["stepped", "validated"]
    assert metrics[0]["loss"] == 3.5
    assert metrics[1]["samples"] == [{"source": "ä", "reference": "b", "hypothesis": "c"}]
    assert timing == [
        {"event": "started", "step": 0},
        {"event": "stepped", "step": 7, "seconds": 2.0, "took": 2.0, "target_tokens_per_second": 13.0},
        {"event": "validated", "step": 7, "seconds": 5.0, "took": 3.0},
    ]


@pytest.mark.parametrize(("step", "kept"), [(0, 0), (1, 1), (2, 3), (9, 3)])
@pytest.mark.parametrize("torn", ['{"step"', "\0\0\0\n", '\0\0"step": 2}\n{"step": 2}\n', "{\n"])
def test_lines_after_a_step_and_torn_lines_are_cut(tmp_path: Path, step: int, kept: int, torn: str) -> None:
    whole = [json_line({"step": 1}), json_line({"step": 2}), json_line({"step": 2, "best": True})]
    (tmp_path / "metrics.jsonl").write_text("".join(whole) + torn)
    with RunLog(tmp_path, step):
        assert (tmp_path / "metrics.jsonl").read_text() == "".join(whole[:kept])


def test_numbers_that_are_not_finite_stay_valid_json() -> None:
    values = {"a": float("nan"), "b": [float("inf"), 1.5], "c": {"d": float("-inf")}}
    assert json.loads(json_line(values)) == {"a": None, "b": [None, 1.5], "c": {"d": None}}


class Recording:
    def __init__(self) -> None:
        self.seen: list[tuple[int, object]] = []

    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        self.seen.append((step, dict(values)))

    def text(self, step: int, name: str, text: str) -> None:
        self.seen.append((step, text))

    def close(self) -> None:
        self.seen.append((-1, "closed"))


def events() -> Iterator[Event]:
    yield Started(0, 10, 5, {})
    yield STEPPED
    yield VALIDATED
    yield Stopped(7, "finished")


def test_events_pass_through_and_their_figures_reach_every_tracker() -> None:
    first, second = Recording(), Recording()
    assert list(tracked(events(), [first, second], every=7)) == list(events())
    assert first.seen == second.seen == [
        (7, {"train/loss": 3.5, "train/learning-rate": 1e-3, "train/gradient-norm": 0.25, "train/epoch": 0}),
        (7, {"validation/loss": 2.5}),
        (7, "source:     ä\nreference:  b\nhypothesis: c"),
        (-1, "closed"),
    ]  # fmt: skip
    rare = Recording()
    list(tracked(events(), [rare], every=2))
    assert [step for step, _ in rare.seen] == [7, 7, -1]


def test_trackers_are_closed_when_training_breaks() -> None:
    def broken() -> Iterator[Event]:
        yield STEPPED
        raise ZeroDivisionError

    tracker = Recording()
    with pytest.raises(ZeroDivisionError):
        list(tracked(broken(), [tracker]))
    assert tracker.seen[-1] == (-1, "closed")


def test_json_lines(tmp_path: Path) -> None:
    tracker: Tracker = JsonLinesTracker(tmp_path / "new" / "figures.jsonl")
    list(tracked(events(), [tracker]))
    assert lines(tmp_path / "new" / "figures.jsonl")[1] == {"step": 7, "validation/loss": 2.5}


def test_tensorboard_has_the_curves(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    list(tracked(events(), [build_tracker("tensorboard", tmp_path, step=3)]))
    found = EventAccumulator(str(tmp_path / "tensorboard"))
    found.Reload()
    assert [(point.step, point.value) for point in found.Scalars("train/loss")] == [(7, 3.5)]
    assert "validation/samples/text_summary" in found.Tags()["tensors"]


def test_weights_and_biases_writes_offline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("wandb")
    monkeypatch.setenv("WANDB_SILENT", "true")
    list(tracked(events(), [WandbTracker(tmp_path, "test", config={"steps": 10})]))
    assert list(tmp_path.glob("wandb/offline-run-*/run-*.wandb"))


@pytest.mark.parametrize(("kind", "package"), [("tensorboard", "torch.utils.tensorboard"), ("wandb", "wandb")])
def test_a_package_that_is_missing_is_named(
    tmp_path: Path, kind: TrackerKind, package: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(InputError, match=rf"(?s)tracking with {kind} needs.*pip install 'isthmus\[track\]'"):
        build_tracker(kind, tmp_path)
