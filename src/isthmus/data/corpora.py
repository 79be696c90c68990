"""Several corpora in one training set, each seen as often an epoch as its weight says."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from fractions import Fraction

import numpy as np
import numpy.typing as npt

from isthmus.core.errors import ConfigError
from isthmus.data.example import Example
from isthmus.data.hashes import mix
from isthmus.data.pairs import Pairs, read
from isthmus.data.split import Part

_CIRCLE = 1 << 32
_FINEST = 10_000


@dataclass(frozen=True, slots=True)
class Corpus:
    """A corpus and how often it is seen.

    Attributes:
        pairs: its files.
        weight: 2.0 sees every pair twice an epoch; 0.5 sees half of the pairs in one epoch and the other half in the next.
        part: which part of the pairs belongs to it; `None` is all of them.
        history: of a dialogue, written as pairs of a turn and the reply: so many earlier turns become the context.
    """

    pairs: Pairs
    weight: float = 1.0
    part: Part | None = None
    history: int = 0

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
            found = with_history(found, self.history)
        if self.part is None:
            return found
        return filter(self.part.holds, found)


def with_history(examples: Iterable[Example], turns: int) -> Iterator[Example]:
    """Give each pair of a dialogue the turns before it as context, oldest first.

    A pair whose source is the target of the pair before it goes on with the same dialogue; any other begins a new one.

    Args:
        examples: in the order of the dialogues.
        turns: the most turns of context.
    """
    past: tuple[str, ...] = ()
    reply = None
    for example in examples:
        past = past if example.source == reply else ()
        yield replace(example, context=(*example.context, *past[-turns:]))
        past, reply = (*past[-turns:], example.source), example.target


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
