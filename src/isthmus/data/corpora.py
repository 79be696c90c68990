"""Several corpora in one training set, each seen as often an epoch as its weight says."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Literal

import numpy as np
import numpy.typing as npt

from isthmus.core.errors import ConfigError
from isthmus.data.example import Example
from isthmus.data.hashes import mix
from isthmus.data.pairs import Pairs, read
from isthmus.data.split import Part

Follows = Literal["dialogue", "document", "line"]

_CIRCLE = 1 << 32
_FINEST = 10_000


@dataclass(frozen=True, slots=True)
class Corpus:
    """A corpus and how often it is seen.

    Attributes:
        pairs: its files.
        weight: 2.0 sees every pair twice an epoch; 0.5 sees half of the pairs in one epoch and the other half in the next.
        part: which part of the pairs belongs to it; `None` is all of them.
        history: so many earlier sources become the context of each pair.
        follows: which ones are earlier (see `with_history`).
    """

    pairs: Pairs
    weight: float = 1.0
    part: Part | None = None
    history: int = 0
    follows: Follows = "dialogue"

    def __post_init__(self) -> None:
        if not (math.isfinite(self.weight) and self.weight >= 1 / _FINEST):
            raise ConfigError(
                "the weight of a corpus must be positive",
                expected=f"a number of at least {1 / _FINEST}",
                got=str(self.weight),
                where=str(self.pairs),
                fix="correct the weight, or leave the corpus out",
            )

    def examples(self) -> Iterator[Example]:
        """Read the examples of this corpus, those of its part only.

        Raises:
            DataError: as `isthmus.data.pairs.read` does.
        """
        found = read(self.pairs)
        if self.history:
            found = with_history(found, self.history, self.follows)
        if self.part is None:
            return found
        return filter(self.part.holds, found)


def with_history(examples: Iterable[Example], most: int, follows: Follows = "dialogue") -> Iterator[Example]:
    """Give each pair the sources before it as context, oldest first.

    Args:
        examples: in their order.
        most: the most sources of context.
        follows: `dialogue`: a pair whose source is the target of the pair before it goes on with it. `document`: a pair of
            the same document goes on. `line`: every line goes on, and for the model to learn to do with less, the pairs
            have none, one, ... `most` sources of context in turn. Any other pair begins anew.
    """
    past: tuple[str, ...] = ()
    before: Example | None = None
    for number, example in enumerate(examples):
        past = past if before is not None and _goes_on(before, example, follows) else ()
        wanted = number % (most + 1) if follows == "line" else most
        yield replace(example, context=(*example.context, *past[max(0, len(past) - wanted) :]))
        past, before = (*past, example.source)[-most:], example


def _goes_on(before: Example, example: Example, follows: Follows) -> bool:
    """Whether a pair goes on with the one before it."""
    match follows:
        case "dialogue":
            return example.source == before.target
        case "document":
            return example.document != "" and example.document == before.document
        case "line":
            return True


def copies(weight: float) -> int:
    """How many times at most a corpus of this weight shows an example in an epoch."""
    return math.ceil(Fraction(weight).limit_denominator(_FINEST))


def chosen(index: npt.NDArray[np.int64], copy: int, weight: float, seed: int, epoch: int) -> npt.NDArray[np.bool_]:
    """Which examples are seen in this copy of a corpus in this epoch: a pure function of its arguments.

    Every example has a random place on a circle, and the fraction of an unfinished copy is an arc of it that moves on
    from epoch to epoch. So with weight 1/3 any three epochs in a row show every example exactly once.

    Args:
        index: numbers of examples [N].
        copy: 0 for the first time that the corpus is shown in the epoch, and so on.
        weight: of the corpus.
        seed: of the run.
        epoch: counted from 0.
    """
    exact = Fraction(weight).limit_denominator(_FINEST)
    share = min(Fraction(1), exact - copy)
    if share == 1:
        return np.ones(len(index), dtype=np.bool_)
    start, stop = (math.floor(number * share * _CIRCLE) for number in (epoch, epoch + 1))
    place = mix(index, seed, 1) >> np.uint64(32)
    return (place + np.uint64(-start % _CIRCLE)) % np.uint64(_CIRCLE) < np.uint64(stop - start)
