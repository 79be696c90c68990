"""Reading a corpus for the doctor: one pass that notes, a few bytes a pair, what the rules look at."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from typing import TypeVar

import numpy as np

from isthmus.core.errors import DataError
from isthmus.data.doctor.finding import Place
from isthmus.data.doctor.sides import Sides
from isthmus.data.example import Example
from isthmus.data.hashes import Hashes, text_hashes
from isthmus.data.lines import Problem
from isthmus.data.pairs import Pairs, Row, scan
from isthmus.data.ragged import Offsets

SHOWN = 3
"""How many places a finding shows."""

_CHUNK = 1024
T = TypeVar("T")


@dataclass(slots=True)
class Tally:
    """How often something was met, and where first."""

    count: int = 0
    places: list[Place] = field(default_factory=list)

    def add(self, place: Place) -> None:
        """Count one more."""
        self.count += 1
        if len(self.places) < SHOWN:
            self.places.append(place)


@dataclass(frozen=True, slots=True)
class Survey:
    """What one pass over a part found: 40 bytes a pair.

    Attributes:
        part: `train`, `dev` or `test`.
        pairs: its files.
        problems: broken lines by kind, with the first problems.
        unreadable: why reading could not go on, if so.
        empty: pairs with an empty side.
        copies: pairs whose target is the source.
        line: the line of each readable pair [N].
        source_length: in characters, all sources together [N].
        target_length: in characters [N].
        source_hash: of the sources [N].
        pair_hash: of sources and target [N].
        sides: what its characters say of its two sides.
    """

    part: str
    pairs: Pairs
    problems: dict[str, tuple[Tally, Problem]]
    unreadable: DataError | None
    empty: Tally
    copies: Tally
    line: Offsets
    source_length: Offsets
    target_length: Offsets
    source_hash: Hashes
    pair_hash: Hashes
    sides: Sides

    def __len__(self) -> int:
        return len(self.line)


def place(pairs: Pairs, line: int, example: Example) -> Place:
    """Where a pair stands."""
    return Place(str(pairs.source), line, f"{' | '.join(example.sources)}\t{example.target}")


def chunks(items: Iterable[T]) -> Iterator[list[T]]:
    """The items, some at a time."""
    stream = iter(items)
    while chunk := list(islice(stream, _CHUNK)):
        yield chunk


def survey(part: str, pairs: Pairs) -> Survey:
    """Read a part once.

    Raises:
        InputError: a file is missing or a folder.
    """
    problems: dict[str, tuple[Tally, Problem]] = {}
    empty, copies, sides = Tally(), Tally(), Sides()
    columns: dict[str, list[Offsets]] = defaultdict(list)
    hashes: dict[str, list[Hashes]] = defaultdict(list)
    unreadable = None
    first = 0
    rows = scan(pairs)
    try:
        for chunk in chunks(rows):
            _note_problems(chunk, problems)
            found = [(row.line, row.example) for row in chunk if row.example is not None]
            for line, example in found:
                _look(example, line, pairs, empty, copies)
            examples = [example for _, example in found]
            columns["line"].append(_column(line for line, _ in found))
            columns["source"].append(_column(sum(map(len, example.sources)) for example in examples))
            columns["target"].append(_column(len(example.target) for example in examples))
            hashes["source"].append(text_hashes(example.sources for example in examples))
            hashes["pair"].append(text_hashes((*example.sources, example.target) for example in examples))
            sides.learn([e.source for e in examples], [e.target for e in examples], first)
            first += len(examples)
    except DataError as error:
        unreadable = error
    none, no_hash = [_column(())], [text_hashes(())]
    return Survey(
        part=part,
        pairs=pairs,
        problems=problems,
        unreadable=unreadable,
        empty=empty,
        copies=copies,
        line=np.concatenate(columns["line"] or none),
        source_length=np.concatenate(columns["source"] or none),
        target_length=np.concatenate(columns["target"] or none),
        source_hash=np.concatenate(hashes["source"] or no_hash),
        pair_hash=np.concatenate(hashes["pair"] or no_hash),
        sides=sides,
    )


def _note_problems(rows: list[Row], problems: dict[str, tuple[Tally, Problem]]) -> None:
    for row in rows:
        for problem in row.problems:
            tally, _ = problems.setdefault(problem.kind, (Tally(), problem))
            column = f"byte {problem.column}: " if problem.column else ""
            tally.add(Place(str(problem.file), problem.line, column + (problem.got or problem.rule)))


def _look(example: Example, line: int, pairs: Pairs, empty: Tally, copies: Tally) -> None:
    if not (example.target.strip() and all(text.strip() for text in example.sources)):
        empty.add(place(pairs, line, example))
    elif example.source == example.target:
        copies.add(place(pairs, line, example))


def _column(numbers: Iterable[int]) -> Offsets:
    return np.fromiter(numbers, dtype=np.int64)
