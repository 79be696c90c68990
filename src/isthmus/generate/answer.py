"""What a translator answers: text, and what else is known about it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from isthmus.data.codec import Codec
from isthmus.generate.alignment import Looked, WordPair, aligned
from isthmus.generate.alternatives import Runners
from isthmus.generate.inputs import Input
from isthmus.generate.jobs import Found, Job
from isthmus.generate.options import GenerationOptions
from isthmus.generate.repair import SAID, Fault, Repair
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
        alternatives: for each part and each of its pieces (and its end), the most probable others, if asked for.
        alignment: which word of the input each word of the output comes from, if asked for and the model has attention.
    """

    text: str
    score: float
    normalised: float
    stop: StopReason | Fault
    parts: tuple[Hypothesis, ...]
    repairs: tuple[Repair | None, ...] = ()
    alternatives: tuple[Runners, ...] = ()
    alignment: tuple[WordPair, ...] = ()


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


@dataclass(frozen=True, slots=True)
class _Part:
    """What was found for one segment, of one rank."""

    segment: Segment
    source: tuple[int, ...]
    hypothesis: Hypothesis
    repair: Repair | None
    runners: Runners

    @classmethod
    def of(cls, segment: Segment, job: Job, found: Found, rank: int) -> _Part:
        """The hypothesis of a rank, or the last one."""
        place = min(rank, len(found.hypotheses) - 1)
        repair = found.repairs[place] if found.repairs else None
        runners = found.alternatives[place] if found.alternatives else ()
        return cls(segment, job.source, found.hypotheses[place], repair, runners)

    @property
    def stop(self) -> StopReason | Fault:
        """Why it ended, or what is wrong with it."""
        return self.repair.left[0] if self.repair and self.repair.left else self.hypothesis.stop

    @property
    def remarks(self) -> list[str]:
        """What the user should know of it."""
        stop = [] if self.hypothesis.stop == "end" else [explained(self.hypothesis.stop)]
        said = stop if self.repair is None else [*stop, str(self.repair)]
        return [f"{self.segment.text[:40]!r}: {one}" for one in said]


def answered(
    one: Input, jobs: Sequence[Job], found: Sequence[Found], codec: Codec, options: GenerationOptions
) -> Answer:
    """Put the outputs of the segments together; of several, the r-th best of each make the r-th best.

    Args:
        one: the input.
        jobs: what was searched for, for each of its segments.
        found: what was found for each.
        codec: ids to text.
        options: what was asked for.
    """
    ranks = max((len(each.hypotheses) for each in found), default=0)
    chosen = [[_Part.of(*each, rank) for each in zip(one.segments, jobs, found, strict=True)] for rank in range(ranks)]
    generations = [_combined(one, parts, codec, options) for parts in chosen]
    if not one.segments:
        nothing = Generation(one.example.source if one.split else "", 0.0, 0.0, "end", ())
        generations = [nothing] * options.num_return_sequences
    return Answer(
        hypotheses=tuple(generations),
        segments=one.segments,
        warnings=tuple(said for parts in chosen for part in parts for said in part.remarks),
        seed=options.seed if options.do_sample else None,
        seconds=sum(each.seconds for each in found),
    )


def _combined(one: Input, chosen: Sequence[_Part], codec: Codec, options: GenerationOptions) -> Generation:
    """The output made of one hypothesis a segment."""
    parts = tuple(part.hypothesis for part in chosen)
    score = sum(part.score for part in parts)
    length = sum(part.length for part in parts)
    normalised = parts[0].normalised if len(parts) == 1 else score / max(1, length) ** options.length_penalty
    text = _text(one, parts, codec)
    looked = [
        Looked(part.source, part.segment.start, part.hypothesis.ids, part.hypothesis.attention_TS)
        for part in chosen
        if options.alignment and part.hypothesis.attention_TS is not None
    ]
    return Generation(
        text=text,
        score=score,
        normalised=normalised,
        stop=next((part.stop for part in chosen if part.stop != "end"), "end"),
        parts=parts,
        repairs=tuple(part.repair for part in chosen),
        alternatives=tuple(part.runners for part in chosen if part.runners),
        alignment=aligned(one.example.source, text, looked, codec) if looked else (),
    )


def _text(one: Input, parts: Sequence[Hypothesis], codec: Codec) -> str:
    outputs = [codec.text(part.ids) for part in parts]
    if one.split:
        return joined(one.example.source, one.segments, outputs, one.example.target_language)
    return outputs[0]


def explained(stop: StopReason | Fault) -> str:
    """What a stop reason other than `end` means to the user."""
    if stop in SAID:
        return f"the output {SAID[stop]}"
    if stop == "max_length":
        return "the output reached its maximum length before its end; raise `max_length`, or look for a repetition"
    return "nothing that was allowed could follow; loosen the options"
