"""ROUGE: how much of a reference summary a hypothesis says again (Lin, 2004).

The mean over sentences of an F1, best of several references each. Words are lower-cased runs of letters, digits and
combining marks, without stemming. On ASCII text this is what the rouge-score package (and through it the field) does.
That package drops every other letter, so that a text in another script scores 0 and an accented word falls apart.
Here letters of every script count, and in scripts written without spaces (Han, kana, Thai, Lao, Khmer, Burmese) each
character is a word. A text without any word scores 0, as there.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

import numpy as np

from isthmus.text.metrics.metric import Metric, Row
from isthmus.text.metrics.references import reference_count

_UNSPACED = re.compile(
    "(["
    "\u0e00-\u0eff"  # Thai, Lao
    "\u1000-\u109f\u1780-\u17ff"  # Burmese, Khmer
    "\u3005-\u3007\u3040-\u30ff\u31f0-\u31ff\uff66-\uff9f"  # kana, iteration marks
    "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"  # Han
    "])"
)


def words(text: str) -> list[str]:
    """The words that ROUGE compares.

    >>> words("The cat's 2 mats, été 春眠")
    ['the', 'cat', 's', '2', 'mats', 'été', '春', '眠']
    """
    spaced = _UNSPACED.sub(r" \1 ", unicodedata.normalize("NFC", text.lower()))
    return "".join(letter if unicodedata.category(letter)[0] in "LNM" else " " for letter in spaced).split()


@final
@dataclass(frozen=True, slots=True)
class Rouge(Metric):
    """ROUGE-N or ROUGE-L F1; a row is (F1, 1).

    Attributes:
        order: the length of the n-grams that are compared; 0 compares the longest common subsequence (ROUGE-L).
    """

    order: int

    def statistics(self, hypothesis: str, references: Sequence[str]) -> Row:
        """The F1 against the reference where it is highest, and one."""
        guess = words(hypothesis)
        return np.array([max(self._f1(guess, words(reference)) for reference in references), 1.0])

    def score(self, total: Row) -> float:
        """Hundred times the mean F1."""
        return float(100 * total[0] / total[1])

    def signature(self, references: Sequence[Sequence[str]]) -> str:
        """For example `nrefs:1|case:lc|tok:unicode-words|stem:no|best:f1|recipe:1`."""
        return f"nrefs:{reference_count(references)}|case:lc|tok:unicode-words|stem:no|best:f1|recipe:1"

    def _f1(self, guess: list[str], known: list[str]) -> float:
        shared, guessed, wanted = _common(guess, known) if self.order == 0 else _shared_ngrams(guess, known, self.order)
        if shared == 0:
            return 0.0
        precision, recall = shared / guessed, shared / wanted
        return 2 * precision * recall / (precision + recall)


def _common(guess: list[str], known: list[str]) -> tuple[int, int, int]:
    """The length of the longest common subsequence, and of both sequences."""
    from rapidfuzz.distance import LCSseq

    return LCSseq.similarity(guess, known), len(guess), len(known)


def _shared_ngrams(guess: list[str], known: list[str], order: int) -> tuple[int, int, int]:
    """How many n-grams both have (as often as in the one that has fewer), and how many each has."""
    ours, theirs = _ngrams(guess, order), _ngrams(known, order)
    return (ours & theirs).total(), ours.total(), theirs.total()


def _ngrams(tokens: list[str], order: int) -> Counter[tuple[str, ...]]:
    return Counter(tuple(tokens[start : start + order]) for start in range(len(tokens) - order + 1))
