"""Sequence-level distillation: a small student learns what a teacher's beam search writes, not what people wrote.

Kim and Rush 2016, Sequence-Level Knowledge Distillation, section 3.2. The student has many encoder layers, which read a
source at once, and one decoder layer, which writes piece by piece (Kasai et al. 2021, Deep Encoder, Shallow Decoder).
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console

from isthmus.core.errors import InputError
from isthmus.core.files import write_text
from isthmus.data.pairs import Pairs
from isthmus.engines.ct2 import folder as ct2
from isthmus.engines.ct2.support import obstacle
from isthmus.engines.forms import Described, described_by, open_bundle
from isthmus.generate.load import best_of, load
from isthmus.generate.options import GenerationOptions
from isthmus.generate.translator import Translator
from isthmus.model.bundle import Bundle
from isthmus.model.decoders.transformer import TransformerDecoderConfig
from isthmus.model.encoders.transformer import TransformerEncoderConfig
from isthmus.model.presets import preset_table
from isthmus.text.metrics import metric
from isthmus.workflows.judge import answers
from isthmus.workflows.prepare import Questions, corpora, questions
from isthmus.workflows.recipe import Recipe, with_changes
from isthmus.workflows.run import Fitted, Request, run
from isthmus.workflows.teach import teach

LAYERS, MINUTES = 6, 30.0
SCORED, TAUGHT, TABLE = 500, "taught", "distilled.md"
METRICS = ("bleu", "chrf")


@dataclass(frozen=True, slots=True)
class Lesson:
    """What a student is made from.

    Attributes:
        teacher: the folder of a bundle, or of a training run, or the name of a model in the box.
        texts: what the teacher decodes, a text a line.
        out: the folder of the student's run; the student is left in `out/best`.
        minutes: the time for training the student; `None` is the steps of the recipe.
        beams: of the teacher's search.
        dev: pairs that choose the best student; by default some that the teacher wrote are held out.
        test: pairs that the table is about; by default `dev`.
        changes: `key.path=value` of the student's recipe.
    """

    teacher: str | Path
    texts: Path
    out: Path
    minutes: float | None = None
    beams: int = 5
    dev: Pairs | None = None
    test: Pairs | None = None
    changes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Distilled:
    """What a distillation left behind.

    Attributes:
        fitted: the student's training.
        table: quality against speed, of the teacher and of the student; empty after an interruption.
    """

    fitted: Fitted
    table: tuple[str, ...] = ()


def distill(
    teacher: str | Path,
    texts: str | Path,
    *,
    out: str | Path,
    minutes: float | None = MINUTES,
    dev: Pairs | None = None,
    test: Pairs | None = None,
    changes: Sequence[str] = (),
    progress: bool = True,
) -> Translator:
    """Train a fast student on what a teacher makes of a text; the same call goes on where an earlier one was interrupted.

    Args:
        teacher: a bundle, a training run, or a model in the box.
        texts: a file with a text a line, of the kind that the student is for.
        out: the folder of the student's run; it is left in `out/best`, and the table in `out/distilled.md`.
        minutes: the time for training the student.
        dev: pairs that choose the best student.
        test: pairs that the table is about.
        changes: `key.path=value` of the student's recipe.
        progress: show what is happening on standard error.

    Raises:
        InputError: the teacher or the text cannot be used.
        KeyboardInterrupt: training was interrupted, after a checkpoint was written.

    Example:
        >>> isthmus.distill("en-fr", "english.txt", out="en-fr-fast")  # doctest: +SKIP
    """
    lesson = Lesson(teacher, Path(texts), Path(out), minutes, 5, dev, test, tuple(changes))
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
    recipe = _recipe(lesson, about, taught.pairs)
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


def _recipe(lesson: Lesson, about: Described, pairs: Path) -> Recipe:
    """The student's recipe: the teacher's tokenizers (learned anew) and codec, and a deep encoder before a shallow decoder.

    Raises:
        InputError: the teacher's tokenizer is not one that can be learned.
    """
    codec, table = about.codec, _model(about)
    d_model = int(table["d_model"])
    data: dict[str, Any] = {
        "root": "/",
        "train": [{"source": str(pairs.resolve())}],
        "source_language": str(about.info.get("source_language", "")),
        "target_language": str(about.info.get("target_language", "")),
    }
    for name, one in (("dev", lesson.dev), ("test", lesson.test)):
        if one is not None:
            target = {} if one.target is None else {"target": str(one.target.resolve())}
            data[name] = {"source": str(one.source.resolve()), **target}
    values: dict[str, Any] = {
        "about": f"A student of {lesson.teacher}: what its beam search makes of {lesson.texts.name} (Kim and Rush 2016).",
        "unit": str(about.info.get("unit", "")),
        "data": data,
        "tokenizer": {"joint": codec.joint, "source": _plain(codec.source), "target": _plain(codec.target)},
        "codec": codec.config.model_dump(mode="json", exclude={"frame"}),
        "model": table,
        "train": {
            "steps": 10_000,
            "optimiser": {"kind": "adam", "learning_rate": 0.04 * d_model**-0.5},
            "schedule": {"kind": "linear", "warmup": 500},
            "average": {"kind": "ema", "decay": 0.998},
        },
        "validation": {"metrics": list(METRICS), "sentences": 300},
    }
    return Recipe.of(with_changes(values, lesson.changes), "the student's recipe")


def _plain(tokenizer: Any) -> dict[str, Any]:
    config: dict[str, Any] = tokenizer.config.model_dump(mode="json")
    if config.get("kind") not in ("sentencepiece", "characters", "symbols"):
        raise InputError(
            "a student learns its own tokenizer, of the teacher's kind",
            expected="sentencepiece, characters or symbols",
            got=str(config.get("kind")),
            where="the teacher's tokenizer",
            fix="train a student with a recipe of its own on what the teacher wrote, in the folder `taught`",
        )
    return config


def _model(about: Described) -> dict[str, Any]:
    """The teacher's sizes where it is a Transformer, with many encoder layers and one decoder layer."""
    values: dict[str, Any] = about.config.model_dump(mode="json")
    if not isinstance(about.config.encoder, TransformerEncoderConfig) or not isinstance(
        about.config.decoder, TransformerDecoderConfig
    ):
        return preset_table("deep-shallow")
    values["encoder"]["layers"] = max(LAYERS, about.config.encoder.layers)
    values["decoder"]["layers"] = 1
    return values


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
        if ct2.installed() and not obstacle(bundle.config):
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
