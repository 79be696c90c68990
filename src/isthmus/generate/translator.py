"""The translator: text in, text out; what `isthmus.load` returns."""

from __future__ import annotations

import secrets
import warnings
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import Literal, final

from isthmus.core.errors import InputError
from isthmus.data.codec import Codec
from isthmus.data.example import Example
from isthmus.engines.engine import Engine
from isthmus.generate import segments
from isthmus.generate.answer import Answer, Generation, GenerationWarning, combined
from isthmus.generate.jobs import Found, Job, Target, search_jobs
from isthmus.generate.options import GenerationOptions
from isthmus.generate.segments import Segment
from isthmus.generate.state import Hypothesis, StopReason
from isthmus.text.vocabulary import EOS

WINDOW = 2048
"""How many inputs `each` reads ahead, to search those of similar length together."""


@dataclass(frozen=True, slots=True)
class Task:
    """What a translator must know of what its model was trained for.

    Attributes:
        unit: `sentence` if the model was trained on single sentences.
        source_language: of the inputs (BCP 47), or empty.
        target_language: of the outputs, or empty.
        positions: the most ids that a source, or start and output together, may have; None if there is no limit.
    """

    unit: str = ""
    source_language: str = ""
    target_language: str = ""
    positions: int | None = None


@dataclass(frozen=True, slots=True)
class _Input:
    """One input, taken apart.

    Attributes:
        example: the input, with its languages.
        split: whether its sentences are generated from one by one.
        segments: what is generated from.
    """

    example: Example
    split: bool
    segments: tuple[Segment, ...]


@final
class Translator:
    """Generates text from text with one engine.

    Args:
        engine: runs the model.
        codec: text to ids, and ids to text.
        options: what holds where a call says nothing else.
        task: what the model was trained for.
    """

    def __init__(self, engine: Engine, codec: Codec, options: GenerationOptions, task: Task) -> None:
        self.engine, self.codec, self.options, self.task = engine, codec, options, task

    def generate(
        self,
        texts: str | Sequence[str],
        options: GenerationOptions | None = None,
        *,
        max_length: int | None = None,
        max_new_tokens: int | None = None,
        min_length: int | None = None,
        num_beams: int | None = None,
        num_return_sequences: int | None = None,
        do_sample: bool | None = None,
        temperature: float | None = None,
        top_k: int | None = None,
        top_p: float | None = None,
        min_p: float | None = None,
        length_penalty: float | None = None,
        early_stopping: bool | Literal["never"] | None = None,
        seed: int | None = None,
        batch: int | None = None,
        split_sentences: bool | Literal["auto"] | None = None,
    ) -> list[str]:
        """The output of each text, in order: by beam search with 5 beams, unless the bundle or the call says otherwise.

        None leaves an option as the bundle has it; each is explained at `GenerationOptions`. An output that reached its
        maximum length gives a `GenerationWarning`.

        Args:
            texts: one text or several; an empty text gives an empty output.
            options: options as one value; the keywords below win over it.
            max_length: the most pieces to produce, without start and end; 2 x source + 10 unless said otherwise.
            max_new_tokens: another name of `max_length`.
            min_length: no end before so many pieces.
            num_beams: beams of the search; 1 is greedy.
            num_return_sequences: outputs of each text; they stand one after the other.
            do_sample: draw from the model's probabilities instead of searching.
            temperature: of sampling.
            top_k: sample among the k most probable pieces; 0 is all.
            top_p: sample among the most probable pieces that make up this probability.
            min_p: sample among pieces at least this many times as probable as the best.
            length_penalty: above 0 favours long outputs.
            early_stopping: when a beam search is done.
            seed: of sampling.
            batch: how many sentences to search at a time.
            split_sentences: whether to generate from each sentence by itself.

        Raises:
            InputError: options that contradict each other, or a text that is too long for the model.
        """
        keywords = {
            "max_length": max_length,
            "max_new_tokens": max_new_tokens,
            "min_length": min_length,
            "num_beams": num_beams,
            "num_return_sequences": num_return_sequences,
            "do_sample": do_sample,
            "temperature": temperature,
            "top_k": top_k,
            "top_p": top_p,
            "min_p": min_p,
            "length_penalty": length_penalty,
            "early_stopping": early_stopping,
            "seed": seed,
            "batch": batch,
            "split_sentences": split_sentences,
        }
        given = {name: value for name, value in keywords.items() if value is not None}
        answers = self.answers([texts] if isinstance(texts, str) else texts, self._resolved(options).updated(given))
        said = [f"input {number}: {said}" for number, one in enumerate(answers, 1) for said in one.warnings]
        if said:
            more = f" (and {len(said) - 1} more)" if len(said) > 1 else ""
            warnings.warn(f"{said[0]}{more}", GenerationWarning, stacklevel=2)
        return [hypothesis.text for answer in answers for hypothesis in answer.hypotheses]

    def answers(
        self, inputs: Sequence[str | Example], options: GenerationOptions | None = None, first: int = 1
    ) -> list[Answer]:
        """The answer to each input, in order, with scores, runners-up and warnings.

        Args:
            inputs: texts, or examples with context, several sources or a given beginning (their targets are not read).
            options: laid over the translator's own.
            first: the number of the first input in errors.

        Raises:
            InputError: as `generate`.
        """
        options = self._resolved(options)
        taken = [self._taken_apart(one, options) for one in inputs]
        jobs = [self._job(one, number, segment) for number, one in enumerate(taken, first) for segment in one.segments]
        target = Target(EOS, self.codec.target.vocabulary.control, self.task.positions)
        found = iter(search_jobs(self.engine, jobs, target, options))
        return [self._answer(one, list(islice(found, len(one.segments))), options) for one in taken]

    def each(self, inputs: Iterable[str | Example], options: GenerationOptions | None = None) -> Iterator[Answer]:
        """The answers to any number of inputs, in order, in flat memory: read, answered and given a window at a time."""
        options = self._resolved(options)
        source, first = iter(inputs), 1
        while window := list(islice(source, WINDOW)):
            yield from self.answers(window, options, first)
            first += len(window)

    def _resolved(self, options: GenerationOptions | None) -> GenerationOptions:
        """The translator's options with those of a call on top, and a seed if one is needed."""
        given = {} if options is None else options.model_dump(exclude_unset=True)
        resolved = self.options.updated(given)
        if resolved.do_sample and resolved.seed is None:
            return resolved.updated({"seed": secrets.randbits(31)})
        return resolved

    def _taken_apart(self, one: str | Example, options: GenerationOptions) -> _Input:
        """What to generate from: sentences if they are to be split and the input has no other parts, else all of it."""
        example = Example((one,), "") if isinstance(one, str) else one
        example = replace(
            example,
            source_language=example.source_language or self.task.source_language,
            target_language=example.target_language or self.task.target_language,
        )
        auto = self.task.unit == "sentence"
        wanted = auto if options.split_sentences == "auto" else options.split_sentences
        split = wanted and len(example.sources) == 1 and not example.context and not example.prefix
        text = example.source
        parts = segments.sentences(text, example.source_language) if split else segments.whole(text)
        return _Input(example, split, tuple(parts))

    def _job(self, one: _Input, number: int, segment: Segment) -> Job:
        """The ids of a segment.

        Raises:
            InputError: there are more than the model can read.
        """
        example = replace(one.example, sources=(segment.text, *one.example.sources[1:]))
        ids = self.codec.source_ids(example)
        where = f"input {number}: {segment.text[:40]!r}"
        self.codec.check_source_length(ids, where)
        if self.task.positions is not None and len(ids) > self.task.positions:
            raise InputError(
                "an input is too long for the model",
                expected=f"at most {self.task.positions} pieces with the end",
                got=f"{len(ids)} pieces",
                where=where,
                fix="divide the input into sentences or paragraphs",
            )
        return Job(tuple(ids), tuple(self.codec.prefix_ids(example)))

    def _answer(self, one: _Input, found: Sequence[Found], options: GenerationOptions) -> Answer:
        """Put the outputs of the segments together; of several, the r-th best of each make the r-th best."""
        ranks = max((len(each.hypotheses) for each in found), default=0)
        chosen = [
            tuple(each.hypotheses[min(rank, len(each.hypotheses) - 1)] for each in found) for rank in range(ranks)
        ]
        generations = [combined(self._text(one, parts), parts, options.length_penalty) for parts in chosen]
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

    def _text(self, one: _Input, parts: Sequence[Hypothesis]) -> str:
        outputs = [self.codec.text(part.ids) for part in parts]
        if one.split:
            return segments.joined(one.example.source, one.segments, outputs, one.example.target_language)
        return outputs[0]


def _explained(stop: StopReason) -> str:
    """What a stop reason other than `end` means to the user."""
    if stop == "max_length":
        return "the output reached its maximum length before its end; raise `max_length`, or look for a repetition"
    return "nothing that was allowed could follow; loosen the options"
