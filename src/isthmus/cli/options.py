"""Options that several commands share, but those of a generation, and what becomes of them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from isthmus.core.errors import InputError

if TYPE_CHECKING:
    from rich.console import Console

    from isthmus.data.pairs import Pairs

DATA, MODELS, MACHINE = "Data", "Several models", "Machine"

Source = Annotated[
    Path | None, typer.Option(metavar="FILE", help="The sources, one a line (plain or .gz).", rich_help_panel=DATA)
]
Target = Annotated[
    Path | None,
    typer.Option(metavar="FILE", help="The targets: line n answers line n of --source.", rich_help_panel=DATA),
]
Data = Annotated[
    Path | None,
    typer.Option(metavar="FILE", help="Or both in one file: source, tab, target; or JSON Lines.", rich_help_panel=DATA),
]
Dev = Annotated[
    str | None,
    typer.Option(
        metavar="PAIRS", help="The development set: one TSV, or two files with a comma.", rich_help_panel=DATA
    ),
]
Test = Annotated[
    str | None,
    typer.Option(metavar="PAIRS", help="The test set: one TSV, or two files with a comma.", rich_help_panel=DATA),
]
Metrics = Annotated[
    str,
    typer.Option(
        metavar="NAMES", help="bleu, chrf, ter, exact, word-error, wer, per, cer, rouge1, rouge2, rougeL; with commas."
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Write one JSON object to standard output, and nothing else.")]

Ensemble = Annotated[
    list[Path] | None,
    typer.Option(
        metavar="MODEL",
        help="Another model of the same vocabulary, whose probabilities count too; may come several times.",
        rich_help_panel=MODELS,
    ),
]
Weights = Annotated[
    str | None,
    typer.Option(
        metavar="NUMBERS",
        help="How much MODEL and each --ensemble count, with commas (default: alike).",
        rich_help_panel=MODELS,
    ),
]
Amateur = Annotated[
    Path | None,
    typer.Option(
        metavar="MODEL",
        help="A weaker model, whose preferences are taken away (contrastive decoding).",
        rich_help_panel=MODELS,
    ),
]
Channel = Annotated[
    Path | None,
    typer.Option(
        metavar="MODEL",
        help="A model of the other direction: the outputs of the beam search are ranked again by it (noisy channel).",
        rich_help_panel=MODELS,
    ),
]
ChannelWeight = Annotated[
    float, typer.Option(metavar="NUMBER", help="How much --channel counts.", rich_help_panel=MODELS)
]

Engine = Annotated[
    Literal["auto", "torch", "ctranslate2", "onnx"],
    typer.Option(
        help="What computes; auto takes the fastest that does exactly what is asked for.", rich_help_panel=MACHINE
    ),
]
Device = Annotated[str, typer.Option(metavar="NAME", help="auto, cpu, cuda, cuda:1, mps.", rich_help_panel=MACHINE)]
Precision = Annotated[
    Literal["float32", "bfloat16", "auto"],
    typer.Option(help="Of the matrix products; auto is the fastest here.", rich_help_panel=MACHINE),
]
Threads = Annotated[
    int | None,
    typer.Option(metavar="N", min=1, help="Processor threads (default: all cores).", rich_help_panel=MACHINE),
]


def messages() -> Console:
    """Where everything but results is shown: standard error."""
    from rich.console import Console

    return Console(stderr=True)


def say(console: Console, *lines: str) -> None:
    """Show lines as they are."""
    for line in lines:
        console.print(line, markup=False, highlight=False, soft_wrap=True)


def one_corpus(
    source: Path | None, target: Path | None, data: Path | None, languages: tuple[str, str] = ("", "")
) -> Pairs | None:
    """The pairs that `--source` and `--target`, or `--data`, name; `None` if none of them is given.

    Raises:
        InputError: they contradict each other, or one of two is missing; or a file is missing or a folder.
    """
    from isthmus.data.pairs import Pairs

    if data is None and source is None and target is None:
        return None
    if (data is None) == (source is None) or (source is None) != (target is None):
        given = (("--source", source), ("--target", target), ("--data", data))
        raise InputError(
            "pairs are named by --source and --target, or by --data",
            expected="--source FILE --target FILE, or --data FILE",
            got=" and ".join(name for name, value in given if value is not None) + " alone",
            where="the command line",
            fix="name both files, or one file with both sides",
        )
    return _found(Pairs(data) if data is not None else Pairs(source or Path(), target), languages)


def _found(pairs: Pairs, languages: tuple[str, str]) -> Pairs:
    """The pairs in their languages, if their files are there."""
    from isthmus.core.files import existing_file

    for file in pairs.files:
        existing_file(file, "the corpus")
    return replace(pairs, source_language=languages[0], target_language=languages[1])


def needed(pairs: Pairs | None) -> Pairs:
    """The pairs, which a command cannot do without.

    Raises:
        InputError: there are none.
    """
    if pairs is None:
        raise InputError(
            "this command needs pairs",
            expected="--source FILE --target FILE, or --data FILE",
            got="neither",
            where="the command line",
            fix="name the files",
        )
    return pairs


def parsed(text: str | None, languages: tuple[str, str] = ("", "")) -> Pairs | None:
    """The pairs of `--dev` or `--test`.

    Raises:
        InputError: a file is missing or a folder.
    """
    from isthmus.data.pairs import Pairs

    return None if text is None else _found(Pairs.parse(text), languages)


def refuse_pairs(recipe: Path, given: Sequence[object]) -> None:
    """Raise an InputError if pairs (or their languages) are given beside a recipe, which names its own."""
    if any(given):
        raise InputError(
            "a recipe names its pairs itself",
            expected="a recipe, or pairs",
            got=f"{recipe} and pairs or languages",
            where="the command line",
            fix="name the files in the recipe, or leave it out",
        )


def refuse_folder(output: Path | None) -> None:
    """Raise an InputError if what is to be written as a file is a folder."""
    if output is not None and output.is_dir():
        raise InputError(
            "the output must be a file", expected="a file", got="a folder", where=str(output), fix="name a file in it"
        )


def one_line(text: str) -> str:
    """A text without line breaks."""
    return re.sub(r"\s*[\r\n]\s*", " ", text)


def numbers(text: str | None, where: str) -> list[float] | None:
    """The numbers between the commas; `None` if none are given.

    Args:
        text: what was typed.
        where: the option.

    Raises:
        InputError: something between the commas is no number.
    """
    if text is None:
        return None
    try:
        return [float(part) for part in text.split(",")]
    except ValueError:
        raise InputError(
            "an option takes numbers",
            expected="numbers with commas",
            got=repr(text),
            where=where,
            fix="for example 1,2",
        ) from None


def metric_names(text: str, diversity: bool = False) -> tuple[str, ...]:
    """The names between the commas.

    Args:
        text: what was typed.
        diversity: whether metrics of diversity are welcome.

    Raises:
        InputError: there is none, or an unknown one.
    """
    from isthmus.evaluate.report import measured, named

    names = [name.strip() for name in text.split(",") if name.strip()]
    return tuple(metric.name for metric in (measured(names) if diversity else named(names)))
