"""Dividing a corpus by a hash of the source, so that equal sources never end in two parts."""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from isthmus.core.errors import DataError, InputError
from isthmus.data.example import Example
from isthmus.data.hashes import text_hash

_SCALE = 1 << 64


@dataclass(frozen=True, slots=True)
class Part:
    """The examples whose source hashes below a threshold, or the others.

    Attributes:
        threshold: between 0 and 2**64.
        below: whether this is the part below the threshold.
        salt: another salt gives an independent division.
    """

    threshold: int
    below: bool
    salt: str

    def holds(self, example: Example) -> bool:
        """Whether the example belongs to this part."""
        return (text_hash(self.salt, example.source) < self.threshold) == self.below

    @property
    def rest(self) -> Part:
        """All the other examples."""
        return Part(self.threshold, not self.below, self.salt)


def hold_out(examples: Iterable[Example], most: int = 2000, share: float = 0.02, salt: str = "dev") -> Part:
    """Choose what to hold out for development: as many pairs as fit into min(`most`, `share` of all), at least one source.

    The choice depends on the set of pairs alone, not on their order; equal sources stay together. Its `rest` is for
    training. One pass over the examples; memory grows with `most`, not with the corpus.

    Raises:
        DataError: there are fewer than two different sources.
    """
    count = 0
    pairs_of: dict[int, int] = {}
    largest: list[int] = []  # a heap of the negated hashes in pairs_of
    for example in examples:
        count += 1
        value = text_hash(salt, example.source)
        if value in pairs_of:
            pairs_of[value] += 1
        elif len(largest) < most + 2:
            pairs_of[value] = 1
            heapq.heappush(largest, -value)
        elif value < -largest[0]:
            pairs_of[value] = 1
            del pairs_of[-heapq.heapreplace(largest, -value)]
    if len(pairs_of) < 2:
        raise DataError(
            "a part cannot be held out for development",
            expected="at least two different sources",
            got=f"{count} pair{'' if count == 1 else 's'} with {len(pairs_of)}",
            fix="give a development set of its own",
        )
    limit = min(most, int(count * share))
    held = 0
    ordered = sorted(pairs_of)
    for before, value in enumerate(ordered):
        held += pairs_of[value]
        if before and held > limit:
            return Part(value, True, salt)
    return Part(ordered[-1], True, salt)


def part_of(source: str, fractions: Sequence[float], salt: str = "") -> int:
    """The number of the part that a source falls into when a corpus is divided by fractions that sum to 1.

    Raises:
        InputError: the fractions are not positive, or do not sum to 1.
    """
    if not fractions or min(fractions) < 0 or abs(sum(fractions) - 1) > 1e-6:
        raise InputError(
            "fractions of a corpus must be positive and sum to 1",
            expected="for example [0.8, 0.1, 0.1]",
            got=str(list(fractions)),
            where="part_of",
            fix="correct the fractions",
        )
    point, reached = text_hash(salt, source) / _SCALE, 0.0
    for number, fraction in enumerate(fractions):
        reached += fraction
        if point < reached:
            return number
    return max(number for number, fraction in enumerate(fractions) if fraction > 0)
