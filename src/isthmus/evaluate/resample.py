"""Drawing test sets from a test set: what a score would have been on other sentences of the same kind.

N sentences, K statistics a sentence, R resamples.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from isthmus.core.errors import InputError
from isthmus.text.metrics import Diversity, Metric, Table

SAMPLES = 1000
SEED = 12345


def resampled_sums(table_NK: Table, samples: int = SAMPLES, seed: int = SEED) -> Table:
    """The summed statistics of resamples: N sentences drawn with replacement, `samples` times; [R, K].

    The draws are those of `numpy.random.default_rng(seed).choice(N, size=(R, N))`, as in sacreBLEU, one resample at a
    time, so that memory stays small. How often each sentence was drawn, times the table, is the sum: one small matrix
    product.

    Raises:
        InputError: `samples` is below 1.
    """
    if samples < 1:
        raise InputError(
            "a bootstrap needs resamples", expected="at least 1", got=str(samples), where="samples", fix="1000 is usual"
        )
    generator = np.random.default_rng(seed)
    count = len(table_NK)
    sums_RK = np.empty((samples, table_NK.shape[1]), dtype=np.float64)
    for sums_K in sums_RK:
        sums_K[:] = np.bincount(generator.choice(count, size=count), minlength=count) @ table_NK
    return sums_RK


def scores_of(metric: Metric | Diversity, sums_RK: Table) -> NDArray[np.float64]:
    """The score of each row of sums, [R]."""
    return np.array([metric.score(sums_K) for sums_K in sums_RK], dtype=np.float64)


def interval_of(values_R: NDArray[np.float64]) -> tuple[float, float]:
    """The middle 95 %: what is left when a fortieth is cut off at each end, as sacreBLEU cuts it."""
    ordered = np.sort(values_R)
    cut = len(ordered) // 40
    return float(ordered[cut]), float(ordered[len(ordered) - cut - 1])
