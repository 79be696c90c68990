"""An input taken apart: what is generated from, and the ids that the model reads."""

from __future__ import annotations

from dataclasses import dataclass, replace

from isthmus.core.errors import InputError
from isthmus.data.codec import Codec
from isthmus.data.example import Example
from isthmus.generate import segments
from isthmus.generate.jobs import Job
from isthmus.generate.options import GenerationOptions
from isthmus.generate.segments import Segment

Given = str | tuple[str, ...] | Example
"""What one asks with: a text, the texts of several sources, or an example with more than these."""


@dataclass(frozen=True, slots=True)
class Task:
    """What a translator must know of what its model was trained for.

    Attributes:
        unit: `sentence` if the model was trained on single sentences.
        source_language: of the inputs (BCP 47), or empty.
        target_language: of the outputs, or empty.
        positions: the most ids that a source, or start and output together, may have; None if there is no limit.
        context: how many texts before a source it was trained to read.
    """

    unit: str = ""
    source_language: str = ""
    target_language: str = ""
    positions: int | None = None
    context: int = 0


@dataclass(frozen=True, slots=True)
class Input:
    """One input, taken apart.

    Attributes:
        example: the input, with its languages.
        split: whether its sentences are generated from one by one.
        segments: what is generated from.
        context: how many segments before each are read with it.
    """

    example: Example
    split: bool
    segments: tuple[Segment, ...]
    context: int = 0

    def jobs(self, codec: Codec, positions: int | None, number: int) -> list[Job]:
        """What to search for: the ids of each segment.

        Args:
            codec: text to ids.
            positions: the most ids that the model can read; None if there is no limit.
            number: of the input, for errors.

        Raises:
            InputError: there are more ids than the model can read.
        """
        texts = [segment.text for segment in self.segments]
        return [
            self._job(segment, texts[max(0, place - self.context) : place], codec, positions, number)
            for place, segment in enumerate(self.segments)
        ]

    def _job(self, segment: Segment, before: list[str], codec: Codec, positions: int | None, number: int) -> Job:
        """The ids of a segment, with as much of what stands before it as there is room for."""
        example = replace(self.example, sources=(segment.text, *self.example.sources[1:]))
        most = min(codec.config.max_source_length, positions or codec.config.max_source_length)
        ids = codec.source_ids(replace(example, context=(*example.context, *before)))
        while before and len(ids) > most:
            before = before[1:]
            ids = codec.source_ids(replace(example, context=(*example.context, *before)))
        where = f"input {number}: {segment.text[:40]!r}"
        codec.check_source_length(ids, where)
        if positions is not None and len(ids) > positions:
            raise InputError(
                "an input is too long for the model",
                expected=f"at most {positions} pieces with the end",
                got=f"{len(ids)} pieces",
                where=where,
                fix="divide the input into sentences or paragraphs",
            )
        return Job(tuple(ids), tuple(codec.prefix_ids(example)), _other_language(example))


def _other_language(example: Example) -> bool:
    """Whether source and target are known to be in different languages (not only in different varieties of one)."""
    source, target = (tag.split("-")[0].lower() for tag in (example.source_language, example.target_language))
    return bool(source and target) and source != target


def taken_apart(one: Given, task: Task, options: GenerationOptions) -> Input:
    """What to generate from: sentences if they are to be split and the input has no other parts, else all of it.

    Args:
        one: a text, the texts of several sources, or an example with more than these.
        task: what the model was trained for.
        options: whether to split, and how much context to read.

    Raises:
        InputError: more context is asked for than the model was trained with.
    """
    context = task.context if options.context_sentences is None else options.context_sentences
    if context > task.context:
        raise InputError(
            "the model was trained with less context",
            expected=f"at most {task.context}",
            got=str(context),
            where="context_sentences",
            fix=f"set `context_sentences` to {task.context} or less, or train with `codec.context` and a `history`",
        )
    example = one if isinstance(one, Example) else Example((one,) if isinstance(one, str) else one, "")
    example = replace(
        example,
        source_language=example.source_language or task.source_language,
        target_language=example.target_language or task.target_language,
        prefix=example.prefix or options.prefix,
    )
    wanted = task.unit == "sentence" if options.split_sentences == "auto" else options.split_sentences
    one_output = example.prefix or options.required or options.allowed_outputs_ids
    split = wanted and len(example.sources) == 1 and not example.context and not one_output
    text = example.source
    parts = segments.sentences(text, example.source_language) if split else segments.whole(text)
    return Input(example, split, tuple(parts), context if split else 0)


def pair(one: Given, target: str, codec: Codec, task: Task, number: int) -> tuple[list[int], list[int]]:
    """The ids of a source and of a given target, each with its end.

    Args:
        one: a text, the texts of several sources, or an example with more than these.
        target: the target.
        codec: text to ids.
        task: what the model was trained for.
        number: of the input, for errors.

    Raises:
        InputError: there are more ids than the model can read.
    """
    taken = taken_apart(one, task, GenerationOptions(split_sentences=False))
    whole = replace(taken, segments=taken.segments or (Segment("", 0, 0),))
    (job,) = whole.jobs(codec, task.positions, number)
    ids = codec.target_ids(replace(taken.example, target=target))
    if task.positions is not None and len(ids) > task.positions:
        raise InputError(
            "a target is too long for the model",
            expected=f"at most {task.positions} pieces with the end",
            got=f"{len(ids)} pieces",
            where=f"target {number}: {target[:40]!r}",
            fix="divide the pair",
        )
    return list(job.source), ids
