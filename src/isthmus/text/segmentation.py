"""Random segmentations of a word, for subword regularisation: pure functions of the word and of the random numbers.

SentencePiece can draw them too, but salts its generator anew in every process, so that a resumed training would see other pieces.
"""

from __future__ import annotations

import math
import random
from abc import ABC, abstractmethod
from collections.abc import Mapping
from functools import lru_cache
from itertools import accumulate, pairwise
from typing import final

_CACHED, _CACHED_LENGTH = 1 << 14, 24
"""How many words are remembered, and how long they may be: texts without spaces are one word each."""
_UNKNOWN_PENALTY = 10.0
"""How much less likely than the rarest piece SentencePiece holds a character that is none."""

Ways = tuple[tuple[list[int], list[float]], ...]
"""For each end of a piece its possible starts, and the running sums of their shares."""


class Segmenter(ABC):
    """Cuts words into pieces at random."""

    @abstractmethod
    def draw(self, word: str, chance: random.Random) -> list[str]:
        """Cut a word; what is no piece is left as single characters."""


@final
class UnigramSegmenter(Segmenter):
    """Draws x with P(x) ∝ Π p(xᵢ)^α from all segmentations (Kudo 2018, section 3.2: forward filtering, backward sampling).

    Args:
        scores: log p of each piece.
        alpha: α; the smaller the wilder.
    """

    def __init__(self, scores: Mapping[str, float], alpha: float) -> None:
        self._scores, self._alpha = scores, alpha
        self._longest = max(map(len, scores), default=1)
        self._unknown = min(scores.values(), default=0.0) - _UNKNOWN_PENALTY
        self._remembered = lru_cache(_CACHED)(self._ways)

    def draw(self, word: str, chance: random.Random) -> list[str]:
        """Cut a word from its end to its start."""
        ways = self._remembered(word) if len(word) <= _CACHED_LENGTH else self._ways(word)
        pieces, end = [], len(word)
        while end:
            starts, sums = ways[end - 1]
            start = chance.choices(starts, cum_weights=sums)[0]
            pieces.append(word[start:end])
            end = start
        return pieces[::-1]

    def _ways(self, word: str) -> Ways:
        """Forward: total(end) = log Σ exp(total(start) + α log p(start..end)); what each start adds to it is its share."""
        totals, ways = [0.0], []
        for end in range(1, len(word) + 1):
            starts = [
                start
                for start in range(max(0, end - self._longest), end)
                if end - start == 1 or word[start:end] in self._scores
            ]
            weights = [totals[s] + self._alpha * self._scores.get(word[s:end], self._unknown) for s in starts]
            top = max(weights)
            sums = list(accumulate(math.exp(weight - top) for weight in weights))
            totals.append(top + math.log(sums[-1]))
            ways.append((starts, sums))
        return tuple(ways)


@final
class MergeSegmenter(Segmenter):
    """Merges pairs of pieces, the best first, where each possible merge is dropped with a probability (Provilkov et al. 2020, algorithm 1).

    Args:
        scores: the higher the earlier a piece is merged.
        dropout: the probability.
    """

    def __init__(self, scores: Mapping[str, float], dropout: float) -> None:
        self._scores, self._dropout = scores, dropout

    def draw(self, word: str, chance: random.Random) -> list[str]:
        """Merge from single characters on, until no merge is left."""
        pieces = list(word)
        while True:
            merges = [
                (self._scores[one + other], -place)
                for place, (one, other) in enumerate(pairwise(pieces))
                if one + other in self._scores and chance.random() >= self._dropout
            ]
            if not merges:
                return pieces
            place = -max(merges)[1]
            pieces[place : place + 2] = [pieces[place] + pieces[place + 1]]
