"""`isthmus compare`: is one model better than another, or is it chance?"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from isthmus.cli import models, options

commands = typer.Typer()


@commands.command()
def compare(
    model_a: Annotated[Path, typer.Argument(metavar="MODEL_A", help="A bundle, or the folder of a training run.")],
    model_b: Annotated[Path, typer.Argument(metavar="MODEL_B", help="Another one.")],
    source: options.Source = None,
    target: options.Target = None,
    data: options.Data = None,
    metrics: options.Metrics = "bleu,chrf",
    as_json: options.Json = False,
    engine: options.Engine = "auto",
    device: options.Device = "auto",
    precision: options.Precision = "float32",
    threads: options.Threads = None,
) -> None:
    """Compare two models on the same pairs by paired bootstrap, and show the sentences that differ most.

    The first of the metrics ranks the sentences.

    isthmus compare runs/small runs/large --data test.tsv
    """
    pairs = options.needed(options.one_corpus(source, target, data))
    names = options.metric_names(metrics)
    from isthmus import evaluate
    from isthmus.data.pairs import read
    from isthmus.workflows.judge import answers
    from isthmus.workflows.prepare import questions

    asked = questions(read(pairs))
    outputs, models_json = [], []
    for path in (model_a, model_b):
        opened = models.opened(path, models.Machine(device, precision, threads, engine))
        outputs.append(answers(opened.machine, asked))
        decoding = opened.machine.options.model_dump(exclude_unset=True)
        models_json.append({"path": str(path), "model": opened.weights, "decoding": decoding})
    sources = [example.source for example in asked.examples]
    found = evaluate.compare(outputs[0], outputs[1], asked.references, names, sources)
    if as_json:
        typer.echo(json.dumps({**found.to_json(), "models": models_json, "data": str(pairs)}, ensure_ascii=False))
        return
    heads = [f"{letter}: {one['path']} ({one['model']})" for letter, one in zip("AB", models_json, strict=True)]
    typer.echo("\n".join([*heads, "", *found.table()]))
