"""What there is to see of one input and one output: plain values, ready to be drawn or written down."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from isthmus.evaluate.beam_tree import Node
from isthmus.generate.alignment import Span, WordPair

FORMAT = 1
DIGITS = 4

Matrix = tuple[tuple[float, ...], ...]


@dataclass(frozen=True, slots=True)
class Candidate:
    """A piece and its probability."""

    piece: str
    probability: float


@dataclass(frozen=True, slots=True)
class Token:
    """A place of the output.

    Attributes:
        piece: what stands there.
        probability: of it, after the pieces before.
        rank: 1 if nothing was more probable.
        others: the most probable other pieces, best first.
    """

    piece: str
    probability: float
    rank: int
    others: tuple[Candidate, ...]


@dataclass(frozen=True, slots=True)
class Encoded:
    """The encoder's output.

    Attributes:
        labels: a name for each position: its piece, where positions are pieces.
        points: where its vector lies on the plane of the first two principal components.
        shares: how much of the variance each of the two holds.
        cosines: the cosine between every two vectors.
        size: numbers a vector.
        summary: whether there is a vector for all of the source, too.
    """

    labels: tuple[str, ...]
    points: tuple[tuple[float, float], ...]
    shares: tuple[float, float]
    cosines: Matrix
    size: int
    summary: bool


@dataclass(frozen=True, slots=True)
class Layer:
    """What one layer of the decoder read.

    Attributes:
        columns: a name for each thing that may be read: the piece, where they are pieces of the source.
        heads: for each head and each piece of the output how much of each it read; empty where the connection has no weights.
        copy: for each piece of the output the distribution to copy from; empty if there is none.
    """

    columns: tuple[str, ...]
    heads: tuple[Matrix, ...]
    copy: Matrix


@dataclass(frozen=True, slots=True)
class Alignment:
    """Which word comes from which.

    Attributes:
        links: a pair for each word of the output that could be traced.
        origin: whose attention it is and how that was chosen; or why there is none.
        source_words: all words of the input.
        target_words: all words of the output.
    """

    links: tuple[WordPair, ...]
    origin: str
    source_words: tuple[Span, ...] = ()
    target_words: tuple[Span, ...] = ()


@dataclass(frozen=True, slots=True)
class Branch:
    """A node of the tree of beams, with its piece written out."""

    node: Node
    piece: str


@dataclass(frozen=True, slots=True)
class Inspection:
    """All there is to see of one input and one output.

    Attributes:
        model: what the model is: names and values for the reader.
        source: the input.
        target: the output that was looked at.
        given: whether that was given, and not what the model found.
        found: what the search found.
        source_pieces: the pieces that the encoder read.
        tokens: the places of the output.
        score: the log-probability of the output.
        encoded: the encoder's output.
        layers: what the decoder read.
        alignment: words to words.
        tree: the search.
        search: how the search was done.
        notes: what the reader should know.
    """

    model: tuple[tuple[str, str], ...]
    source: str
    target: str
    given: bool
    found: str
    source_pieces: tuple[str, ...]
    tokens: tuple[Token, ...]
    score: float
    encoded: Encoded
    layers: tuple[Layer, ...]
    alignment: Alignment
    tree: tuple[Branch, ...]
    search: str
    notes: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """Plain values; numbers are rounded to `DIGITS` digits."""
        values = asdict(self)
        values["tree"] = [{**asdict(one.node), "piece": one.piece} for one in self.tree]
        rounded: dict[str, Any] = _rounded({"format": FORMAT, **values})
        return rounded


def _rounded(value: Any) -> Any:
    if isinstance(value, float):
        return round(value, DIGITS)
    if isinstance(value, dict):
        return {key: _rounded(item) for key, item in value.items()}
    return [_rounded(item) for item in value] if isinstance(value, Sequence) and not isinstance(value, str) else value
