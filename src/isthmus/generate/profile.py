"""What the targets of training look like: what the guards hold outputs against."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from pydantic import Field
from rapidfuzz import fuzz

from isthmus.core.config import Config
from isthmus.text.scripts import scripts

_UNUSUAL = 0.001
"""What fewer than this share of the targets do is unusual."""
_GROUP, _GROUPS = 200, 20
"""So many pairs at least, and so many groups at most, say what lengths are usual."""
_LONGEST_UNIT = 32
"""Repetitions of longer units are not looked for."""
_ALIKE = 90.0
"""From this similarity on (100 is equal), an output is a copy."""
_COPIED_WORDS = 3
"""Texts with fewer words that are neither names nor numbers are often the same in another language."""

Ids = Sequence[int]


@dataclass(frozen=True, slots=True)
class Pair:
    """A training pair, as the guards see it.

    Attributes:
        source: its own pieces, without context, tag and end.
        target: its pieces, without the end.
        source_text: the same as text.
        target_text: the same as text.
    """

    source: Ids
    target: Ids
    source_text: str
    target_text: str


class Lengths(Config):
    """The usual lengths of targets, for sources of some lengths.

    Attributes:
        up_to: the most source pieces that this is said of.
        low: the least target pieces for a source piece that are usual.
        high: the most.
    """

    up_to: int
    low: float
    high: float


class Profile(Config):
    """What the targets of training look like. The defaults are for a model that does not say.

    Attributes:
        scripts: those that have a noticeable share of the letters; empty is unknown.
        repeated: how many pieces in a row only repeat what stood before them (see `repeated`).
        ngram: n-grams of so many pieces come hardly ever twice in one target.
        lengths: the usual lengths, for ever longer sources; empty is unknown.
        copies: the share of targets that copy their source.
        empty: the share of empty targets.
    """

    scripts: tuple[str, ...] = ()
    repeated: int = Field(default=16, ge=0)
    ngram: int = Field(default=4, ge=1)
    lengths: tuple[Lengths, ...] = ()
    copies: float = 0.0
    empty: float = 0.0

    @classmethod
    def of(cls, pairs: Sequence[Pair]) -> Profile:
        """Measure training pairs; without any, nothing is known."""
        if not pairs:
            return cls()
        return cls(
            scripts=_common_scripts([pair.target_text for pair in pairs]),
            repeated=_usual_most([repeated(pair.target) for pair in pairs]),
            ngram=max(3, 1 + _usual_most([_longest_twice(pair.target) for pair in pairs])),
            lengths=_lengths(pairs),
            copies=_share([is_copy(pair.source_text, pair.target_text) for pair in pairs]),
            empty=_share([not pair.target_text.strip() for pair in pairs]),
        )

    def usual_length(self, source: int) -> tuple[int, float]:
        """The fewest and the most pieces of an output that is not suspicious, half and one and a half of what is usual."""
        if not self.lengths:
            return 0, math.inf
        found = next((one for one in self.lengths if source <= one.up_to), self.lengths[-1])
        return int(found.low * source / 2), math.ceil(1.5 * found.high * source) + 5


def repeated(ids: Ids) -> int:
    """How many pieces in a row only repeat what stood before them, where a unit stands at least three times in a row.

    Example:
        >>> repeated([7, 1, 2, 1, 2, 1, 2, 9]), repeated([1, 1]), repeated([5, 5, 5, 5])
        (4, 0, 3)
    """
    found = 0
    row = np.asarray(ids)
    for unit in range(1, min(_LONGEST_UNIT, len(row) // 3) + 1):
        run = _longest_run(row[unit:] == row[:-unit])
        found = max(found, run) if run >= 2 * unit else found
    return found


def is_copy(source: str, target: str) -> bool:
    """Whether a target is its source, or nearly so; not where there are too few words, names and numbers apart, to say.

    Example:
        >>> is_copy("I love this beer.", "I love this beer!"), is_copy("Tom Hill, Boston 1999", "Tom Hill, Boston 1999")
        (True, False)
    """
    if sum(word[0].isalpha() and not word[0].isupper() for word in source.split()) < _COPIED_WORDS:
        return False
    return fuzz.ratio(_bare(source), _bare(target), score_cutoff=_ALIKE) > 0


def _bare(text: str) -> str:
    return "".join(char for char in text.casefold() if char.isalnum())


def _longest_twice(ids: Ids) -> int:
    """The length of the longest n-gram that comes twice."""
    row = np.asarray(ids)
    return max((_longest_run(row[apart:] == row[:-apart]) for apart in range(1, len(row))), default=0)


def _longest_run(same: npt.NDArray[np.bool_]) -> int:
    """The most values in a row that are true."""
    (breaks,) = np.nonzero(~np.concatenate([[False], same, [False]]))
    return int(np.diff(breaks).max()) - 1


def _usual_most(values: Sequence[int]) -> int:
    """The value that hardly any exceeds."""
    return int(np.quantile(values, 1 - _UNUSUAL, method="inverted_cdf"))


def _share(values: Sequence[bool]) -> float:
    return sum(values) / len(values)


def _common_scripts(texts: Sequence[str]) -> tuple[str, ...]:
    count: Counter[str] = Counter()
    for text in texts:
        count.update(scripts(text))
    return tuple(sorted(name for name, letters in count.items() if letters >= _UNUSUAL * count.total()))


def _lengths(pairs: Sequence[Pair]) -> tuple[Lengths, ...]:
    """Sources of similar length together: which ratios their targets have."""
    source = np.array([max(1, len(pair.source)) for pair in pairs])
    ratio = np.array([len(pair.target) for pair in pairs]) / source
    groups = max(1, min(_GROUPS, len(pairs) // _GROUP))
    edges = np.unique(np.quantile(source, np.arange(1, groups + 1) / groups, method="inverted_cdf"))
    group = np.searchsorted(edges, source)
    found = []
    for number, up_to in enumerate(edges.tolist()):
        low, high = np.quantile(ratio[group == number], [_UNUSUAL, 1 - _UNUSUAL]).tolist()
        found.append(Lengths(up_to=up_to, low=low, high=high))
    return tuple(found)
