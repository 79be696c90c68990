"""Sequence-level distillation: a teacher decodes a text, a student learns what it wrote, and both are compared.

Kim and Rush 2016, Sequence-Level Knowledge Distillation, section 3.2. What the student is, `workflows.student` says.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from isthmus.core.files import write_text
from isthmus.engines.ct2 import folder as ct2
from isthmus.engines.ct2.support import obstacle
from isthmus.engines.forms import Described, described_by, form_of, open_bundle
from isthmus.generate.load import best_of, load
from isthmus.generate.options import GenerationOptions
from isthmus.generate.translator import Translator
from isthmus.model.bundle import Bundle
from isthmus.text.metrics import metric
from isthmus.workflows.judge import answers
from isthmus.workflows.prepare import Questions, corpora, questions
from isthmus.workflows.recipe import Recipe
from isthmus.workflows.run import Fitted, Request, run
from isthmus.workflows.student import METRICS, Lesson, student_recipe
from isthmus.workflows.teach import teach

SCORED, TAUGHT, TABLE = 500, "taught", "distilled.md"


@dataclass(frozen=True, slots=True)
class Distilled:
    """What a distillation left behind.

    Attributes:
        fitted: the student's training.
        table: quality against speed, of the teacher and of the student; empty after an interruption.
    """

    fitted: Fitted
    table: tuple[str, ...] = ()


def distill(lesson: Lesson, *, progress: bool = True) -> Translator:
    """Train a fast student on what a teacher makes of a text; the same call goes on where an earlier one was interrupted.

    Args:
        lesson: what to make the student from; it is left in `best` of the lesson's `out`, and the table in `distilled.md`.
        progress: show what is happening on standard error.

    Raises:
        InputError: the teacher or the text cannot be used.
        KeyboardInterrupt: training was interrupted, after a checkpoint was written.

    Example:
        >>> from pathlib import Path
        >>> distill(Lesson("en-fr", Path("english.txt"), Path("en-fr-fast"), minutes=30))  # doctest: +SKIP
    """
    found = taught_student(lesson, Console(stderr=True) if progress else None)
    if found.fitted.stopped == "interrupted":
        raise KeyboardInterrupt
    return load(found.fitted.bundle)


def taught_student(lesson: Lesson, console: Console | None = None) -> Distilled:
    """Decode, train and compare.

    Args:
        lesson: what to make the student from.
        console: where progress is shown; `None` shows nothing.

    Raises:
        InputError: the teacher or the text cannot be used.
        CheckpointError: `out` holds another student.
    """
    shown = console or Console(quiet=True)
    folder = best_of(lesson.teacher)
    about = described_by(folder)
    options = GenerationOptions.of(
        {"num_beams": lesson.beams, "early_stopping": True, "split_sentences": False, "token_scores": False}
    )
    taught = teach(_fast(folder, about), folder, lesson.texts, lesson.out / TAUGHT, options, shown)
    recipe = student_recipe(lesson, folder, about, taught.pairs)
    fitted = run(Request(recipe, lesson.out, lesson.minutes), lesson.out, console)
    if fitted.stopped == "interrupted":
        return Distilled(fitted)
    asked, said = _asked(lesson, recipe)
    table = (said, "", *_table([("teacher", folder), ("student", fitted.bundle)], asked, lesson.beams))
    write_text(lesson.out / TABLE, "".join(f"{line}\n" for line in table))
    return Distilled(fitted, table)


def _fast(folder: Path, about: Described) -> Translator:
    """The teacher, run by CTranslate2 where that is there and computes the same."""
    able = ct2.installed() and not obstacle(about.config)
    return load(folder, engine="ctranslate2" if able else "auto")


def _asked(lesson: Lesson, recipe: Recipe) -> tuple[Questions, str]:
    """What both are compared on, and a word on it."""
    found = corpora(recipe, lesson.out, lesson.out)
    corpus = found.dev if found.test is None else found.test
    asked = questions(corpus.examples()).first(SCORED)
    own = lesson.test is None and lesson.dev is None
    against = "what the teacher wrote (so the teacher agrees with itself)" if own else "references"
    return asked, f"{len(asked.examples)} sources against {against}; beam {lesson.beams}, one run each"


def _table(models: Sequence[tuple[str, Path]], asked: Questions, beams: int) -> Iterator[str]:
    """Quality against speed, as Markdown."""
    yield "| model | parameters | engine | " + " | ".join(METRICS) + " | sentences/s |"
    yield "|---|---|---|" + "---|" * len(METRICS) + "---|"
    for name, folder in models:
        bundle = open_bundle(folder)
        numbers = sum(parameter.numel() for parameter in bundle.model.parameters())
        yield _row(f"{name} | {numbers:,}", load(folder), asked, beams)
        if form_of(folder) == "torch" and ct2.installed() and not obstacle(bundle.config):
            yield _in_int8(f"{name} | {numbers:,}", bundle, asked, beams)


def _in_int8(name: str, bundle: Bundle, asked: Questions, beams: int) -> str:
    with tempfile.TemporaryDirectory(prefix="isthmus-") as place:
        ct2.save_into(bundle, Path(place), "int8")
        return _row(name, load(place), asked, beams)


def _row(name: str, machine: Translator, asked: Questions, beams: int) -> str:
    options = GenerationOptions(num_beams=beams, early_stopping=True, token_scores=False)
    warm = Questions(asked.examples[:1], asked.references[:1])
    answers(machine, warm, options)
    began = time.perf_counter()
    outputs = answers(machine, asked, options)
    spent = time.perf_counter() - began
    scores = [f"{metric(each).corpus_score(outputs, asked.references):.2f}" for each in METRICS]
    engine = machine.engine_for(options)
    return f"| {name} | {engine} | {' | '.join(scores)} | {len(outputs) / spent:.1f} |"
