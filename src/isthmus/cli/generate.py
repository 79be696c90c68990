"""`isthmus generate`: text in, text out."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from itertools import tee
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from isthmus.cli import answers, generation, models, options, reading
from isthmus.cli.tasks import Task, tasks
from isthmus.core.errors import InputError

if TYPE_CHECKING:
    from isthmus.data.example import Example
    from isthmus.generate.answer import Answer
    from isthmus.generate.options import GenerationOptions
    from isthmus.generate.translator import Translator

WRITING = "Reading and writing"

commands = typer.Typer()


@commands.command()
def generate(
    model: Annotated[Path, typer.Argument(metavar="MODEL", help="A bundle, or the folder of a training run.")],
    text: Annotated[
        list[str] | None, typer.Argument(metavar="TEXT", help="Inputs; without them, lines of standard input.")
    ] = None,
    source: Annotated[
        Path | None,
        typer.Option(
            "--input", metavar="FILE", help="Read the inputs from a file, one a line; or all files of a folder."
        ),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Write to a file, whole or not at all (default: standard output); of a folder, to a folder: what is there is done.",
        ),
    ] = None,
    num_beams: generation.NumBeams = None,
    do_sample: generation.DoSample = None,
    max_length: generation.MaxLength = None,
    num_return_sequences: generation.NBest = None,
    document: Annotated[
        bool,
        typer.Option(
            "--document",
            help="The whole input is one running text: sentences are split, line breaks kept.",
            rich_help_panel=WRITING,
        ),
    ] = False,
    as_json: Annotated[
        bool,
        typer.Option(
            "--json", help="JSON Lines: one object an input, written as soon as it is there.", rich_help_panel=WRITING
        ),
    ] = False,
    stream: Annotated[
        bool,
        typer.Option(
            "--stream", help="Write each output as it comes, by greedy search or --sample.", rich_help_panel=WRITING
        ),
    ] = False,
    max_length_ratio: generation.MaxLengthRatio = None,
    min_length: generation.MinLength = None,
    min_length_ratio: generation.MinLengthRatio = None,
    length_penalty: generation.LengthPenalty = None,
    early_stopping: generation.EarlyStopping = None,
    num_beam_groups: generation.NumBeamGroups = None,
    diversity_penalty: generation.DiversityPenalty = None,
    coverage_penalty: generation.CoveragePenalty = None,
    batch: generation.Batch = None,
    temperature: generation.Temperature = None,
    top_k: generation.TopK = None,
    top_p: generation.TopP = None,
    min_p: generation.MinP = None,
    typical_p: generation.TypicalP = None,
    epsilon_cutoff: generation.EpsilonCutoff = None,
    eta_cutoff: generation.EtaCutoff = None,
    without_replacement: generation.WithoutReplacement = None,
    seed: generation.Seed = None,
    diversity: generation.Diversity = None,
    mbr: generation.Mbr = None,
    mbr_metric: generation.MbrMetric = None,
    repetition_penalty: generation.RepetitionPenalty = None,
    no_repeat_ngram_size: generation.NoRepeatNgramSize = None,
    encoder_no_repeat_ngram_size: generation.EncoderNoRepeatNgramSize = None,
    force_words: generation.ForceWords = None,
    allowed_outputs: generation.AllowedOutputs = None,
    allowed_file: generation.AllowedFile = None,
    prefix: generation.Prefix = None,
    bad_words: generation.BadWords = None,
    suppress_tokens: generation.SuppressTokens = None,
    begin_suppress_tokens: generation.BeginSuppressTokens = None,
    forced_bos_token_id: generation.ForcedBosTokenId = None,
    forced_eos_token_id: generation.ForcedEosTokenId = None,
    context_sentences: generation.ContextSentences = None,
    guards: generation.Guards = None,
    attention: generation.Attention = None,
    alignment: generation.Alignment = None,
    alternatives: generation.Alternatives = None,
    ensemble: options.Ensemble = None,
    weights: options.Weights = None,
    amateur: options.Amateur = None,
    channel: options.Channel = None,
    channel_weight: options.ChannelWeight = 0.5,
    engine: options.Engine = "auto",
    device: options.Device = "auto",
    precision: options.Precision = "float32",
    threads: options.Threads = None,
) -> None:
    """Generate an output for each line of input: one line in, one line out, always.

    Beam search, unless --sample is given. Nothing is cut: an input that is too
    long is an error, an output that reached its maximum length a warning.

    isthmus generate en-fr "I love this beer."

    isthmus generate en-fr < input.txt > output.txt

    isthmus generate en-fr --input input.txt --n-best 5 --json
    """
    given = generation.given(locals())
    to_do = tasks(text or (), source, output, document)
    others = models.others(ensemble, weights, amateur, channel, channel_weight)
    machine = models.loaded(model, models.Machine(device, precision, threads, engine), others)
    given |= {"split_sentences": True} if document else {}
    given |= {"token_scores": as_json}
    chosen = generation.resolved(machine, given)
    if machine.delegation is not None:
        typer.echo(f"engine: {'torch (a stream)' if stream else machine.engine_for(chosen)}", err=True)
    listed = num_return_sequences is not None
    shape = (
        partial(answers.as_json, machine.codec)
        if as_json
        else _as_list
        if listed
        else _as_document
        if document
        else _as_line
    )
    typed = not text and source is None and not document and sys.stdin.isatty()
    if stream:
        answers.check_stream(given, as_json, channel is not None)
    for task in to_do:
        inputs = _of_several(task, machine.codec.config.sources or 1, document)
        if stream:
            _write(_streamed(machine, inputs, answers.for_stream(chosen), document), task.output)
        else:
            found = _of_typed(machine, inputs, chosen) if typed else _of_all(machine, inputs, chosen)
            _write(_written(found, shape), task.output)


def _of_several(task: Task, sources: int, document: bool) -> Iterable[str | Example]:
    """The inputs, taken apart where the model reads several sources."""
    if sources == 1:
        return task.inputs
    if document:
        raise InputError(
            "a document is one text",
            expected=f"inputs of {sources} sources, one a line",
            got="--document",
            where="the command line",
            fix="leave out --document",
        )
    return reading.examples(task.inputs, sources, task.path)


def _shown(one: str | Example) -> str:
    return one if isinstance(one, str) else "\t".join(one.sources)


def _of_all(
    machine: Translator, inputs: Iterable[str | Example], chosen: GenerationOptions
) -> Iterator[tuple[str, Answer]]:
    """Each input with its answer; many are searched together."""
    asked, kept = tee(inputs)
    with generation.as_spelled():
        yield from zip(map(_shown, kept), machine.each(asked, chosen), strict=False)


def _of_typed(
    machine: Translator, inputs: Iterable[str | Example], chosen: GenerationOptions
) -> Iterator[tuple[str, Answer]]:
    """Each line with its answer, as it is typed."""
    typer.echo("reading from the keyboard: a line an input; Ctrl-D ends", err=True)
    with generation.as_spelled():
        for one in inputs:
            yield _shown(one), machine.answers([one], chosen)[0]


def _streamed(
    machine: Translator, inputs: Iterable[str | Example], chosen: GenerationOptions, document: bool
) -> Iterator[str]:
    """Each output as it comes; what is to be said of it goes to standard error when it is whole."""
    with generation.as_spelled():
        for number, one in enumerate(inputs, 1):
            said: list[str] = []
            yield from answers.as_it_comes(machine.stream(one, chosen), document, said)
            for remark in said:
                typer.echo(f"warning: input {number}: {remark}", err=True)


def _written(found: Iterable[tuple[str, Answer]], shape: Callable[[int, str, Answer], str]) -> Iterator[str]:
    """What to write for each answer; its warnings go to standard error."""
    for number, (one, answer) in enumerate(found, 1):
        if answer.warnings:
            more = f" (and {len(answer.warnings) - 1} more)" if len(answer.warnings) > 1 else ""
            typer.echo(f"warning: input {number}: {answer.warnings[0]}{more}", err=True)
        yield shape(number, one, answer)


def _write(pieces: Iterable[str], output: Path | None) -> None:
    from isthmus.core.files import new_file

    if output is not None:
        with new_file(output) as file:
            file.writelines(piece.encode() for piece in pieces)
        return
    for piece in pieces:
        sys.stdout.write(piece)
        sys.stdout.flush()


def _as_line(number: int, source: str, answer: Answer) -> str:  # noqa: ARG001 - one of several shapes
    return f"{options.one_line(answer.text)}\n"


def _as_document(number: int, source: str, answer: Answer) -> str:  # noqa: ARG001 - one of several shapes
    return answer.text if answer.text.endswith("\n") else f"{answer.text}\n"


def _as_list(number: int, source: str, answer: Answer) -> str:  # noqa: ARG001 - one of several shapes
    return "".join(f"{number}\t{one.score:.4f}\t{options.one_line(one.text)}\n" for one in answer.hypotheses)
