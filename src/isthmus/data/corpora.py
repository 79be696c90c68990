"""Several corpora in one training set, each seen as often an epoch as its weight says."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import cycle, islice
from typing import Literal

import numpy as np
import numpy.typing as npt

from isthmus.core.errors import ConfigError, DataError
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
        join: up to so many pairs in a row become one (see `joined`).
    """

    pairs: Pairs
    weight: float = 1.0
    part: Part | None = None
    history: int = 0
    follows: Follows = "dialogue"
    join: int = 1

    def __post_init__(self) -> None:
        if not (math.isfinite(self.weight) and self.weight >= 1 / _FINEST):
            raise ConfigError(
                "the weight of a corpus must be positive",
                expected=f"a number of at least {1 / _FINEST}",
                got=str(self.weight),
                where=str(self.pairs),
                fix="correct the weight, or leave the corpus out",
            )
        if self.join < 1 or (self.join > 1 and self.history):
            raise ConfigError(
                "pairs are joined as they are, without the sources before them",
                expected="join of at least 1, and with more than 1 no history",
                got=f"join = {self.join}, history = {self.history}",
                where=str(self.pairs),
                fix="leave one of them out",
            )

    def examples(self) -> Iterator[Example]:
        """Read the examples of this corpus, those of its part only.

        Raises:
            DataError: as `isthmus.data.pairs.read` does.
        """
        found = read(self.pairs)
        if self.history:
            found = with_history(found, self.history, self.follows)
        if self.part is not None:
            found = filter(self.part.holds, found)
        return joined(found, self.join) if self.join > 1 else found


def joined(examples: Iterable[Example], most: int) -> Iterator[Example]:
    """Make long pairs of short ones: one pair, then two in a row as one, and so on up to `most`, then one again.

    So a corpus of single sentences has sources of every length, whose targets are known. Sources and targets are put together with
    a space between. A joined pair has the languages of its first one, and the mean of the weights; context, document and prefix
    belong to single pairs and are dropped.

    Args:
        examples: in their order; those that are joined have equally many sources.
        most: how many make one at most.

    Raises:
        DataError: two that are to be joined have different numbers of sources.
    """
    rest = iter(examples)
    for count in cycle(range(1, most + 1)):
        several = list(islice(rest, count))
        if not several:
            return
        if len(several) == 1:
            yield several[0]
            continue
        first = several[0]
        odd = next((one for one in several if len(one.sources) != len(first.sources)), None)
        if odd is not None:
            raise DataError(
                "pairs that are joined have equally many sources",
                expected=f"{len(first.sources)}",
                got=f"{len(odd.sources)}",
                where=repr(odd.source[:60]),
                fix="set `join` to 1, or give every pair as many sources",
            )
        yield Example(
            sources=tuple(" ".join(texts) for texts in zip(*(one.sources for one in several), strict=True)),
            target=" ".join(one.target for one in several),
            source_language=first.source_language,
            target_language=first.target_language,
            weight=math.fsum(one.weight for one in several) / len(several),
        )


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
