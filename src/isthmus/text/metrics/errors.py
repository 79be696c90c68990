"""Error rates and exact match: how far a hypothesis is from the nearest of its references.

Text is compared with case and punctuation as they are; only whitespace is evened out (runs of it are one space, none at
the ends). An error rate is

    100 x (all edits) / (all reference symbols),

edits being insertions, deletions and substitutions (Levenshtein, 1966). Where a sentence has several references, the
one with the lowest rate of its own counts, in both sums; between equal rates the one with fewer edits, then the
longer one. So another reference never makes a *sentence* worse. (A corpus is a ratio of sums, in which a nearer but
shorter reference weighs less; no choice that counts the reference's own length avoids that.) A rate can exceed 100.
Where there is nothing to divide by, an empty reference, the edits are divided by one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, final

import numpy as np

from isthmus.text.metrics.metric import Metric, Row
from isthmus.text.metrics.references import reference_count


@final
@dataclass(frozen=True, slots=True)
class ErrorRate(Metric):
    """Edits per hundred symbols of the nearest reference; a row is (edits, symbols in the reference).

    Attributes:
        symbols: `words`: what whitespace separates (words, or the phonemes of a pronunciation); `characters`: code
            points, a space between words being one.
    """

    symbols: Literal["words", "characters"]

    def statistics(self, hypothesis: str, references: Sequence[str]) -> Row:
        """Edits against the nearest reference, and its length."""
        from rapidfuzz.distance import Levenshtein

        guess = self._symbols(hypothesis)
        options = [(Levenshtein.distance(guess, known), len(known)) for known in map(self._symbols, references)]
        return np.array(min(options, key=_rate), dtype=np.float64)

    def score(self, total: Row) -> float:
        """Per cent: edits over symbols."""
        return float(100 * total[0] / max(total[1], 1))

    def signature(self, references: Sequence[Sequence[str]]) -> str:
        """For example `nrefs:1|case:mixed|symbols:words|best:rate|recipe:1`."""
        return f"nrefs:{reference_count(references)}|case:mixed|symbols:{self.symbols}|best:rate|recipe:1"

    def _symbols(self, text: str) -> Sequence[str]:
        words = text.split()
        return words if self.symbols == "words" else " ".join(words)


def _rate(option: tuple[int, int]) -> tuple[float, int, int]:
    """What makes a reference the nearest: its rate, its edits, and (an empty one against one symbol) its length."""
    edits, length = option
    return edits / max(length, 1), edits, -length


@final
@dataclass(frozen=True, slots=True)
class Match(Metric):
    """The share of whole outputs that equal one of their references, or, where higher is worse, that equal none.

    A row is (counted or not, 1).
    """

    def statistics(self, hypothesis: str, references: Sequence[str]) -> Row:
        """Whether the whole output counts, and one."""
        matches = hypothesis.split() in [reference.split() for reference in references]
        return np.array([matches == self.higher_is_better, 1], dtype=np.float64)

    def score(self, total: Row) -> float:
        """Per cent of the outputs."""
        return float(100 * total[0] / total[1])

    def signature(self, references: Sequence[Sequence[str]]) -> str:
        """For example `nrefs:var|case:mixed|match:any|recipe:1`."""
        return f"nrefs:{reference_count(references)}|case:mixed|match:any|recipe:1"
