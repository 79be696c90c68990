"""What a study found: a row for each variant, as a table, as plain values, and written down as each run ends."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from isthmus.core.files import write_json
from isthmus.evaluate.report import Score, evaluate
from isthmus.train.log import METRICS, TIMING

FORMAT = 1


@dataclass(frozen=True, slots=True)
class Bucket:
    """The part of a test set of some lengths.

    Attributes:
        label: which lengths, in words.
        sentences: how many different sources.
        scores: one a metric.
    """

    label: str
    sentences: int
    scores: tuple[Score, ...]


@dataclass(frozen=True, slots=True)
class Point:
    """A validation along the way: the step, and the scores of the development set."""

    step: int
    scores: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Row:
    """What one variant came to.

    Attributes:
        name: of the variant.
        group: what is swept, or empty.
        number: where in the sweep.
        parameters: numbers in the model.
        steps: updates made.
        tokens_per_second: target tokens, the median over the log: it holds for the machine and what else ran on it.
        loss: of the development set, by the best model.
        scores: of the test set (without one, of the development set), one a metric.
        buckets: the same by length.
        curve: the validations.
    """

    name: str
    group: str
    number: float | None
    parameters: int
    steps: int
    tokens_per_second: float
    loss: float
    scores: tuple[Score, ...]
    buckets: tuple[Bucket, ...]
    curve: tuple[Point, ...]

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> Row:
        """A row from the plain values that `asdict` gave."""
        return cls(
            **{
                **values,
                "scores": _scores(values["scores"]),
                "buckets": tuple(Bucket(**{**one, "scores": _scores(one["scores"])}) for one in values["buckets"]),
                "curve": tuple(Point(**one) for one in values["curve"]),
            }
        )


def _scores(values: Sequence[Mapping[str, Any]]) -> tuple[Score, ...]:
    return tuple(Score(**one) for one in values)


def buckets(
    texts: Sequence[str],
    outputs: Sequence[str],
    references: Sequence[Sequence[str]],
    metrics: Sequence[str],
    edges: Sequence[int],
) -> tuple[Bucket, ...]:
    """The scores by the number of words of texts; lengths that none has are left out.

    Args:
        texts: whose words are counted: the inputs, or their references.
        outputs: what the model made of each input.
        references: for each input.
        metrics: names of the scores.
        edges: the largest number of words of each bucket but the last.
    """
    found = []
    lengths = [len(text.split()) for text in texts]
    for low, high in zip([-1, *edges], [*edges, max([*edges, *lengths])], strict=True):
        places = [place for place, length in enumerate(lengths) if low < length <= high]
        if places:
            label = f"≤ {high}" if low < 0 else f"> {low}" if low == edges[-1] else f"{low + 1}–{high}"
            part = evaluate([outputs[place] for place in places], [references[place] for place in places], metrics)
            found.append(Bucket(label, len(places), part.scores))
    return tuple(found)


def curve(run: Path) -> tuple[Point, ...]:
    """The validations in the log of a run."""
    return tuple(Point(line["step"], line["scores"]) for line in _lines(run / METRICS) if line["event"] == "validated")


def speeds(run: Path) -> list[float]:
    """Target tokens a second, as often as the log of a run has them."""
    return [line["target_tokens_per_second"] for line in _lines(run / TIMING) if line["event"] == "stepped"]


def _lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def write_rows(path: Path, about: str, rows: Sequence[Row]) -> None:
    """Write all rows as JSON, whole or not at all."""
    write_json(path, {"format": FORMAT, "about": about, "rows": [asdict(row) for row in rows]})


def table(rows: Sequence[Row]) -> list[str]:
    """The rows as a Markdown table."""
    metrics = [f"{score.metric} ({score.unit})" for score in rows[0].scores]
    heads = ["variant", "parameters", "steps", "tokens/s", "dev loss", *metrics]
    lines = [
        [
            row.name,
            f"{row.parameters:,}",
            f"{row.steps:,}",
            f"{row.tokens_per_second:,.0f}",
            f"{row.loss:.3f}",
            *map(_score, row.scores),
        ]
        for row in rows
    ]
    return _markdown(heads, lines)


def length_table(rows: Sequence[Row]) -> list[str]:
    """The first metric by length, as a Markdown table."""
    labels = [bucket.label for bucket in rows[0].buckets]
    sizes = [f"{bucket.label} words ({bucket.sentences:,})" for bucket in rows[0].buckets]
    lines = []
    for row in rows:
        own = {bucket.label: bucket for bucket in row.buckets}
        lines.append([row.name, *(_score(own[label].scores[0]) if label in own else "–" for label in labels)])
    return _markdown(["variant", *sizes], lines)


def _score(score: Score) -> str:
    return f"{score.value:.1f} ({score.low:.1f}–{score.high:.1f})"


def _markdown(heads: Sequence[str], lines: Sequence[Sequence[str]]) -> list[str]:
    rule = ["---", *["---:"] * (len(heads) - 1)]
    return [f"| {' | '.join(cells)} |" for cells in (heads, rule, *lines)]
