"""`isthmus export`: a model for another tool."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from isthmus.cli import options
from isthmus.core.errors import InputError
from isthmus.core.files import free_place

if TYPE_CHECKING:
    from isthmus.export.shortlist import Shortlist
    from isthmus.export.source import Source

commands = typer.Typer()
SAMPLES = 32
"""So many texts of the bundle's sample are compared on."""

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
    input: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="For huggingface: texts to compare on, one a line (default: the sample in the bundle, or drawn ones).",
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
    and beam search are the same on the sample; with smaller weights, only if no
    more than 0.3 BLEU are lost. What is written for ctranslate2 and onnx can be
    opened by generate, evaluate and compare.

      isthmus export runs/en-fr en-fr-hf --to huggingface

      isthmus export runs/en-fr en-fr-int8 --to ctranslate2 --quantization int8
    """
    import json

    from isthmus.export.needed import needs

    free_place(out)
    theirs = {"--input": input, "--target-language": target_language}
    ours = {"--sample": sample, "--quantization": quantization if quantization != "float32" else None}
    ours |= {"--shortlist": shortlist}
    _refuse(to, ours if to == "huggingface" else theirs)
    if to == "onnx":
        _refuse(to, {"--quantization": ours["--quantization"], "--shortlist": shortlist})
    if to == "huggingface":
        values, lines = _to_huggingface(model, out, input, target_language)
    else:
        source = _source(model, sample)
        needs(to)
        from isthmus.core.runtime import probe
        from isthmus.export import ctranslate2, onnx

        runtime = probe("float32", "cpu", threads)
        found = (
            onnx.export(source, out, runtime)
            if to == "onnx"
            else ctranslate2.export(source, out, quantization, runtime, _shortlist(source, shortlist))
        )
        values, lines = found.to_json(), [*found.lines(), f"{_megabytes(out):.1f} MB"]
    if as_json:
        typer.echo(json.dumps({"folder": str(out), "to": to, **values}, ensure_ascii=False))
        return
    options.say(options.messages(), *lines)
    typer.echo(str(out))


def _refuse(to: Tool, given: dict[str, Any]) -> None:
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


def _to_huggingface(
    model: Path, out: Path, texts: Path | None, target_language: str
) -> tuple[dict[str, Any], list[str]]:
    """Write for Hugging Face; the comparison as plain values and as lines."""
    from isthmus.core.files import existing_file
    from isthmus.export.needed import needs
    from isthmus.export.samples import drawn_texts
    from isthmus.generate.load import best_of
    from isthmus.model.bundle import Bundle

    given = None if texts is None else existing_file(texts, "the texts").read_text(encoding="utf-8").splitlines()
    bundle = Bundle.load(best_of(model))
    needs("huggingface")
    from isthmus.export.huggingface.write import export as write

    own = [example.source for example in bundle.sample[:SAMPLES]]
    parity = write(bundle, out, given or own or drawn_texts(bundle.codec), target_language)
    return parity.to_json(), parity.table()


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
