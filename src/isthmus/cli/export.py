"""`isthmus export`: a model for another tool."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from isthmus.cli import options
from isthmus.core.errors import InputError
from isthmus.core.files import free_place

if TYPE_CHECKING:
    from isthmus.export.shortlist import Shortlist
    from isthmus.export.source import Source

commands = typer.Typer()

Tool = Literal["huggingface", "ctranslate2", "onnx"]
Quantization = Literal["float32", "float16", "int8"]


@commands.command()
def export(
    model: Annotated[Path, typer.Argument(metavar="MODEL", help="A bundle, or the folder of a training run.")],
    out: Annotated[Path, typer.Argument(metavar="OUT", help="The new folder.")],
    to: Annotated[Tool, typer.Option(help="The tool.")],
    quantization: Annotated[Quantization, typer.Option(help="How the weights are stored.")] = "float32",
    sample: Annotated[
        str | None,
        typer.Option(
            metavar="PAIRS",
            help="Pairs to compare on: one TSV, or two files with a comma (default: the sample in the bundle).",
        ),
    ] = None,
    shortlist: Annotated[
        str | None,
        typer.Option(
            metavar="PAIRS",
            help="For ctranslate2: score only pieces that these training pairs show for a source; faster, and not exact.",
        ),
    ] = None,
    target_language: Annotated[
        str,
        typer.Option(metavar="TAG", help="For huggingface: whose tag sources begin with, if the model reads one."),
    ] = "",
    as_json: options.Json = False,
    threads: options.Threads = None,
) -> None:
    """Write a model for another tool, and show that it computes the same there.

    The folder is there only if the log-probabilities and the outputs of greedy
    and beam search are the same on the sample (without one, on random pieces);
    with smaller weights, only if no more than 0.3 BLEU are lost. What is written
    for ctranslate2 and onnx can be opened by generate, evaluate and compare.

      isthmus export runs/en-fr en-fr-hf --to huggingface

      isthmus export runs/en-fr en-fr-int8 --to ctranslate2 --quantization int8
    """
    import json

    from isthmus.export.needed import needs

    free_place(out)
    if to != "huggingface":
        _refuse(to, {"--target-language": target_language})
    if to != "ctranslate2":
        _refuse(to, {"--quantization": "" if quantization == "float32" else quantization, "--shortlist": shortlist})
    source = _source(model, sample)
    needs(to)
    from isthmus.core.runtime import probe

    runtime = probe("float32", "cpu", threads)
    match to:
        case "huggingface":
            from isthmus.export.huggingface.write import export as to_huggingface

            found = to_huggingface(source, out, runtime, target_language)
        case "ctranslate2":
            from isthmus.export.ctranslate2 import export as to_ctranslate2

            found = to_ctranslate2(source, out, quantization, runtime, _shortlist(source, shortlist))
        case "onnx":
            from isthmus.export.onnx import export as to_onnx

            found = to_onnx(source, out, runtime)
    if as_json:
        typer.echo(json.dumps({"folder": str(out), "to": to, **found.to_json()}, ensure_ascii=False))
        return
    options.say(options.messages(), *found.lines(), f"{_megabytes(out):.1f} MB")
    typer.echo(str(out))


def _refuse(to: Tool, given: dict[str, str | None]) -> None:
    """Raise an InputError if an option is given that says nothing to a tool."""
    for name, value in given.items():
        if value:
            raise InputError(
                "an option is for another tool",
                expected=f"options of --to {to}",
                got=f"{name} {value}",
                where="the command line",
                fix=f"leave out {name}",
            )


def _source(model: Path, sample: str | None) -> Source:
    """The model with the pairs to compare on."""
    pairs = options.parsed(sample)
    from isthmus.data.pairs import read
    from isthmus.export.source import Source
    from isthmus.generate.load import best_of

    return Source.of(best_of(model), () if pairs is None else tuple(read(pairs)))


def _shortlist(source: Source, pairs: str | None) -> Shortlist | None:
    """What pairs show of the pieces that may come, if any are named."""
    named = options.parsed(pairs)
    if named is None:
        return None
    from isthmus.data.pairs import read
    from isthmus.export.shortlist import Shortlist

    return Shortlist.of(read(named), source.bundle.codec)


def _megabytes(folder: Path) -> float:
    return sum(path.stat().st_size for path in folder.iterdir() if path.is_file()) / 1e6
