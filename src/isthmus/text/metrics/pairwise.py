"""Every text against every other, at once.

C candidates, R references, G character n-grams.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from isthmus.text.metrics.metric import Table

ORDER, BETA = 6, 2


def pairwise_chrf(candidates: Sequence[str], references: Sequence[str]) -> Table:
    """The chrF2 of each candidate against each reference alone, [C, R], as sacreBLEU's chrF has it for one sentence.

    The k-th occurrence of an n-gram in a text is a feature of its own, there or not. So the n-grams that two texts share,
    Σ min(count, count), are a product of two rows of zeros and ones, and those of all pairs one matrix product.

    Popović 2015, chrF: character n-gram F-score for automatic MT evaluation, section 2.
    """
    known: list[dict[tuple[str, int], int]] = [{} for _ in range(ORDER)]
    ours, theirs = _occurrences(candidates, known), _occurrences(references, known)
    precision, recall, orders = (np.zeros((len(candidates), len(references))) for _ in range(3))
    for left, right, columns in zip(ours, theirs, known, strict=True):
        have_CG, want_RG = _features(left, len(columns)), _features(right, len(columns))
        shared_CR = (have_CG @ want_RG.T).astype(np.float64)
        have_C1, want_1R = have_CG.sum(axis=1)[:, None], want_RG.sum(axis=1)[None, :]
        precision += shared_CR / np.maximum(have_C1, 1)
        recall += shared_CR / np.maximum(want_1R, 1)
        orders += (have_C1 > 0) & (want_1R > 0)
    precision, recall = precision / np.maximum(orders, 1), recall / np.maximum(orders, 1)
    weighted = BETA**2 * precision + recall
    return np.asarray(100 * (1 + BETA**2) * precision * recall / np.where(weighted > 0, weighted, 1))


def _occurrences(texts: Sequence[str], known: list[dict[tuple[str, int], int]]) -> list[list[list[int]]]:
    """For each order and text the columns of its n-grams' occurrences; new ones are added to `known`."""
    found: list[list[list[int]]] = [[] for _ in known]
    for text in texts:
        characters = "".join(text.split())
        for order, (columns, rows) in enumerate(zip(known, found, strict=True), 1):
            grams = Counter(characters[start : start + order] for start in range(len(characters) - order + 1))
            each = ((gram, number) for gram, count in grams.items() for number in range(count))
            rows.append([columns.setdefault(one, len(columns)) for one in each])
    return found


def _features(rows: Sequence[Sequence[int]], width: int) -> NDArray[np.float32]:
    """Zeros, and ones in the given columns of each row; float32 counts whole numbers exactly up to 16 million."""
    features = np.zeros((len(rows), width), dtype=np.float32)
    for row, columns in zip(features, rows, strict=True):
        row[columns] = 1
    return features
