"""What a teacher makes of a text: pairs to train a student on, written part by part, so that an interruption loses one part."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from rich.console import Console

from isthmus.core.errors import CheckpointError, InputError
from isthmus.core.files import existing_file, new_file, sha256, write_json, write_text
from isthmus.data.example import Example
from isthmus.data.lines import lines
from isthmus.engines.forms import named_by
from isthmus.generate.options import GenerationOptions
from isthmus.generate.translator import Translator

PART = 2048
"""So many texts are decoded, and written, at a time."""
NOTE, PAIRS = "note.json", "pairs.jsonl"


@dataclass(frozen=True, slots=True)
class Taught:
    """What a teacher has written.

    Attributes:
        pairs: the file, JSON Lines.
        count: how many pairs there are.
        left_out: how many texts gave no output that ended.
    """

    pairs: Path
    count: int
    left_out: int


def teach(
    teacher: Translator, folder: Path, texts: Path, out: Path, options: GenerationOptions, console: Console
) -> Taught:
    """Decode every line of a text once, sorted and batched, and leave out what did not end.

    Args:
        teacher: decodes.
        folder: of its bundle; names its weights.
        texts: a text a line, plain or .gz; empty lines and those that came before are skipped.
        out: the folder to write to; parts that are there already are not decoded again.
        options: of the search.
        console: where progress is shown.

    Raises:
        InputError: the text is missing, or has no line.
        CheckpointError: the folder has what another teacher, text or search gave.
    """
    existing_file(texts, "the text")
    asked = {"teacher": named_by(folder), "text": sha256(texts), "options": options.model_dump(mode="json")}
    _claim(out, asked)
    wanted, number, count, left_out = _different(texts), 0, 0, 0
    parts: list[Path] = []
    while sources := list(islice(wanted, PART)):
        part = out / f"part-{number:05d}.jsonl"
        if not part.is_file():
            write_text(part, "".join(_taught(teacher, sources, options)))
        kept = part.read_text(encoding="utf-8").count("\n")
        number, count, left_out = number + 1, count + kept, left_out + len(sources) - kept
        parts.append(part)
        console.print(f"decoded {count + left_out:,} texts; {left_out:,} left out", markup=False, highlight=False)
    if not count:
        raise InputError(
            "a student needs texts that its teacher can decode",
            expected="at least one line with an output that ends",
            got=f"{left_out} lines without",
            where=str(texts),
            fix="name a text of the kind that the teacher was trained on",
        )
    with new_file(out / PAIRS) as file:
        for part in parts:
            file.write(part.read_bytes())
    return Taught(out / PAIRS, count, left_out)


def _claim(out: Path, asked: Mapping[str, Any]) -> None:
    note = out / NOTE
    if note.is_file() and json.loads(note.read_text(encoding="utf-8")) != asked:
        raise CheckpointError(
            "this folder has what another teacher, text or search gave",
            expected="the teacher, the text and the options that it was begun with",
            got="others",
            where=str(out),
            fix="name another --out, or remove that folder",
        )
    out.mkdir(parents=True, exist_ok=True)
    write_json(note, dict(asked))


def _different(texts: Path) -> Iterator[str]:
    """Each text that says something, once.

    Raises:
        DataError: a line is not UTF-8.
    """
    seen: set[str] = set()
    for text, problems in lines(texts):
        for problem in problems:
            if not problem.repaired:
                raise problem.error()
        if text.strip() and text not in seen:
            seen.add(text)
            yield text


def _taught(teacher: Translator, sources: list[str], options: GenerationOptions) -> Iterator[str]:
    """The pairs of some texts as lines of JSON."""
    for source, answer in zip(sources, teacher.answers(sources, options), strict=True):
        best = answer.hypotheses[0]
        if best.stop == "end" and best.text.strip():
            fields = Example((source,), best.text).fields()
            yield json.dumps(fields, ensure_ascii=False) + "\n"
