from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path

import pytest
from rich.console import Console

from isthmus.train.events import Event, Sample, Saved, Started, Stepped, Stopped, Validated
from isthmus.train.progress import Meter, clock_time, shown


def stepped(step: int, loss: float = 2.0, skipped: bool = False) -> Stepped:
    return Stepped(step, 0, loss, 90, 100, 1e-3, 0.5, skipped)


def events() -> Iterator[Event]:
    yield Started(0, 100, 1234567, {"device": "cpu", "precision": "float32", "threads": 2})
    for step in range(1, 51):
        yield stepped(step, skipped=step == 13)
    yield Validated(50, {"loss": 1.5, "bleu": 30.25}, (Sample("a [b]", "c", "d"), Sample("e", "f", "g")), True, True)
    yield Saved(50, Path("x"))
    yield Stopped(50, "interrupted")


def ticking(seconds: float) -> Callable[[], float]:
    ticks = count()
    return lambda: next(ticks) * seconds


def test_plain_lines_where_there_is_no_terminal() -> None:
    out = io.StringIO()
    assert list(shown(events(), Console(file=out, width=200), every=25, clock=ticking(0.5))) == list(events())
    assert out.getvalue().splitlines() == [
        "training: 1,234,567 parameters, 100 steps, cpu, float32, 2 threads",
        "step 13: loss or gradient not finite, update skipped",
        "step 25/100  epoch 1  loss 2.000  200 tokens/s  learning rate 1.00e-03  0:38 left",
        "step 50/100  epoch 1  loss 2.000  200 tokens/s  learning rate 1.00e-03  0:25 left",
        "validation at step 50: loss 1.5  bleu 30.25  (average)  best so far",
        "  source      a [b]",
        "  reference   c",
        "  hypothesis  d",
        "interrupted at step 50; the same command goes on from here",
    ]


def test_a_live_display_on_a_terminal() -> None:
    out = io.StringIO()
    console = Console(file=out, width=200, force_terminal=True, color_system=None)
    assert list(shown(events(), console, clock=ticking(0.5))) == list(events())
    text = out.getvalue()
    assert "50 %" in text
    assert "step 50/100" in text
    assert "hypothesis  d" in text


def test_the_loss_is_smoothed_and_skipped_updates_do_not_count() -> None:
    meter = Meter(ticking(1.0))
    meter.take(Started(0, 10, 1, {}))
    assert meter.line() == "step 0/10"
    meter.take(stepped(1, 4.0))
    meter.take(stepped(2, float("nan"), skipped=True))
    meter.take(stepped(3, 1.0))
    assert meter.loss is not None
    assert 1.0 < meter.loss < 4.0


def test_time_for_validation_does_not_slow_the_tokens_a_second() -> None:
    moments = iter([0.0, 1.0, 2.0, 102.0, 103.0])
    meter = Meter(lambda: next(moments))
    for event in (Started(0, 10, 1, {}), stepped(1), stepped(2), Validated(2, {}, (), True, False), stepped(3)):
        meter.take(event)
    assert meter.tokens_per_second == pytest.approx(100)
    assert meter.seconds_left == pytest.approx(103 / 3 * 7)


@pytest.mark.parametrize(("seconds", "text"), [(0, "0:00"), (59.6, "1:00"), (3599, "59:59"), (3661, "1:01:01")])
def test_times_are_readable(seconds: float, text: str) -> None:
    assert clock_time(seconds) == text
