"""What a translator answers: text, and what else is known about it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from isthmus.data.codec import Codec
from isthmus.generate.inputs import Input
from isthmus.generate.jobs import Found
from isthmus.generate.options import GenerationOptions
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
        stop: why it ended; of several sentences, the first reason that is not `end`.
        parts: the hypothesis of each segment of the input (see `Answer.segments`).
    """

    text: str
    score: float
    normalised: float
    stop: StopReason
    parts: tuple[Hypothesis, ...]


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
    ranks = max((len(each.hypotheses) for each in found), default=0)
    chosen = [tuple(each.hypotheses[min(rank, len(each.hypotheses) - 1)] for each in found) for rank in range(ranks)]
    generations = [_combined(_text(one, parts, codec), parts, options.length_penalty) for parts in chosen]
    if not one.segments:
        nothing = Generation(one.example.source if one.split else "", 0.0, 0.0, "end", ())
        generations = [nothing] * options.num_return_sequences
    said = [
        f"{segment.text[:40]!r}: {_explained(part.stop)}"
        for parts in chosen
        for segment, part in zip(one.segments, parts, strict=True)
        if part.stop != "end"
    ]
    return Answer(
        hypotheses=tuple(generations),
        segments=one.segments,
        warnings=tuple(said),
        seed=options.seed if options.do_sample else None,
        seconds=sum(each.seconds for each in found),
    )


def _combined(text: str, parts: tuple[Hypothesis, ...], length_penalty: float) -> Generation:
    """The output made of one hypothesis a segment."""
    score = sum(part.score for part in parts)
    length = sum(len(part.token_scores) for part in parts)
    normalised = parts[0].normalised if len(parts) == 1 else score / max(1, length) ** length_penalty
    stop: StopReason = next((part.stop for part in parts if part.stop != "end"), "end")
    return Generation(text, score, normalised, stop, parts)


def _text(one: Input, parts: Sequence[Hypothesis], codec: Codec) -> str:
    outputs = [codec.text(part.ids) for part in parts]
    if one.split:
        return joined(one.example.source, one.segments, outputs, one.example.target_language)
    return outputs[0]


def _explained(stop: StopReason) -> str:
    """What a stop reason other than `end` means to the user."""
    if stop == "max_length":
        return "the output reached its maximum length before its end; raise `max_length`, or look for a repetition"
    return "nothing that was allowed could follow; loosen the options"
