"""The figures of a study: score against length, score against what is swept, learning curves."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from isthmus.core.errors import InputError
from isthmus.core.files import write_bytes
from isthmus.evaluate.report import Score
from isthmus.workflows.study_result import Row

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_MARKS = "osD^vPX*<>hd"


def require_matplotlib() -> None:
    """Raise an InputError if figures cannot be drawn, before anything is trained for them."""
    try:
        import matplotlib  # noqa: F401 - the question is whether it can be
    except ImportError:
        raise InputError(
            "figures need a package that is not installed",
            expected="the package `matplotlib`",
            got="nothing by that name",
            where="isthmus study",
            fix="pip install 'isthmus[plot]'",
        ) from None


def draw(rows: Sequence[Row], length_of: str, sweep: str, out: Path) -> dict[str, str]:
    """Draw what there is to draw as SVG files; returns their titles by their names.

    Args:
        rows: at least one.
        length_of: whose length the rows are divided by.
        sweep: what the numbers of the rows count.
        out: the folder.
    """
    score = rows[0].scores[0]
    drawn = {
        "lengths.svg": (f"{score.metric} by the length of the {length_of}", _lengths(rows, length_of)),
        "curves.svg": ("Loss on the development set along the training", _curves(rows)),
    }
    if any(row.number is not None for row in rows):
        drawn["sweep.svg"] = (f"{score.metric} by {sweep or 'what is swept'}", _sweep(rows, sweep))
    for name, (title, figure) in drawn.items():
        figure.axes[0].set_title(title, fontsize=11, loc="left")
        write_bytes(out / name, _svg(figure))
    return {name: title for name, (title, _) in drawn.items()}


def _lengths(rows: Sequence[Row], length_of: str) -> Figure:
    figure, axes = _axes()
    labels = list(dict.fromkeys(bucket.label for row in rows for bucket in row.buckets))
    for number, row in enumerate(rows):
        places = [labels.index(bucket.label) for bucket in row.buckets]
        shift = (number - (len(rows) - 1) / 2) * 0.3 / len(rows)
        _points(
            axes, [place + shift for place in places], [bucket.scores[0] for bucket in row.buckets], row.name, number
        )
    axes.set_xticks(range(len(labels)), labels)
    axes.set_xlabel(f"words of the {length_of}")
    return _finished(figure, axes, rows[0].scores[0])


def _sweep(rows: Sequence[Row], sweep: str) -> Figure:
    """A curve for each group; what is not swept is a line across."""
    figure, axes = _axes()
    groups = list(dict.fromkeys(row.group for row in rows if row.number is not None))
    for number, group in enumerate(groups):
        swept = sorted((row.number, row.scores[0]) for row in rows if row.group == group and row.number is not None)
        _points(axes, [place for place, _ in swept], [score for _, score in swept], group or "swept", number)
    for number, row in enumerate((row for row in rows if row.number is None), len(groups)):
        axes.axhline(row.scores[0].value, linestyle="--", linewidth=1.2, color=f"C{number % 10}", label=row.name)
    if all(row.number is None or row.number > 0 for row in rows):
        axes.set_xscale("log", base=2)
        axes.set_xticks(
            ticks := sorted({row.number for row in rows if row.number is not None}), [f"{one:g}" for one in ticks]
        )
    axes.set_xlabel(sweep or "number")
    return _finished(figure, axes, rows[0].scores[0])


def _curves(rows: Sequence[Row]) -> Figure:
    figure, axes = _axes()
    for number, row in enumerate(rows):
        mark = _MARKS[number % len(_MARKS)]
        steps, losses = [point.step for point in row.curve], [point.scores["loss"] for point in row.curve]
        axes.plot(steps, losses, marker=mark, markersize=4, linewidth=1.4, color=f"C{number % 10}", label=row.name)
    axes.set_xlabel("steps")
    axes.set_ylabel("loss a token (development set)")
    return _finished(figure, axes)


def _points(axes: Axes, places: Sequence[float], scores: Sequence[Score], name: str, number: int) -> None:
    """A line with the 95 % interval of each point."""
    values = [score.value for score in scores]
    below = [max(0.0, score.value - score.low) for score in scores]
    above = [max(0.0, score.high - score.value) for score in scores]
    axes.errorbar(
        places,
        values,
        yerr=(below, above),
        marker=_MARKS[number % len(_MARKS)],
        markersize=4.5,
        linewidth=1.4,
        capsize=2.5,
        color=f"C{number % 10}",
        label=name,
    )


def _axes() -> tuple[Figure, Axes]:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7.2, 4.3), layout="constrained")
    return figure, figure.add_subplot()


def _finished(figure: Figure, axes: Axes, score: Score | None = None) -> Figure:
    if score is not None:
        axes.set_ylabel(f"{score.metric} ({score.unit})")
    axes.grid(visible=True, alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(fontsize=8, loc="upper left", bbox_to_anchor=(1.0, 1.0), frameon=False)
    return figure


def _svg(figure: Figure) -> bytes:
    """The bytes of the figure: the same for the same numbers."""
    from matplotlib import rc_context

    held = io.BytesIO()
    with rc_context({"svg.hashsalt": "isthmus", "svg.fonttype": "none"}):
        figure.savefig(held, format="svg", metadata={"Date": None}, facecolor="white")
    return held.getvalue()
