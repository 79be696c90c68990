"""Trackers: where figures go while training runs, beside the log that every run has.

TensorBoard and Weights & Biases are extras: their packages are looked for when one asks for them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol, TextIO, final

from isthmus.core.errors import InputError
from isthmus.train.events import Event, Sample, Stepped, Validated
from isthmus.train.log import json_line

if TYPE_CHECKING:
    import wandb
    from torch.utils.tensorboard import SummaryWriter

TrackerKind = Literal["tensorboard", "wandb"]


class Tracker(Protocol):
    """Takes figures and texts by step."""

    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        """Take figures of one step by name, such as `train/loss`."""
        ...

    def text(self, step: int, name: str, text: str) -> None:
        """Take a text of one step."""
        ...

    def close(self) -> None:
        """Write what is still held."""
        ...


@final
class JsonLinesTracker:
    """One JSON object a line.

    Args:
        path: the file; it is appended to.
    """

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file: TextIO = path.open("a", encoding="utf-8")

    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        """Write a line of figures."""
        self._file.write(json_line({"step": step, **values}))

    def text(self, step: int, name: str, text: str) -> None:
        """Write a line with a text."""
        self._file.write(json_line({"step": step, name: text}))

    def close(self) -> None:
        """Close the file."""
        self._file.close()


@final
class TensorBoardTracker:
    """Event files for TensorBoard.

    Args:
        folder: where they go.
        step: the step that the run goes on from; figures of an earlier process after it are hidden.

    Raises:
        InputError: the package is not installed.
    """

    def __init__(self, folder: Path, step: int = 0) -> None:
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError:
            raise _missing("tensorboard") from None
        self._writer: SummaryWriter = SummaryWriter(str(folder), purge_step=step + 1)

    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        """Add one point to each curve."""
        for name, value in values.items():
            self._writer.add_scalar(name, value, step)

    def text(self, step: int, name: str, text: str) -> None:
        """Add a text, as it is."""
        self._writer.add_text(name, "    " + text.replace("\n", "\n    "), step)

    def close(self) -> None:
        """Write and close the files."""
        self._writer.close()


@final
class WandbTracker:
    """A run of Weights & Biases.

    Args:
        folder: where its files go.
        project: the project's name.
        mode: `offline` sends nothing; `wandb sync` can do so later.
        config: settings of the run, shown beside it.

    Raises:
        InputError: the package is not installed.
    """

    def __init__(
        self,
        folder: Path,
        project: str,
        mode: Literal["offline", "online"] = "offline",
        config: Mapping[str, object] | None = None,
    ) -> None:
        try:
            import wandb
        except ImportError:
            raise _missing("wandb") from None
        folder.mkdir(parents=True, exist_ok=True)
        self._run: wandb.Run = wandb.init(
            project=project, dir=str(folder), mode=mode, config=dict(config or {}), resume="allow"
        )

    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        """Log figures of one step."""
        self._run.log(dict(values), step=step)

    def text(self, step: int, name: str, text: str) -> None:
        """Log a text."""
        self._run.log({name: text}, step=step)

    def close(self) -> None:
        """End the run."""
        self._run.finish()


def build_tracker(kind: TrackerKind, folder: Path, step: int = 0, project: str = "isthmus") -> Tracker:
    """A tracker by name, its files under `folder`.

    Raises:
        InputError: its package is not installed.
    """
    if kind == "tensorboard":
        return TensorBoardTracker(folder / "tensorboard", step)
    return WandbTracker(folder, project)


def tracked(events: Iterable[Event], trackers: Sequence[Tracker], every: int = 1) -> Iterator[Event]:
    """Pass events on, and their figures to trackers, which are closed at the end.

    Args:
        events: what `train` yields.
        trackers: where figures go.
        every: updates between figures of updates.
    """
    try:
        for event in events:
            for tracker in trackers:
                _track(tracker, event, every)
            yield event
    finally:
        for tracker in trackers:
            tracker.close()


def _track(tracker: Tracker, event: Event, every: int) -> None:
    match event:
        case Stepped(step=step) if step % every == 0:
            values = {"loss": event.loss, "learning-rate": event.learning_rate, "gradient-norm": event.gradient_norm}
            tracker.scalars(
                step, {f"train/{name}": value for name, value in values.items()} | {"train/epoch": event.epoch}
            )
        case Validated(step=step):
            tracker.scalars(step, {f"validation/{name}": value for name, value in event.scores.items()})
            if event.samples:
                tracker.text(step, "validation/samples", "\n\n".join(_shown(sample) for sample in event.samples))
        case _:
            pass


def _shown(sample: Sample) -> str:
    return f"source:     {sample.source}\nreference:  {sample.reference}\nhypothesis: {sample.hypothesis}"


def _missing(package: str) -> InputError:
    return InputError(
        f"tracking with {package} needs a package that is not installed",
        expected=f"the package `{package}`",
        got="nothing by that name",
        where="train.track",
        fix="pip install 'isthmus[track]'",
    )
