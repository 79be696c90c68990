"""Which word of the input each word of an output comes from, by the attention of the decoder.

T target piece, S source piece.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate

from torch import Tensor

from isthmus.data.codec import Codec
from isthmus.text.tokenizer import UNKNOWN, Tokenizer

_WORD = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]|[^\W_]+|[^\w\s]|_")
"""A run of letters and digits; of Han and Kana, each character; and each sign."""


@dataclass(frozen=True, slots=True)
class Span:
    """A word and its place in its text.

    Attributes:
        text: the word.
        start: where it begins, in characters.
        end: where it ends.
    """

    text: str
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class WordPair:
    """A word of the output, and the word of the input that the decoder looked at most for it.

    Attributes:
        source: the word of the input.
        target: the word of the output.
        weight: the share of the attention, the mean over the pieces of the output's word.
    """

    source: Span
    target: Span
    weight: float


@dataclass(frozen=True, slots=True)
class Looked:
    """What was looked at for a stretch of the output.

    Attributes:
        source: ids of the source, as the model read them.
        start: where its text begins in the input, in characters.
        ids: the pieces of the output.
        attention_TS: where the decoder looked for each.
    """

    source: Sequence[int]
    start: int
    ids: Sequence[int]
    attention_TS: Tensor


@dataclass(frozen=True, slots=True)
class Trace:
    """Which word each piece of a stretch belongs to, by its number; None for a piece of no word.

    Attributes:
        source: for each position of the source.
        target: for each piece of the output.
    """

    source: tuple[int | None, ...]
    target: tuple[int | None, ...]


def aligned(source: str, target: str, parts: Sequence[Looked], codec: Codec) -> tuple[WordPair, ...]:
    """A pair for each word of the output that can be traced, in the order of the output.

    Pieces are counted off along the characters that are no space, since spaces may differ between a text and its pieces;
    none are traced where the pieces do not spell the text.

    Args:
        source: the whole input.
        target: the whole output.
        parts: what was looked at, for each stretch of the output in order.
        codec: ids to text.
    """
    source_words, target_words = words(source), words(target)
    shares: dict[int, dict[int, float]] = {}
    pieces: dict[int, int] = {}
    for part, trace in zip(parts, traces(source, target, parts, codec), strict=False):
        for row, word in zip(part.attention_TS.tolist(), trace.target, strict=False):
            if word is None:
                continue
            pieces[word] = pieces.get(word, 0) + 1
            of = shares.setdefault(word, {})
            for share, start in zip(row, trace.source, strict=False):
                if start is not None:
                    of[start] = of.get(start, 0.0) + share
    found = []
    for word, of in sorted(shares.items()):
        if of:
            best = max(sorted(of), key=of.__getitem__)
            found.append(WordPair(source_words[best], target_words[word], of[best] / pieces[word]))
    return tuple(found)


def traces(source: str, target: str, parts: Sequence[Looked], codec: Codec) -> list[Trace]:
    """Which words the pieces of each stretch belong to; empty where the pieces do not spell the texts.

    Args:
        source: the whole input.
        target: the whole output.
        parts: the stretches of the output in order; where the decoder looked is not read.
        codec: ids to text.
    """
    source_word, target_word = _word_of(words(source)), _word_of(words(target))
    found = []
    said = 0
    for part in parts:
        own = codec.own_places(part.source)
        read = _places(codec.source, [part.source[place] for place in own], _visible(source[: part.start]))
        written = _places(codec.target, part.ids, said)
        said = written.pop()
        if read.pop() > len(source_word) or said > len(target_word):
            return []
        of_place = dict(zip(own, (_at(source_word, place) for place in read), strict=True))
        found.append(
            Trace(
                tuple(of_place.get(place) for place in range(len(part.source))),
                tuple(_at(target_word, place) for place in written),
            )
        )
    return found


def _at(numbers: Sequence[int], place: int) -> int | None:
    return numbers[place] if place < len(numbers) else None


def words(text: str) -> list[Span]:
    """The words of a text and their places."""
    return [Span(word.group(), word.start(), word.end()) for word in _WORD.finditer(text)]


def _word_of(words: Sequence[Span]) -> list[int]:
    """The number of the word that each character of a text belongs to, spaces not counted."""
    return [number for number, word in enumerate(words) for _ in word.text]


def _visible(text: str) -> int:
    """How many characters are no space."""
    return sum(not char.isspace() for char in text)


def _places(tokenizer: Tokenizer, ids: Sequence[int], start: int) -> list[int]:
    """Before how many visible characters each piece begins, and at last how many there are, counted from `start`."""
    texts = [tokenizer.decode(ids[:stop]) for stop in range(len(ids) + 1)]
    whole = [
        text if stop == len(ids) or (stop and ids[stop - 1] == tokenizer.vocabulary.unk) else text.rstrip(UNKNOWN)
        for stop, text in enumerate(texts)
    ]
    return [start + place for place in accumulate(map(_visible, whole), max)]
