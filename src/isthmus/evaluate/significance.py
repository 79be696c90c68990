"""Is the difference between two systems more than chance: paired tests on the same sentences.

N sentences, K statistics a sentence, R resamples.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from isthmus.core.errors import InputError
from isthmus.evaluate.resample import SAMPLES, SEED, interval_of, resampled_sums, scores_of
from isthmus.text.metrics import Metric, Table

SHUFFLES = 10_000
_BLOCK = 64  # shuffles at a time, so that memory stays small; a multiple of 32 draws the same bits as all at once
_EQUAL = 1e-9  # scores that lie closer differ by rounding only


@dataclass(frozen=True, slots=True)
class Interval:
    """A value and the 95 % interval around it, from the bootstrap."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two systems on the same sentences, by one metric.

    Attributes:
        metric: the name.
        unit: what the numbers count.
        higher_is_better: False for error rates.
        a: the score of the first system.
        b: the score of the second.
        difference: b minus a.
        wins: the share of resamples in which b is better than a (Koehn, 2004).
        ties: the share in which they are equal.
        p_value: of the paired bootstrap.
        randomized_p_value: of paired approximate randomisation.
        signature: the recipe.
    """

    metric: str
    unit: str
    higher_is_better: bool
    a: Interval
    b: Interval
    difference: Interval
    wins: float
    ties: float
    p_value: float
    randomized_p_value: float
    signature: str


def paired_bootstrap(
    statistics_a: Table,
    statistics_b: Table,
    metric: Metric,
    samples: int = SAMPLES,
    seed: int = SEED,
    signature: str = "",
) -> Comparison:
    """Compare two systems on resamples of the sentences, the same for both (Koehn, 2004).

    The p-value is the chance of so large a difference if there were none: the share of resamples whose absolute
    difference lies above the mean of these by at least the difference that was observed, with one added to both
    counts. It is what sacreBLEU computes, but for equality, which counts here, so that a system compared with itself
    has p = 1.

    Args:
        statistics_a: of the first system, [N, K], from `metric.corpus`.
        statistics_b: of the second.
        metric: that both are statistics of.
        samples: how many resamples.
        seed: of the resampling.
        signature: of the metric, for provenance.

    Raises:
        InputError: the tables differ in shape, or are empty.
    """
    _paired(statistics_a, statistics_b)
    width = statistics_a.shape[1]
    sums_RK = resampled_sums(np.hstack([statistics_a, statistics_b]), samples, seed)
    scores_a, scores_b = scores_of(metric, sums_RK[:, :width]), scores_of(metric, sums_RK[:, width:])
    differences = scores_b - scores_a
    a, b = metric.score(statistics_a.sum(axis=0)), metric.score(statistics_b.sum(axis=0))
    centred = np.abs(differences) - np.abs(differences).mean()
    gains = differences if metric.higher_is_better else -differences
    return Comparison(
        metric=metric.name,
        unit=metric.unit,
        higher_is_better=metric.higher_is_better,
        a=Interval(a, *interval_of(scores_a)),
        b=Interval(b, *interval_of(scores_b)),
        difference=Interval(b - a, *interval_of(differences)),
        wins=float((gains > _EQUAL).mean()),
        ties=float((np.abs(gains) <= _EQUAL).mean()),
        p_value=_p_value(int((centred >= abs(b - a) - _EQUAL).sum()), samples),
        randomized_p_value=approximate_randomization(statistics_a, statistics_b, metric, seed=seed),
        signature=f"{signature}|bs:{samples}|ar:{SHUFFLES}|seed:{seed}".lstrip("|"),
    )


def approximate_randomization(
    statistics_a: Table, statistics_b: Table, metric: Metric, shuffles: int = SHUFFLES, seed: int = SEED
) -> float:
    """The p-value of swapping the two systems' outputs at random, sentence by sentence (Riezler and Maxwell, 2005).

    If the systems were alike, exchanging their outputs of any sentences would not matter: p is the share of exchanges
    after which the absolute difference is at least as large as the observed one, with one added to both counts.
    (sacreBLEU counts only larger ones, which on few sentences, where many exchanges are equal, finds too much.)

    Raises:
        InputError: the tables differ in shape, or are empty.
    """
    _paired(statistics_a, statistics_b)
    total_a, total_b = statistics_a.sum(axis=0), statistics_b.sum(axis=0)
    observed = abs(metric.score(total_b) - metric.score(total_a))
    generator = np.random.default_rng(seed)
    change_NK = statistics_a - statistics_b
    as_large = 0
    for start in range(0, shuffles, _BLOCK):
        size = (min(_BLOCK, shuffles - start), len(change_NK))
        change_RK = generator.integers(2, size=size, dtype=bool) @ change_NK
        differences = scores_of(metric, total_b + change_RK) - scores_of(metric, total_a - change_RK)
        as_large += int((np.abs(differences) >= observed - _EQUAL).sum())
    return _p_value(as_large, shuffles)


def _p_value(as_extreme: int, samples: int) -> float:
    """One is added to both counts, so that no p-value is ever zero."""
    return (as_extreme + 1) / (samples + 1)


def _paired(statistics_a: Table, statistics_b: Table) -> None:
    if statistics_a.shape != statistics_b.shape:
        raise InputError(
            "two systems are compared on the same sentences, by the same metric",
            expected=f"{len(statistics_a):,} sentences with {statistics_a.shape[1]} statistics each",
            got=f"{len(statistics_b):,} sentences with {statistics_b.shape[1]} statistics each",
            fix="score both on the same test set",
        )
    if len(statistics_a) == 0:
        raise InputError("an empty corpus has no score", expected="at least one sentence", got="0 sentences")
