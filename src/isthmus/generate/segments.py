"""Text as a row of sentences with the space between them: taken apart before generation, put together after it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from isthmus.text.sentences import split

_BREAK = re.compile(r"[^\S\r\n]*(?:\r\n|[\r\n])\s*")
_UNSPACED = frozenset({"zh", "ja", "th", "lo", "km", "my", "yue"})


@dataclass(frozen=True, slots=True)
class Segment:
    """A stretch of a text that is generated from by itself.

    Attributes:
        text: the stretch, without space around it; a line break inside it has become a space.
        start: where it begins in the whole text, in characters.
        end: where it ends.
    """

    text: str
    start: int
    end: int


def whole(text: str) -> list[Segment]:
    """The text as one segment, without the space around it; none if there is nothing but space."""
    inner = text.strip()
    start = text.index(inner)
    return [Segment(inner, start, start + len(inner))] if inner else []


def sentences(text: str, language: str) -> list[Segment]:
    """The sentences of a text.

    Args:
        text: any text.
        language: its BCP 47 tag, or empty.
    """
    return [Segment(_BREAK.sub(" ", one.text), one.start, one.end) for one in split(text, language)]


def joined(text: str, segments: Sequence[Segment], outputs: Sequence[str], language: str) -> str:
    """Outputs in the places of their segments; what stood between, before and after the segments is kept.

    Line breaks, blank lines and indentation survive; a break within a sentence goes to the same share of its output. Between
    two sentences of a line, a script that puts a space there gets one where the source had none, and a script that puts
    none loses the source's.

    Args:
        text: the whole source text.
        segments: its segments, in order.
        outputs: one for each.
        language: the language of the outputs (BCP 47), or empty.
    """
    parts = gaps(text, segments, language)
    for place, (segment, output) in enumerate(zip(segments, outputs, strict=True)):
        parts[place] += wrapped(output, text[segment.start : segment.end])
    return "".join(parts)


def gaps(text: str, segments: Sequence[Segment], language: str) -> list[str]:
    """What stands before each output, and after the last.

    Args:
        text: the whole source text.
        segments: its segments, in order.
        language: the language of the outputs (BCP 47), or empty.
    """
    spaced = language.split("-", maxsplit=1)[0].lower() not in _UNSPACED
    found, place = [], 0
    for segment in segments:
        gap = text[place : segment.start]
        found.append(_between(gap, spaced) if place else gap)
        place = segment.end
    return [*found, text[place:]]


def _between(gap: str, spaced: bool) -> str:
    """What stands between two outputs, given what stood between their sources."""
    if spaced:
        return gap or " "
    return gap.strip(" ")


def wrapped(output: str, source: str) -> str:
    """The output with the line breaks of its source, each at the space nearest to its share of the length.

    Args:
        output: of a segment.
        source: the segment as it stands in the text, with its line breaks.
    """
    head, tail = output, ""
    for found in reversed(list(_BREAK.finditer(source))):
        wanted = min(len(head), round(found.start() / len(source) * len(output)))
        spaces = [place for place, character in enumerate(head) if character == " "]
        place = min(spaces, key=lambda space: abs(space - wanted), default=wanted)
        head, tail = head[:place], found.group() + head[place:].removeprefix(" ") + tail
    return head + tail
