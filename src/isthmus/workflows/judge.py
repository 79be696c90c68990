"""Scores of generated text: along the way (a validator for the trainer), and at the end (a report)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from isthmus.core.files import sha256
from isthmus.core.runtime import Runtime
from isthmus.data.codec import Codec
from isthmus.data.pairs import Pairs
from isthmus.evaluate.report import Provenance, Report, evaluate
from isthmus.generate.load import translator
from isthmus.generate.options import GenerationOptions
from isthmus.generate.translator import Translator
from isthmus.model.build import ModelConfig
from isthmus.model.bundle import Bundle
from isthmus.model.encoder_decoder import EncoderDecoder
from isthmus.text.metrics import metric
from isthmus.train.events import Sample
from isthmus.train.validate import ValidationResult
from isthmus.workflows.prepare import Questions


@dataclass(frozen=True, slots=True)
class GenerationValidator:
    """Generates from dev sources and scores the text against their references.

    Attributes:
        config: of the model.
        codec: text to ids and back.
        info: languages, as the bundle has them.
        questions: what to generate from.
        metrics: names of the scores.
        options: how to generate.
        samples: how many examples to show.
        runtime: how to compute.
        name: what it is called in errors.
    """

    config: ModelConfig
    codec: Codec
    info: Mapping[str, Any]
    questions: Questions
    metrics: tuple[str, ...]
    options: GenerationOptions
    samples: int
    runtime: Runtime
    name: str = "generation"

    def __call__(self, model: EncoderDecoder) -> ValidationResult:
        """Score the model as it is."""
        machine = translator(Bundle(model, self.config, self.codec, {}, self.info), self.runtime)
        outputs = answers(machine, self.questions, self.options)
        references = self.questions.references
        scores = {name: metric(name).corpus_score(outputs, references) for name in self.metrics}
        shown = zip(self.questions.examples, references, outputs, strict=True)
        samples = [Sample(example.source, given[0], output) for example, given, output in shown]
        return ValidationResult(scores, tuple(samples[: self.samples]))


def answers(machine: Translator, asked: Questions, options: GenerationOptions | None = None) -> list[str]:
    """The best output for each question."""
    return [best for best, *_ in outputs(machine, asked, options)]


def outputs(machine: Translator, asked: Questions, options: GenerationOptions | None = None) -> list[list[str]]:
    """The outputs for each question, as many as the options ask for, the best first."""
    given = options or GenerationOptions()
    whole = given.updated({"split_sentences": False})
    return [[one.text for one in answer.hypotheses] for answer in machine.answers(asked.examples, whole)]


def provenance(options: GenerationOptions, weights: str, pairs: Pairs) -> Provenance:
    """Where scores come from: how the text was generated, by which weights, from which files, and when.

    Args:
        options: those of the generation.
        weights: the hash of the model's weights.
        pairs: what was generated from and compared with.
    """
    data = ", ".join(f"{file.name} sha256:{sha256(file)[:12]}" for file in pairs.files)
    now = datetime.now(UTC).isoformat(timespec="seconds")
    return Provenance(options.model_dump(exclude_unset=True), weights, data, now)


def report(
    machine: Translator,
    asked: Questions,
    metrics: Sequence[str],
    provenance: Provenance,
    options: GenerationOptions | None = None,
) -> tuple[Report, list[str]]:
    """Generate from every question and score; return the report and the best outputs."""
    several = outputs(machine, asked, options)
    best = [first for first, *_ in several]
    return evaluate(best, asked.references, metrics, provenance, outputs=several), best
