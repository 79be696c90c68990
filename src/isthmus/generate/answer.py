"""What a translator answers: text, and what else is known about it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from isthmus.data.codec import Codec
from isthmus.generate.inputs import Input
from isthmus.generate.jobs import Found
from isthmus.generate.options import GenerationOptions
from isthmus.generate.repair import Fault, Repair
from isthmus.generate.segments import Segment, joined
from isthmus.generate.state import Hypothesis, StopReason


class GenerationWarning(UserWarning):
    """An output may not be what was wanted, for example because it reached the maximum length."""


@dataclass(frozen=True, slots=True)
class Generation:
    """One output for a whole input.

    Attributes:
        text: the output.
        score: the model's log-probability of it, summed over its sentences.
        normalised: the score over length ** length_penalty: what the search ranked by.
        stop: why it ended, or what the guards found wrong with it and could not mend; of several sentences, the first
            reason that is not `end`.
        parts: the hypothesis of each segment of the input (see `Answer.segments`).
        repairs: what the guards did about each part, if anything.
    """

    text: str
    score: float
    normalised: float
    stop: StopReason | Fault
    parts: tuple[Hypothesis, ...]
    repairs: tuple[Repair | None, ...] = ()


@dataclass(frozen=True, slots=True)
class Answer:
    """The answer to one input.

    Attributes:
        hypotheses: as many outputs as were asked for (fewer where the search found fewer), best first; samples in the order
            of their drawing.
        segments: the stretches of the input that were generated from one by one, with their offsets.
        warnings: what the user should know; for example that an output reached the maximum length.
        seed: the seed of the samples; None without sampling.
        seconds: wall time spent on the batches that this input was part of; not compared by `==`.
    """

    hypotheses: tuple[Generation, ...]
    segments: tuple[Segment, ...]
    warnings: tuple[str, ...]
    seed: int | None
    seconds: float = field(compare=False)

    @property
    def text(self) -> str:
        """The best output."""
        return self.hypotheses[0].text


def answered(one: Input, found: Sequence[Found], codec: Codec, options: GenerationOptions) -> Answer:
    """Put the outputs of the segments together; of several, the r-th best of each make the r-th best.

    Args:
        one: the input.
        found: what was found for each of its segments.
        codec: ids to text.
        options: what was asked for.
    """
    chosen = [
        [_ranked(each, rank) for each in found] for rank in range(max((len(f.hypotheses) for f in found), default=0))
    ]
    generations = [_combined(one, parts, codec, options.length_penalty) for parts in chosen]
    if not one.segments:
        nothing = Generation(one.example.source if one.split else "", 0.0, 0.0, "end", ())
        generations = [nothing] * options.num_return_sequences
    said = [
        f"{segment.text[:40]!r}: {what}"
        for parts in chosen
        for segment, (part, repair) in zip(one.segments, parts, strict=True)
        for what in _remarks(part, repair)
    ]
    return Answer(
        hypotheses=tuple(generations),
        segments=one.segments,
        warnings=tuple(said),
        seed=options.seed if options.do_sample else None,
        seconds=sum(each.seconds for each in found),
    )


def _ranked(found: Found, rank: int) -> tuple[Hypothesis, Repair | None]:
    """The hypothesis of a rank, or the last one, with what the guards did about it."""
    place = min(rank, len(found.hypotheses) - 1)
    return found.hypotheses[place], found.repairs[place] if found.repairs else None


def _combined(
    one: Input, chosen: Sequence[tuple[Hypothesis, Repair | None]], codec: Codec, length_penalty: float
) -> Generation:
    """The output made of one hypothesis a segment."""
    parts, repairs = tuple(part for part, _ in chosen), tuple(repair for _, repair in chosen)
    score = sum(part.score for part in parts)
    length = sum(len(part.token_scores) for part in parts)
    normalised = parts[0].normalised if len(parts) == 1 else score / max(1, length) ** length_penalty
    stops: list[StopReason | Fault] = [
        repair.left[0] if repair and repair.left else part.stop for part, repair in chosen
    ]
    stop: StopReason | Fault = next((stop for stop in stops if stop != "end"), "end")
    return Generation(_text(one, parts, codec), score, normalised, stop, parts, repairs)


def _text(one: Input, parts: Sequence[Hypothesis], codec: Codec) -> str:
    outputs = [codec.text(part.ids) for part in parts]
    if one.split:
        return joined(one.example.source, one.segments, outputs, one.example.target_language)
    return outputs[0]


def _remarks(part: Hypothesis, repair: Repair | None) -> list[str]:
    """What the user should know of a part."""
    stop = [] if part.stop == "end" else [_explained(part.stop)]
    return stop if repair is None else [*stop, str(repair)]


def _explained(stop: StopReason) -> str:
    """What a stop reason other than `end` means to the user."""
    if stop == "max_length":
        return "the output reached its maximum length before its end; raise `max_length`, or look for a repetition"
    return "nothing that was allowed could follow; loosen the options"
