"""`isthmus evaluate`: scores of a model on pairs it has not seen."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from isthmus.cli import generation, models, options

if TYPE_CHECKING:
    from isthmus.data.pairs import Pairs
    from isthmus.evaluate.report import Report

commands = typer.Typer()


@commands.command()
def evaluate(
    model: Annotated[Path, typer.Argument(metavar="MODEL", help="A bundle, or the folder of a training run.")],
    source: options.Source = None,
    target: options.Target = None,
    data: options.Data = None,
    metrics: options.Metrics = "bleu,chrf",
    output: Annotated[
        Path | None, typer.Option(metavar="HYPOTHESES", help="Write the outputs to a file, one a different source.")
    ] = None,
    num_return_sequences: Annotated[
        int | None,
        typer.Option(
            generation.flag("num_return_sequences"),
            metavar="N",
            min=1,
            help="Outputs of each input, for --metrics distinct-1 to distinct-3, self-bleu, entropy-1 to entropy-4.",
        ),
    ] = None,
    as_json: options.Json = False,
    num_beams: generation.NumBeams = None,
    do_sample: generation.DoSample = None,
    max_length: generation.MaxLength = None,
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
    """Score a model on pairs: generate from each different source, and compare with all its targets.

    Every score comes with its 95 % interval and its recipe. The report is also
    left in MODEL, as evaluation-NAME.json.

      isthmus evaluate en-fr --source test.en --target test.fr --metrics bleu,chrf,ter
    """
    given = generation.given(locals())
    pairs = options.needed(options.one_corpus(source, target, data))
    names = options.metric_names(metrics, diversity=True)
    from isthmus.core.files import write_text
    from isthmus.data.pairs import read
    from isthmus.workflows.judge import provenance, report
    from isthmus.workflows.prepare import questions

    asked = questions(read(pairs))
    others = models.others(ensemble, weights, amateur, channel, channel_weight)
    opened = models.opened(model, models.Machine(device, precision, threads, engine), others)
    chosen = generation.resolved(opened.machine, given)
    origin = provenance(chosen, opened.weights, pairs)
    with generation.as_spelled():
        scored, outputs = report(opened.machine, asked, names, origin, chosen)
    if output is not None:
        write_text(output, "".join(f"{options.one_line(text)}\n" for text in outputs))
    _leave(scored, model, pairs)
    lines = [json.dumps(scored.to_json(), ensure_ascii=False)] if as_json else scored.table()
    typer.echo("\n".join(lines))


def _leave(scored: Report, model: Path, pairs: Pairs) -> None:
    """Leave the report beside the model, if it is a folder where one may write, and none in the box."""
    if not model.is_dir():
        return
    path = model / f"evaluation-{pairs.source.name.removesuffix('.gz')}.json"
    try:
        scored.write(path)
    except OSError as error:
        typer.echo(f"warning: the report could not be left in {path}: {error.strerror}", err=True)
