"""What a metric is: a row of numbers a sentence, and a score of the sum of rows.

Every metric here is a function of sums: BLEU of summed n-gram counts, an error rate of summed edits and lengths,
ROUGE of a summed F1 and a count. So whoever resamples sentences (for intervals and significance) needs to count only
once.

N sentences, K statistics a sentence.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from isthmus.text.metrics.references import check

Row: TypeAlias = NDArray[np.float64]
Table: TypeAlias = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Metric(ABC):
    """A score of hypotheses against one or more references each.

    Attributes:
        name: what users type, for example `bleu-tokenized`.
        unit: what the number counts: `BLEU points`, `%` and so on. Every score is on a scale of 100.
        higher_is_better: False for error rates.
    """

    name: str
    unit: str
    higher_is_better: bool

    @abstractmethod
    def statistics(self, hypothesis: str, references: Sequence[str]) -> Row:
        """The sufficient statistics of one sentence against its references (at least one), [K] float64."""

    @abstractmethod
    def score(self, total: Row) -> float:
        """The score of a sum of statistics, [K]: of a whole corpus, or of a resample of it."""

    @abstractmethod
    def signature(self, references: Sequence[Sequence[str]]) -> str:
        """The recipe of the number: `key:value` pairs joined by `|`, the count of references among them."""

    def sentence_score(self, row: Row) -> float:
        """The score of one sentence alone, for ranking sentences: `score`, unless a metric says otherwise."""
        return self.score(row)

    def corpus(self, hypotheses: Sequence[str], references: Sequence[Sequence[str]]) -> Table:
        """The statistics of every sentence, [N, K].

        Raises:
            InputError: the corpus is empty, the counts differ, or a sentence has no reference.
        """
        check(hypotheses, references)
        rows = [self.statistics(text, known) for text, known in zip(hypotheses, references, strict=True)]
        return np.stack(rows)

    def corpus_score(self, hypotheses: Sequence[str], references: Sequence[Sequence[str]]) -> float:
        """The score of a whole corpus; raises what `corpus` raises."""
        return self.score(self.corpus(hypotheses, references).sum(axis=0))
