"""Two systems side by side: every metric with its test, and the sentences in which they differ most."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from isthmus.core.errors import InputError
from isthmus.core.files import write_json
from isthmus.evaluate.layout import aligned
from isthmus.evaluate.report import FORMAT, count, named
from isthmus.evaluate.resample import SAMPLES, SEED
from isthmus.evaluate.significance import Comparison, Interval, paired_bootstrap
from isthmus.text.metrics import Metric, Table


@dataclass(frozen=True, slots=True)
class Differing:
    """A sentence that one system does better than the other.

    Attributes:
        index: its place in the test set, from 0.
        source: what both systems read.
        references: what was asked for.
        a: what the first system wrote.
        b: what the second wrote.
        score_a: the sentence score of `a` by the first metric of the comparison.
        score_b: of `b`.
    """

    index: int
    source: str
    references: tuple[str, ...]
    a: str
    b: str
    score_a: float
    score_b: float


@dataclass(frozen=True, slots=True)
class ComparisonReport:
    """Two systems on one test set.

    Attributes:
        comparisons: one a metric.
        differing: the sentences whose scores by the first metric lie furthest apart, the furthest first.
        counts: `sentences`, `references`, `same` (both systems wrote the same), `empty_a`, `empty_b`.
    """

    comparisons: tuple[Comparison, ...]
    differing: tuple[Differing, ...]
    counts: Mapping[str, int]

    def to_json(self) -> dict[str, Any]:
        """Plain values, ready for JSON."""
        return {
            "format": FORMAT,
            "comparisons": [asdict(comparison) for comparison in self.comparisons],
            "differing": [{**asdict(item), "references": list(item.references)} for item in self.differing],
            "counts": dict(self.counts),
        }

    def write(self, path: Path) -> None:
        """Write the report as JSON, whole or not at all."""
        write_json(path, self.to_json())

    def table(self) -> list[str]:
        """The report as lines of plain text: the comparisons, the sentences that differ most, the recipes."""
        heads = ("metric", "A", "B", "B - A", "95 % interval", "better", "B wins", "p", "p (randomised)")
        rows = [_row(comparison) for comparison in self.comparisons]
        counted = ", ".join(f"{name.replace('_', ' ')} {number:,}" for name, number in self.counts.items())
        recipes = [f"{comparison.metric}: {comparison.signature}" for comparison in self.comparisons]
        examples = [line for item in self.differing for line in _lines(item)]
        return [*aligned([heads, *rows], right=(1, 2, 3, 6, 7, 8)), "", counted, *recipes, *examples]


def compare(
    hypotheses_a: Sequence[str],
    hypotheses_b: Sequence[str],
    references: Sequence[Sequence[str]],
    metrics: Sequence[str],
    sources: Sequence[str],
    samples: int = SAMPLES,
    seed: int = SEED,
    most: int = 10,
) -> ComparisonReport:
    """Compare two systems on the same sentences.

    Args:
        hypotheses_a: of the first system, one string a source.
        hypotheses_b: of the second.
        references: for each source its references.
        metrics: names; the first one ranks the sentences that differ most.
        sources: what both systems read.
        samples: resamples for the intervals and the paired bootstrap.
        seed: of the resampling.
        most: how many of the sentences that differ most to keep.

    Raises:
        InputError: counts that differ, an empty corpus, a sentence without a reference, no metric or an unknown one.
    """
    if len(sources) != len(references):
        raise InputError(
            "every source needs its references",
            expected=f"{len(references):,} sources",
            got=f"{len(sources):,} sources",
            fix="give the sources that the hypotheses were made from",
        )
    measures = named(metrics)
    tables = [
        (measure.corpus(hypotheses_a, references), measure.corpus(hypotheses_b, references)) for measure in measures
    ]
    comparisons = tuple(
        paired_bootstrap(table_a, table_b, measure, samples, seed, measure.signature(references))
        for measure, (table_a, table_b) in zip(measures, tables, strict=True)
    )
    differing = tuple(
        Differing(at, sources[at], tuple(references[at]), hypotheses_a[at], hypotheses_b[at], score_a, score_b)
        for at, score_a, score_b in _furthest(measures[0], *tables[0], most)
    )
    return ComparisonReport(comparisons, differing, _count(hypotheses_a, hypotheses_b, references))


def _furthest(measure: Metric, table_a: Table, table_b: Table, most: int) -> list[tuple[int, float, float]]:
    """Index and both sentence scores where these differ, the largest difference first."""
    scored = [
        (at, measure.sentence_score(row_a), measure.sentence_score(row_b))
        for at, (row_a, row_b) in enumerate(zip(table_a, table_b, strict=True))
    ]
    apart = [item for item in scored if item[1] != item[2]]
    return sorted(apart, key=lambda item: -abs(item[2] - item[1]))[:most]


def _count(a: Sequence[str], b: Sequence[str], references: Sequence[Sequence[str]]) -> dict[str, int]:
    counts_a, counts_b = count(a, references), count(b, references)
    same = sum(one == other for one, other in zip(a, b, strict=True))
    return {
        "sentences": counts_a["sentences"],
        "references": counts_a["references"],
        "same": same,
        "empty_a": counts_a["empty"],
        "empty_b": counts_b["empty"],
    }


def _row(comparison: Comparison) -> tuple[str, ...]:
    return (
        comparison.metric,
        f"{comparison.a.value:.2f}",
        f"{comparison.b.value:.2f}",
        f"{comparison.difference.value:+.2f}",
        _span(comparison.difference),
        "higher" if comparison.higher_is_better else "lower",
        f"{100 * comparison.wins:.1f} %",
        f"{comparison.p_value:.4f}",
        f"{comparison.randomized_p_value:.4f}",
    )


def _span(interval: Interval) -> str:
    return f"{interval.low:+.2f} to {interval.high:+.2f}"


def _lines(item: Differing) -> list[str]:
    return [
        "",
        f"sentence {item.index + 1:,}: A {item.score_a:.1f}, B {item.score_b:.1f}",
        f"  source     {item.source}",
        *(f"  reference  {reference}" for reference in item.references),
        f"  A          {item.a}",
        f"  B          {item.b}",
    ]
