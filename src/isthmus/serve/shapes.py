"""From answers to bodies of the native interface."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from isthmus.data.codec import Codec
from isthmus.generate.alignment import WordPair
from isthmus.generate.alternatives import Alternative, Runners
from isthmus.generate.answer import Answer, Generation
from isthmus.serve.schema import AnswerBody, Output, Pair, Part, Piece, Place, Runner
from isthmus.text.tokenizer import Tokenizer

_NEAR = 8


def answer_body(answer: Answer, codec: Codec, pieces: bool) -> AnswerBody:
    """An answer as it is sent.

    Args:
        answer: what came of a text.
        codec: ids to text.
        pieces: whether pieces and parts are sent too.
    """
    return AnswerBody(
        outputs=[_output(one, answer, codec, pieces) for one in answer.hypotheses],
        warnings=list(answer.warnings),
        seed=answer.seed,
    )


def finite(value: float) -> float | None:
    """A number that JSON can write, in four digits after the point."""
    return round(value, 4) if math.isfinite(value) else None


def _output(one: Generation, answer: Answer, codec: Codec, pieces: bool) -> Output:
    parts = _parts(one, answer, codec) if pieces else []
    return Output(
        text=one.text,
        score=finite(one.score),
        normalised=finite(one.normalised),
        stop=one.stop,
        alignment=[_pair(pair) for pair in one.alignment],
        parts=parts,
    )


def _pair(pair: WordPair) -> Pair:
    source, target = pair.source, pair.target
    return Pair(
        source=Place(text=source.text, start=source.start, end=source.end),
        target=Place(text=target.text, start=target.start, end=target.end),
        weight=round(pair.weight, 4),
    )


def _parts(one: Generation, answer: Answer, codec: Codec) -> list[Part]:
    """The parts of an output with their pieces; none where the pieces do not spell the text."""
    visible = [place for place, character in enumerate(one.text) if not character.isspace()]
    found, said = [], 0
    runners: Sequence[Runners] = one.alternatives or ((),) * len(one.parts)
    for segment, part, others in zip(answer.segments, one.parts, runners, strict=True):
        counts = [said + count for count in seen(codec.target, part.ids)]
        if counts[-1] > len(visible):
            return []
        scores = [finite(score) for score in part.token_scores]
        written = codec.target.pieces(part.ids)
        body = [
            Piece(
                piece=written[place],
                start=_start(visible, counts[place], len(one.text)),
                end=_end(visible, counts[place], counts[place + 1], len(one.text)),
                score=scores[place],
                alternatives=list(_runners(codec, part.ids[:place], others[place] if others else ())),
            )
            for place in range(len(part.ids))
        ]
        found.append(
            Part(
                source_start=segment.start,
                source_end=segment.end,
                start=_start(visible, said, len(one.text)),
                end=_end(visible, said, counts[-1], len(one.text)),
                stop=part.stop,
                pieces=body,
            )
        )
        said = counts[-1]
    return found


def _start(visible: Sequence[int], count: int, length: int) -> int:
    return visible[count] if count < len(visible) else length


def _end(visible: Sequence[int], first: int, last: int, length: int) -> int:
    """Where a stretch ends that has the visible characters from `first` to `last`; where it starts, if it has none."""
    return visible[last - 1] + 1 if last > first else _start(visible, first, length)


def _runners(codec: Codec, before: Sequence[int], others: Sequence[Alternative]) -> Iterator[Runner]:
    """What could have come after some pieces; what a piece adds is seen after the last few of them."""
    near = before[-_NEAR:]
    said = codec.text(near)
    for other in others:
        text = codec.text([*near, other.id])
        added = text.removeprefix(said) if text.startswith(said) else codec.target.decode([other.id])
        yield Runner(piece=codec.target.pieces([other.id])[0], text=added, score=finite(other.score))


def seen(tokenizer: Tokenizer, ids: Sequence[int]) -> list[int]:
    """How many visible characters stand before each piece, and at last in all of them."""
    texts = [tokenizer.decode(ids[:stop]) for stop in range(len(ids) + 1)]
    counts, most = [], 0
    for stop, text in enumerate(texts):
        whole = text if stop == len(ids) else text.rstrip("\N{REPLACEMENT CHARACTER}")
        most = max(most, sum(not character.isspace() for character in whole))
        counts.append(most)
    return counts
