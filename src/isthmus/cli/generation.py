"""Options of a generation on the command line: what they are called, and what becomes of them.

The parameter of a command has the name that the option has in `GenerationOptions`; the flag may be shorter. What stands in
no panel is what a newcomer needs.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

import typer

from isthmus.core.errors import InputError

if TYPE_CHECKING:
    from isthmus.generate.options import GenerationOptions
    from isthmus.generate.translator import Translator

LENGTH, SEARCH, SAMPLING, WORDING = "Length", "Search", "Sampling (with --sample)", "Wording"
ANSWER = "What else to say (with --json)"

FLAGS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "num_beams": "--beam",
        "num_beam_groups": "--beam-groups",
        "num_return_sequences": "--n-best",
        "do_sample": "--sample",
        "no_repeat_ngram_size": "--no-repeat-ngram",
        "encoder_no_repeat_ngram_size": "--no-source-ngram",
        "bad_words": "--bad-word",
        "force_words": "--force-word",
        "allowed_outputs": "--allowed-output",
        "suppress_tokens": "--suppress-token",
        "begin_suppress_tokens": "--begin-suppress-token",
        "context_sentences": "--context",
        "guards": "--no-guards",
    }
)
"""Flags that are not spelled as their options are."""

_TRUTH: Final[Mapping[str, bool]] = MappingProxyType({"true": True, "false": False})


def flag(name: str) -> str:
    """How the command line spells an option."""
    return FLAGS.get(name, "--" + name.replace("_", "-"))


def _option(name: str, metavar: str | None, help: str, panel: str | None = None, least: int | None = None) -> Any:
    return typer.Option(flag(name), metavar=metavar, help=help, min=least, rich_help_panel=panel)


NumBeams = Annotated[int | None, _option("num_beams", "N", "Beams of the search (default: 5); 1 is greedy.", least=1)]
DoSample = Annotated[
    bool | None, _option("do_sample", None, "Draw from the model's probabilities instead of searching.")
]
MaxLength = Annotated[
    int | None, _option("max_length", "N", "The most pieces of an output (default: 2 x source + 10).", least=1)
]
NBest = Annotated[
    int | None,
    _option(
        "num_return_sequences", "N", "N outputs of each input, as lines of: its number, tab, score, tab, text.", None, 1
    ),
]

MaxLengthRatio = Annotated[
    float | None, _option("max_length_ratio", "R", "At most so many pieces for each piece of the input.", LENGTH)
]
MinLength = Annotated[int | None, _option("min_length", "N", "The fewest pieces of an output.", LENGTH, 0)]
MinLengthRatio = Annotated[
    float | None, _option("min_length_ratio", "R", "At least so many pieces for each piece of the input.", LENGTH)
]

LengthPenalty = Annotated[
    float | None,
    _option("length_penalty", "A", "Compare by score / length ** A: above 0 favours long ones (default: 1).", SEARCH),
]
EarlyStopping = Annotated[
    Literal["true", "false", "never"] | None,
    _option(
        "early_stopping",
        None,
        "Done when as many outputs as beams ended (true), no live beam looks better (false, the default), or none can "
        "become better (never).",
        SEARCH,
    ),
]
NumBeamGroups = Annotated[
    int | None,
    _option("num_beam_groups", "N", "Groups of beams that keep away from each other (default: 1).", SEARCH, 1),
]
DiversityPenalty = Annotated[
    float | None,
    _option("diversity_penalty", "X", "What a piece costs that an earlier group chooses at that place.", SEARCH),
]
CoveragePenalty = Annotated[
    float | None,
    _option("coverage_penalty", "X", "Favour outputs that have read all of the input (default: 0).", SEARCH),
]
Batch = Annotated[int | None, _option("batch", "N", "Sentences to search at a time (default: 64).", SEARCH, 1)]

Temperature = Annotated[
    float | None, _option("temperature", "T", "Under 1 more cautious, above 1 more surprising (default: 1).", SAMPLING)
]
TopK = Annotated[
    int | None, _option("top_k", "K", "Among the K most probable pieces; 0 is all (default: 50).", SAMPLING, 0)
]
TopP = Annotated[
    float | None, _option("top_p", "P", "Among the pieces that make up this probability (default: 1).", SAMPLING)
]
MinP = Annotated[
    float | None, _option("min_p", "P", "Among pieces at least P times as probable as the best (default: 0).", SAMPLING)
]
TypicalP = Annotated[
    float | None,
    _option("typical_p", "P", "Among those about as surprising as expected that make up P (default: 1).", SAMPLING),
]
EpsilonCutoff = Annotated[
    float | None, _option("epsilon_cutoff", "P", "Among pieces of at least this probability (default: 0).", SAMPLING)
]
EtaCutoff = Annotated[
    float | None,
    _option("eta_cutoff", "P", "Likewise, with less asked where many pieces are probable (default: 0).", SAMPLING),
]
WithoutReplacement = Annotated[
    bool | None, _option("without_replacement", None, "No two outputs of an input are the same.", SAMPLING)
]
Seed = Annotated[
    int | None,
    _option("seed", "N", "The same seed gives the same output (default: another each time).", SAMPLING, 0),
]

Diversity = Annotated[
    float | None,
    _option(
        "diversity", "D", "A dial from 0 (beam search) to 1 (the model's own distribution), for those above.", SAMPLING
    ),
]
Mbr = Annotated[int | None, _option("mbr", "N", "Draw N outputs and give the one most like all of them.", SAMPLING, 2)]
MbrMetric = Annotated[
    str | None, _option("mbr_metric", "NAME", "How alike, as for evaluate's --metrics (default: chrf).", SAMPLING)
]

RepetitionPenalty = Annotated[
    float | None,
    _option("repetition_penalty", "X", "Above 1, what was produced becomes less likely (default: 1).", WORDING),
]
NoRepeatNgramSize = Annotated[
    int | None, _option("no_repeat_ngram_size", "N", "No N pieces in a row twice; 0 is off.", WORDING, 0)
]
EncoderNoRepeatNgramSize = Annotated[
    int | None, _option("encoder_no_repeat_ngram_size", "N", "No N pieces in a row of the input; 0 is off.", WORDING, 0)
]
ForceWords = Annotated[
    list[str] | None,
    _option("force_words", "TEXT", "A text that must come, or A|B: one of them must; may come several times.", WORDING),
]
AllowedOutputs = Annotated[
    list[str] | None,
    _option("allowed_outputs", "TEXT", "An output that there may be, and no others; several times.", WORDING),
]
AllowedFile = Annotated[
    Path | None,
    typer.Option(metavar="FILE", help="The only outputs that there may be, one a line.", rich_help_panel=WORDING),
]
Prefix = Annotated[str | None, _option("prefix", "TEXT", "How each output begins.", WORDING)]
BadWords = Annotated[
    list[str] | None, _option("bad_words", "TEXT", "A text that is not to come; may come several times.", WORDING)
]
SuppressTokens = Annotated[
    list[int] | None, _option("suppress_tokens", "ID", "A piece not to come; may come several times.", WORDING)
]
BeginSuppressTokens = Annotated[
    list[int] | None,
    _option("begin_suppress_tokens", "ID", "A piece not to come first; may come several times.", WORDING),
]
ForcedBosTokenId = Annotated[int | None, _option("forced_bos_token_id", "ID", "The piece to begin with.", WORDING, 0)]
ForcedEosTokenId = Annotated[
    int | None,
    _option("forced_eos_token_id", "ID", "The end, also of an output that reaches its maximum length.", WORDING, 0),
]

ContextSentences = Annotated[
    int | None,
    _option(
        "context_sentences",
        "N",
        "Sentences before each that are read with it (default: as many as the model was trained with).",
        SEARCH,
        0,
    ),
]
Guards = Annotated[
    bool | None,
    typer.Option(
        "--guards/--no-guards",
        help="Decode again, in a safer way, what looks wrong; keep the better one and say so (default: --guards).",
        rich_help_panel=SEARCH,
    ),
]
Attention = Annotated[bool | None, _option("attention", None, "Where the decoder looked for each piece.", ANSWER)]
Alignment = Annotated[
    bool | None, _option("alignment", None, "Which word of the input each word comes from, by attention.", ANSWER)
]
Alternatives = Annotated[
    int | None, _option("alternatives", "K", "The K most probable other pieces at each place.", ANSWER, 0)
]


def given(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Those options of a generation that were given.

    Args:
        parameters: those of a command; others than options of a generation are left out.

    Raises:
        InputError: the file of allowed outputs is missing, a folder, or not UTF-8.
    """
    from isthmus.cli import reading
    from isthmus.generate.options import GenerationOptions

    found = {name: parameters[name] for name in GenerationOptions.model_fields if name in parameters}
    if found.get("early_stopping") in _TRUTH:
        found["early_stopping"] = _TRUTH[found["early_stopping"]]
    if found.get("force_words"):
        found["force_words"] = [text.split("|") if "|" in text else text for text in found["force_words"]]
    if parameters.get("allowed_file") is not None:
        lines = list(reading.texts((), parameters["allowed_file"]))
        found["allowed_outputs"] = [*(found.get("allowed_outputs") or ()), *lines]
    return {name: value for name, value in found.items() if value is not None and value != []}


def resolved(machine: Translator, values: Mapping[str, Any]) -> GenerationOptions:
    """The options of a model with those of the command line on top.

    Raises:
        InputError: an option has a bad value or contradicts another, in the words of the command line.
    """
    with as_spelled():
        return machine.options.updated(values, "the command line")


@contextmanager
def as_spelled() -> Iterator[None]:
    """Say errors about options of a generation in the words of the command line."""
    try:
        yield
    except InputError as error:
        raise InputError(
            _spelled(error.rule),
            expected=_spelled(error.expected),
            got=_spelled(error.got),
            where="the command line" if error.where in ("generation options", "max_length") else error.where,
            fix=_spelled(error.fix),
        ) from None


def _spelled(text: str) -> str:
    """Names of options as the command line spells them, where they stand alone in backquotes or before `=`."""
    from isthmus.generate.options import GenerationOptions

    text = text.replace("set `do_sample` to true", "give --sample").replace("do_sample=False", "no --sample")
    names = "|".join(sorted(GenerationOptions.model_fields, key=len, reverse=True))
    return re.sub(rf"`({names})(?:\.\d+)*`|\b({names})(?==)", lambda found: flag(found[1] or found[2]), text)
