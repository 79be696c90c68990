"""A report: every score with its 95 % interval and its recipe, and what it was measured on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from isthmus.core.errors import InputError
from isthmus.core.files import write_json
from isthmus.evaluate.layout import aligned
from isthmus.evaluate.resample import SAMPLES, SEED, interval_of, resampled_sums, scores_of
from isthmus.text.metrics import DIVERSITY, Diversity, Metric, Table, diversity, metric

FORMAT = 1


@dataclass(frozen=True, slots=True)
class Score:
    """A number with its provenance.

    Attributes:
        metric: the name, as in `isthmus.text.metrics.NAMES`.
        value: the score of the whole corpus, on a scale of 100.
        low: the lower end of the 95 % interval from the bootstrap.
        high: its upper end.
        signature: the recipe of the metric, and of the interval (`bs` resamples, `seed`).
        sentences: how many sentences were scored.
        unit: what the number counts.
        higher_is_better: False for error rates.
    """

    metric: str
    value: float
    low: float
    high: float
    signature: str
    sentences: int
    unit: str
    higher_is_better: bool


@dataclass(frozen=True, slots=True)
class Provenance:
    """Where hypotheses came from.

    Attributes:
        decoding: the decoding options, plain values.
        model: the hash of the model.
        data: the hash of the data.
        date: when, ISO 8601.
    """

    decoding: Mapping[str, Any] = field(default_factory=dict)
    model: str = ""
    data: str = ""
    date: str = ""


@dataclass(frozen=True, slots=True)
class Report:
    """The scores of one system on one test set.

    Attributes:
        scores: one a metric.
        provenance: decoding options, hashes, date.
        counts: `sentences`, `references`, and `empty`: hypotheses without any text.
    """

    scores: tuple[Score, ...]
    provenance: Provenance
    counts: Mapping[str, int]

    def to_json(self) -> dict[str, Any]:
        """Plain values, ready for JSON."""
        scores = [asdict(score) for score in self.scores]
        return {"format": FORMAT, "scores": scores, "counts": dict(self.counts), **asdict(self.provenance)}

    def write(self, path: Path) -> None:
        """Write the report as JSON, whole or not at all."""
        write_json(path, self.to_json())

    def table(self) -> list[str]:
        """The report as lines of plain text: the scores, then the recipe of each."""
        heads = ("metric", "score", "95 % interval", "unit", "better")
        rows = [
            (
                score.metric,
                f"{score.value:.2f}",
                f"{score.low:.2f} to {score.high:.2f}",
                score.unit,
                "higher" if score.higher_is_better else "lower",
            )
            for score in self.scores
        ]
        counted = ", ".join(f"{name} {count:,}" for name, count in self.counts.items())
        recipes = [f"{score.metric}: {score.signature}" for score in self.scores]
        return [*aligned([heads, *rows], right=(1,)), "", counted, *recipes]


def evaluate(
    hypotheses: Sequence[str],
    references: Sequence[Sequence[str]],
    metrics: Sequence[str],
    provenance: Provenance | None = None,
    samples: int = SAMPLES,
    seed: int = SEED,
    outputs: Sequence[Sequence[str]] | None = None,
) -> Report:
    """Score hypotheses against their references.

    Args:
        hypotheses: one string a source.
        references: for each hypothesis its references (`isthmus.text.metrics.group` collects them).
        metrics: names, as in `isthmus.text.metrics.NAMES` and `isthmus.text.metrics.DIVERSITY`.
        provenance: where the hypotheses came from.
        samples: resamples for the intervals.
        seed: of the resampling.
        outputs: all outputs for each source, for the metrics of diversity; by default the hypotheses alone.

    Raises:
        InputError: an empty corpus, counts that differ, a sentence without a reference, no metric or an unknown one.
    """
    several = [[text] for text in hypotheses] if outputs is None else outputs
    scores = []
    for measure in measured(metrics):
        if isinstance(measure, Diversity):
            table_NK, recipe = measure.corpus(several), measure.signature(several)
        else:
            table_NK, recipe = measure.corpus(hypotheses, references), measure.signature(references)
        scores.append(_score(measure, table_NK, recipe, samples, seed))
    return Report(tuple(scores), provenance or Provenance(), count(hypotheses, references))


def named(names: Sequence[str]) -> list[Metric]:
    """The metrics of these names.

    Raises:
        InputError: there is no name, or an unknown one.
    """
    return [metric(name) for name in _needed(names)]


def measured(names: Sequence[str]) -> list[Metric | Diversity]:
    """The metrics of these names, those of diversity among them.

    Raises:
        InputError: there is no name, or an unknown one.
    """
    kinds = {name.split("-")[0] for name in DIVERSITY}
    return [diversity(name) if name.split("-")[0] in kinds else metric(name) for name in _needed(names)]


def _needed(names: Sequence[str]) -> Sequence[str]:
    if not names:
        raise InputError("an evaluation needs a metric", expected="at least one", got="none", fix="for example chrf")
    return names


def _score(measure: Metric | Diversity, table_NK: Table, recipe: str, samples: int, seed: int) -> Score:
    low, high = interval_of(scores_of(measure, resampled_sums(table_NK, samples, seed)))
    return Score(
        measure.name,
        measure.score(table_NK.sum(axis=0)),
        low,
        high,
        f"{recipe}|bs:{samples}|seed:{seed}",
        len(table_NK),
        measure.unit,
        measure.higher_is_better,
    )


def count(hypotheses: Sequence[str], references: Sequence[Sequence[str]]) -> dict[str, int]:
    """How many sentences, references, and hypotheses without any text."""
    return {
        "sentences": len(hypotheses),
        "references": sum(len(known) for known in references),
        "empty": sum(not text.strip() for text in hypotheses),
    }
