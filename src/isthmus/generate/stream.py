"""Streaming: an output as it comes, in stretches of text that are never taken back."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import torch

from isthmus.core.errors import InputError
from isthmus.data.codec import Codec
from isthmus.engines.engine import Engine
from isthmus.generate.guards import Guards
from isthmus.generate.inputs import Input
from isthmus.generate.jobs import Job, Target, prepared
from isthmus.generate.options import GenerationOptions
from isthmus.generate.repair import Fault
from isthmus.generate.search import search
from isthmus.generate.segments import gaps, wrapped
from isthmus.generate.state import Hypothesis, StopReason


@dataclass(frozen=True, slots=True)
class Delta:
    """What has come since the one before. The texts of all of them, put together, are the output.

    Attributes:
        text: what is new; it may be empty, for a character may take several pieces.
        ids: the pieces that are new.
        scores: the model's log-probability of each, and at last of the end.
        stop: at the end of a segment: why it ended, or what the guards found wrong with it; else None.
    """

    text: str
    ids: tuple[int, ...] = ()
    scores: tuple[float, ...] = ()
    stop: StopReason | Fault | None = None


@dataclass(frozen=True, slots=True)
class _Moment:
    """An output in the making, and as a hypothesis once it is whole."""

    ids: tuple[int, ...]
    scores: tuple[float, ...]
    whole: Hypothesis | None = None


def streamed(
    engine: Engine, one: Input, jobs: list[Job], target: Target, options: GenerationOptions, guards: Guards
) -> Iterator[Delta]:
    """The output of an input as it comes, segment after segment.

    Text is held back while it could still change: bytes of a character that is not whole, and a segment whose line breaks
    must find their places in it. What has been given cannot be decoded again, so guards only say what they find.

    Args:
        engine: runs the model.
        one: the input.
        jobs: one for each of its segments.
        target: what a search must know of the target side.
        options: how to generate, with one beam.
        guards: look at what came.
    """
    example = one.example
    if not one.segments:
        yield Delta(example.source if one.split else "", stop="end")
        return
    between = gaps(example.source, one.segments, example.target_language) if one.split else ["", ""]
    for segment, job, gap in zip(one.segments, jobs, between, strict=False):
        source = example.source[segment.start : segment.end] if one.split else ""
        before = gap
        for delta in _segment(engine, job, target, options, guards, source):
            yield replace(delta, text=before + delta.text)
            before = ""
    if between[-1]:
        yield Delta(between[-1])


def _segment(
    engine: Engine, job: Job, target: Target, options: GenerationOptions, guards: Guards, source: str
) -> Iterator[Delta]:
    """The output of one segment; `source` has its line breaks, if there are any to keep."""
    said, pieces, scores = "", 0, 0
    held = wrapped("", source) != ""
    for moment in _moments(engine, job, target, options):
        text, stop = "" if held else _settled(guards.codec, moment.ids), None
        if moment.whole is not None:
            text = wrapped(guards.codec.text(moment.ids), source)
            faults = guards.faults(job, moment.whole) if options.guards else ()
            stop = faults[0] if faults else moment.whole.stop
        new = text[len(said) :] if text.startswith(said) else ""
        yield Delta(new, moment.ids[pieces:], moment.scores[scores:], stop)
        said, pieces, scores = said + new, len(moment.ids), len(moment.scores)


def _moments(engine: Engine, job: Job, target: Target, options: GenerationOptions) -> Iterator[_Moment]:
    """The output after each step; the engine's settings hold only while it works."""
    with engine.running(), torch.inference_mode():
        states = search(*prepared(engine, [job], target, options))
        next(states)
    while True:
        with engine.running(), torch.inference_mode():
            state = next(states)
            if not state.live:
                break
            first = state.beams.ids_NKT.shape[2] - int(state.length_N[0])
            ids = tuple(state.beams.ids_NKT[0, 0, first:].tolist())
            moment = _Moment(ids, tuple(state.beams.log_prob_NKT[0, 0, first:].tolist()))
        yield moment
    (whole,) = state.finished[0]
    yield _Moment(whole.ids, whole.token_scores, whole)


def _settled(codec: Codec, ids: tuple[int, ...]) -> str:
    """The text that no further piece can change: without bytes that are not yet a character."""
    return codec.text(ids).rstrip("\N{REPLACEMENT CHARACTER}")


def one_beam(given: GenerationOptions | None, resolved: GenerationOptions) -> GenerationOptions:
    """Options for a stream: sampling or greedy search, one output.

    Args:
        given: those of the call.
        resolved: the same over the bundle's.

    Raises:
        InputError: a search with several beams is asked for, several outputs, or a choice among samples.
    """
    asked = set() if given is None else given.model_fields_set
    if resolved.mbr is not None:
        raise InputError(
            "a stream is one output, and `mbr` chooses among several",
            expected="no `mbr`",
            got=f"mbr = {resolved.mbr}",
            where="generation options",
            fix="leave out `mbr`, or generate without streaming",
        )
    for name, value in (("num_beams", resolved.num_beams), ("num_return_sequences", resolved.num_return_sequences)):
        if name in asked and value != 1 and not (name == "num_beams" and resolved.do_sample):
            raise InputError(
                "a stream is one output, by greedy search or sampling",
                expected=f"{name} = 1",
                got=f"{name} = {value}",
                where="generation options",
                fix=f"leave out `{name}`, or generate without streaming",
            )
    beams = {} if resolved.do_sample else {"num_beams": 1}
    return resolved.updated({"num_return_sequences": 1, **beams})
