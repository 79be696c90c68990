"""How answers are written: a line, a list, running text, JSON, or as they come."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from isthmus.cli import options
from isthmus.cli.generation import flag
from isthmus.core.errors import InputError

if TYPE_CHECKING:
    from isthmus.data.codec import Codec
    from isthmus.generate.alternatives import Alternative
    from isthmus.generate.answer import Answer, Generation
    from isthmus.generate.options import GenerationOptions
    from isthmus.generate.state import Hypothesis
    from isthmus.generate.stream import Delta


def as_json(codec: Codec, number: int, source: str, answer: Answer) -> str:
    """All that is known of an answer, as one line of JSON.

    Args:
        codec: how pieces are written.
        number: of the input.
        source: the input.
        answer: the answer to it.
    """
    values: dict[str, Any] = {
        "index": number,
        "input": source,
        "text": answer.text,
        "outputs": [_output(codec, one) for one in answer.hypotheses],
        "segments": [asdict(one) for one in answer.segments],
        "warnings": list(answer.warnings),
        "seed": answer.seed,
        "seconds": round(answer.seconds, 4),
    }
    return json.dumps(values, ensure_ascii=False) + "\n"


def _output(codec: Codec, one: Generation) -> dict[str, Any]:
    """An output with its parts, one a segment; what was not asked for is left out."""
    repairs = one.repairs or (None,) * len(one.parts)
    parts = [_part(codec, part) for part in one.parts]
    for part, repair in zip(parts, repairs, strict=True):
        part.update({} if repair is None else {"repair": asdict(repair)})
    for part, runners in zip(parts, one.alternatives, strict=False):
        part["alternatives"] = [[_alternative(codec, other) for other in place] for place in runners]
    found: dict[str, Any] = {
        "text": one.text,
        "score": round(one.score, 4),
        "normalised": round(one.normalised, 4),
        "stop": one.stop,
        "parts": parts,
    }
    alignment = [{**asdict(pair), "weight": round(pair.weight, 4)} for pair in one.alignment]
    return found | ({"alignment": alignment} if alignment else {})


def _part(codec: Codec, part: Hypothesis) -> dict[str, Any]:
    """What was found for one segment."""
    found: dict[str, Any] = {
        "ids": list(part.ids),
        "pieces": codec.target.pieces(part.ids),
        "token_scores": [round(score, 4) for score in part.token_scores],
        "score": round(part.score, 4),
        "stop": part.stop,
    }
    if part.attention_TS is not None:
        found["attention"] = [[round(share, 4) for share in row] for row in part.attention_TS.tolist()]
    return found | ({"met": list(part.met)} if part.met else {})


def _alternative(codec: Codec, other: Alternative) -> dict[str, Any]:
    return {"id": other.id, "piece": codec.target.pieces([other.id])[0], "score": round(other.score, 4)}


def check_stream(given: Mapping[str, Any], as_json: bool, ranked: bool) -> None:
    """Refuse what does not go with a stream.

    Args:
        given: the options of the generation that were given.
        as_json: whether JSON was asked for.
        ranked: whether outputs shall be ranked by a channel.

    Raises:
        InputError: JSON, several outputs, several beams or a channel are asked for.
    """
    wrong = [flag(name) for name in ("num_beams", "num_return_sequences") if given.get(name, 1) != 1]
    wrong += [*(["--json"] if as_json else []), *(["--channel"] if ranked else [])]
    if wrong:
        raise InputError(
            "a stream is one output in plain text, by greedy search or sampling",
            expected="--stream alone, or with --sample",
            got=f"--stream and {wrong[0]}",
            where="the command line",
            fix="leave one of them out",
        )


def for_stream(chosen: GenerationOptions) -> GenerationOptions:
    """The options with one beam and one output, whatever the bundle says."""
    return chosen.updated({"num_return_sequences": 1, **({} if chosen.do_sample else {"num_beams": 1})})


def as_it_comes(deltas: Iterable[Delta], document: bool, said: list[str]) -> Iterator[str]:
    """The texts of a stream, and the end of the line.

    Args:
        deltas: the stream.
        document: whether line breaks stay; else each with the space around it becomes one space, as in a line.
        said: gets what the user should know of the output.
    """
    from isthmus.generate.answer import explained

    held = ""
    for delta in deltas:
        text = held + delta.text
        new = text.rstrip()
        held = text[len(new) :]
        yield new if document else options.one_line(new)
        if delta.stop not in (None, "end"):
            said.append(explained(delta.stop))
    if document:
        yield held if held.endswith("\n") else f"{held}\n"
    else:
        yield f"{options.one_line(held)}\n"
