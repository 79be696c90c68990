"""Progress for people: a live display on a terminal, plain lines elsewhere. It reads events only, and the clock is here alone."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from isthmus.train.events import Event, Saved, Started, Stepped, Stopped, Validated

SMOOTHING = 0.98
SHOWN_PER_SECOND = 4


@dataclass(slots=True)
class Meter:
    """Figures smoothed over the last fifty updates or so.

    Attributes:
        clock: seconds since any moment.
        step: the last update.
        steps: updates in all.
        first: the update that this process started from.
        loss: smoothed; `None` before the first update.
        validation: the last validation.
        last: the last update's event.
    """

    clock: Callable[[], float] = time.monotonic
    step: int = 0
    steps: int = 0
    first: int = 0
    loss: float | None = None
    validation: Validated | None = None
    last: Stepped | None = None
    _seconds: float = 0.0
    _tokens: float = 0.0
    _weight: float = 0.0
    _before: float = 0.0
    _began: float = 0.0

    def take(self, event: Event) -> None:
        """Take an event into the figures; time between updates that was not spent on updates does not count as theirs."""
        now = self.clock()
        match event:
            case Started(step=step, steps=steps):
                self.step, self.first, self.steps, self._began = step, step, steps, now
            case Stepped(step=step):
                self.step, self.last = step, event
                self._smooth(event, now - self._before)
            case Validated():
                self.validation = event
            case _:
                pass
        self._before = now

    def _smooth(self, event: Stepped, seconds: float) -> None:
        self._weight = SMOOTHING * self._weight + 1
        share = 1 / self._weight
        self._seconds += share * (seconds - self._seconds)
        self._tokens += share * (event.target_tokens - self._tokens)
        if not event.skipped:
            self.loss = event.loss if self.loss is None else self.loss + share * (event.loss - self.loss)

    @property
    def tokens_per_second(self) -> float:
        """Real target tokens a second of updating."""
        return self._tokens / self._seconds if self._seconds else 0.0

    @property
    def seconds_left(self) -> float:
        """How long the rest takes if it goes on as so far, validations included."""
        done = self.step - self.first
        return (self._before - self._began) / done * (self.steps - self.step) if done else 0.0

    def line(self) -> str:
        """The figures in one line."""
        event = self.last
        if event is None or self.loss is None:
            return f"step {self.step}/{self.steps}"
        return (
            f"step {self.step}/{self.steps}  epoch {event.epoch + 1}  loss {self.loss:.3f}  {self.tokens_per_second:,.0f} tokens/s  "
            f"learning rate {event.learning_rate:.2e}  {clock_time(self.seconds_left)} left"
        )


def clock_time(seconds: float) -> str:
    """Seconds as m:ss or h:mm:ss."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


def shown(
    events: Iterable[Event], console: Console, every: int = 50, clock: Callable[[], float] = time.monotonic
) -> Iterator[Event]:
    """Pass events on and show them: live if the console is a terminal, otherwise a line every so many updates.

    Args:
        events: what `train` yields.
        console: where to show them; standard error, as a rule.
        every: updates between plain lines.
        clock: seconds since any moment.
    """
    meter = Meter(clock)
    live = (
        Live(console=console, refresh_per_second=SHOWN_PER_SECOND, transient=True, auto_refresh=False)
        if console.is_terminal
        else None
    )
    context: AbstractContextManager[object] = live if live is not None else nullcontext()
    drawn = -1.0
    with context:
        for event in events:
            meter.take(event)
            sentence = _sentence(event, meter, every if live is None else None)
            if sentence:
                console.print(Text(sentence), soft_wrap=True)
            if live is not None and (clock() - drawn >= 1 / SHOWN_PER_SECOND or not isinstance(event, Stepped)):
                live.update(_panel(meter), refresh=True)
                drawn = clock()
            yield event


def _sentence(event: Event, meter: Meter, every: int | None) -> str:
    """What stays in the scroll of the terminal, or in the file, of an event."""
    match event:
        case Started(step=step, parameters=parameters, choices=choices):
            how = f"{choices['device']}, {choices['precision']}, {choices['threads']} thread{'' if choices['threads'] == 1 else 's'}"
            return f"{'training' if step == 0 else f'going on from step {step}'}: {parameters:,} parameters, {meter.steps} steps, {how}"
        case Stepped(skipped=True, step=step):
            return f"step {step}: loss or gradient not finite, update skipped"
        case Stepped(step=step):
            return meter.line() if every is not None and step % every == 0 else ""
        case Validated():
            return _validation(event)
        case Saved():
            return ""
        case Stopped(step=step, reason=reason):
            sentences = {
                "finished": f"finished after {step} steps",
                "early-stopping": f"stopped at step {step}: no better validation for a while",
                "interrupted": f"interrupted at step {step}; the same command goes on from here",
            }
            return sentences[reason]


def _validation(event: Validated) -> str:
    scores = "  ".join(f"{name} {value:.4g}" for name, value in event.scores.items())
    marks = ("  (average)" if event.averaged else "") + ("  best so far" if event.best else "")
    lines = [f"validation at step {event.step}: {scores}{marks}"]
    for sample in event.samples[:1]:
        lines += [
            f"  source      {sample.source}",
            f"  reference   {sample.reference}",
            f"  hypothesis  {sample.hypothesis}",
        ]
    return "\n".join(lines)


def _panel(meter: Meter) -> Group:
    bar = Table.grid(padding=(0, 1))
    bar.add_row(
        ProgressBar(total=max(1, meter.steps), completed=meter.step, width=40),
        Text(f"{100 * meter.step / max(1, meter.steps):.0f} %"),
    )
    return Group(bar, Text(meter.line()))
