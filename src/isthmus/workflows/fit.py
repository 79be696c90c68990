"""From a recipe to a bundle: doctor, vocabularies, batches, training, the best model, its scores."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from rich.console import Console

from isthmus.core.config import parse
from isthmus.core.errors import CheckpointError, DataError, InputError, TrainingError
from isthmus.core.files import write_json, write_text
from isthmus.core.runtime import Runtime, probe, seeded
from isthmus.data.doctor import Diagnosis, examine
from isthmus.data.pairs import Pairs
from isthmus.evaluate.report import Provenance, Report
from isthmus.generate.load import load
from isthmus.model.build import build
from isthmus.model.bundle import Bundle, weights_hash
from isthmus.train.events import Event, Stopped, Validated
from isthmus.train.interrupt import interruptible
from isthmus.train.job import Job, Place
from isthmus.train.objective import CrossEntropy
from isthmus.train.progress import shown
from isthmus.train.track import build_tracker, tracked
from isthmus.train.trainer import resumed_runtime, train
from isthmus.train.validate import LossValidator, Validator
from isthmus.workflows.budget import VALIDATIONS, steps_for
from isthmus.workflows.card import card
from isthmus.workflows.judge import GenerationValidator, report
from isthmus.workflows.prepare import Corpora, Prepared, codec_of, corpora, prepare, questions
from isthmus.workflows.recipe import Recipe, plain, toml


@dataclass(frozen=True, slots=True)
class Fitted:
    """What a training left behind.

    Attributes:
        bundle: the folder of the best model.
        stopped: why training ended.
        report: scores of the best model on the test set (without one, on the development set); `None` after an interruption.
    """

    bundle: Path
    stopped: Literal["finished", "early-stopping", "interrupted"]
    report: Report | None


@dataclass(frozen=True, slots=True)
class Request:
    """What was asked for, before anything was resolved.

    Attributes:
        recipe: the recipe as given.
        base: the folder that its relative paths start from if nothing else says where.
        minutes: the time for training, or `None` for the recipe's steps.
        resume: whether there must be something to go on from.
        allow_changed: fields that may differ from the run that is there.
    """

    recipe: Recipe
    base: Path
    minutes: float | None = None
    resume: bool = False
    allow_changed: frozenset[str] = frozenset()


def fit(request: Request, out: Path, console: Console | None = None) -> Fitted:
    """Train a model, or go on with the training that `out` holds, and leave the best bundle in `out/best`.

    Args:
        request: what to train.
        out: the folder of the run.
        console: where progress is shown; `None` shows nothing.

    Raises:
        DataError: the corpora cannot be used; what the doctor calls fatal ends here.
        CheckpointError: `out` holds another run.
        ConfigError: parts that do not fit each other.
        TrainingError: the loss stayed non-finite.
    """
    console = console or Console(quiet=True)
    recipe = _claim(request, out)
    found = corpora(recipe, request.base, out)
    if not (out / "checkpoints").is_dir():
        _diagnose(found, out, console)
    codec = codec_of(recipe, found.train, out)
    prepared = prepare(recipe, found, codec, out)
    _tell(prepared, console)
    job = _job(recipe, found, prepared, out, request.allow_changed)
    if request.minutes is not None and not (out / "recipe.toml").is_file():
        recipe = within(recipe, steps_for(job, request.minutes))
        job = replace(job, config=recipe.train)
    write_text(out / "recipe.toml", toml(recipe))
    reason = _train(job, recipe, prepared, out, console)
    if reason == "interrupted":
        return Fitted(out / "best", reason, None)
    return Fitted(out / "best", reason, _report(recipe, found, out, console))


def within(recipe: Recipe, steps: int) -> Recipe:
    """The recipe with a number of steps, and validations and warm-up to match."""
    table = plain(recipe)
    schedule = dict(table["train"]["schedule"])
    schedule["warmup"] = max(1, min(int(schedule["warmup"]), steps // 10))
    every = max(1, -(-steps // VALIDATIONS))
    timed = {**table["train"], "steps": steps, "validate_every": every, "schedule": schedule}
    return parse(Recipe, {**table, "train": timed}, "recipe")


def _claim(request: Request, out: Path) -> Recipe:
    """Note in the folder what is asked for, or find the resolved recipe of the same request there."""
    if out.is_file():
        raise InputError(
            "a run needs a folder", expected="a folder", got="a file", where=str(out), fix="name another --out"
        )
    asked = {"recipe": plain(request.recipe), "minutes": request.minutes}
    note = out / "request.json"
    if not note.is_file():
        if request.resume:
            raise InputError(
                "there is no run to resume", expected=note.name, got="none", where=str(out), fix="leave --resume out"
            )
        write_json(note, asked)
        return request.recipe
    before = json.loads(note.read_text(encoding="utf-8"))
    changed = sorted(name for name in _differing(before, asked, "") if not _allowed(name, request.allow_changed))
    if changed:
        raise CheckpointError(
            "this folder holds a run of another recipe",
            expected="the recipe it was started with",
            got=f"other values of {', '.join(changed)}",
            where=str(out),
            fix=f"name another --out, or permit it: --allow-changed {changed[0]}",
        )
    resolved = out / "recipe.toml"
    if not resolved.is_file() or before != asked:
        return request.recipe
    return _read_resolved(resolved)


def _read_resolved(path: Path) -> Recipe:
    return Recipe.of(tomllib.loads(path.read_text(encoding="utf-8")), str(path))


def _differing(before: Any, now: Any, path: str) -> Iterator[str]:
    """Dotted names of the fields in which two tables differ."""
    if isinstance(before, Mapping) and isinstance(now, Mapping):
        for key in sorted(before.keys() | now.keys()):
            yield from _differing(before.get(key), now.get(key), f"{path}.{key}" if path else str(key))
    elif before != now:
        yield path.removeprefix("recipe.")


def _allowed(name: str, allowed: frozenset[str]) -> bool:
    return any(name == field or name.startswith(f"{field}.") for field in allowed)


def _diagnose(found: Corpora, out: Path, console: Console) -> None:
    """Let the doctor look at every corpus; stop at what would ruin the run."""
    held_out = found.dev.part is not None
    dev, test = None if held_out else found.dev.pairs, None if found.test is None else found.test.pairs
    for number, corpus in enumerate(found.train):
        diagnosis = _examined(corpus.pairs, dev, test, console)
        write_json(out / f"doctor{number or ''}.json", diagnosis.to_json())
        if diagnosis.fatal:
            first = diagnosis.fatal[0]
            raise DataError(
                "the data would ruin the run",
                expected="no fatal finding of the doctor",
                got="; ".join(finding.message for finding in diagnosis.fatal),
                where=str(corpus.pairs),
                fix=first.remedy,
            )


def _examined(train: Pairs, dev: Pairs | None, test: Pairs | None, console: Console) -> Diagnosis:
    diagnosis = examine(train, dev, test)
    for line in diagnosis.report():
        console.print(line, markup=False, highlight=False, soft_wrap=True)
    return diagnosis


def _tell(prepared: Prepared, console: Console) -> None:
    encoded, codec = prepared.encoded, prepared.codec
    sizes = {codec.source.vocabulary.size, codec.target.vocabulary.size}
    lengths = [pieces / max(1, len(encoded)) for pieces in encoded.pieces]
    dropped = ", ".join(f"{name} {count:,}" for name, count in encoded.dropped.items())
    console.print(
        f"{len(encoded):,} training pairs of {lengths[0]:.1f} source and {lengths[1]:.1f} target pieces; "
        f"vocabulary {' and '.join(f'{size:,}' for size in sorted(sizes))}"
        + (f"; left out: {dropped}" if dropped else ""),
        markup=False,
        highlight=False,
        soft_wrap=True,
    )


def _job(recipe: Recipe, found: Corpora, prepared: Prepared, out: Path, allow_changed: frozenset[str]) -> Job:
    codec = prepared.codec
    runtime = resumed_runtime(out) or probe(recipe.train.precision)
    with seeded(recipe.train.seed):
        model = build(recipe.model, codec.source.vocabulary.size, codec.target.vocabulary.size)
    validators: list[Validator] = [LossValidator(prepared.dev, runtime)]
    if recipe.validation.metrics:
        validators.append(_generation_validator(recipe, found, prepared, runtime))
    table = plain(recipe)
    identity = {
        "model": table["model"],
        "data": {"encoded": prepared.encoded.folder.name, "batch": table["data"]["batch"], "seed": recipe.data.seed},
        "codec": codec.fingerprint(),
    }
    objective = CrossEntropy(recipe.train.label_smoothing)
    place = Place(out, identity, allow_changed=allow_changed)
    return Job(model, objective, prepared.train, tuple(validators), recipe.train, runtime, place)


def _generation_validator(recipe: Recipe, found: Corpora, prepared: Prepared, runtime: Runtime) -> GenerationValidator:
    wanted = recipe.validation
    return GenerationValidator(
        recipe.model,
        prepared.codec,
        _info(recipe, prepared),
        questions(found.dev.examples()).first(wanted.sentences),
        wanted.metrics,
        recipe.generation.updated({"num_beams": wanted.beams}),
        wanted.samples,
        runtime,
    )


def _info(recipe: Recipe, prepared: Prepared) -> dict[str, Any]:
    return {
        "unit": recipe.unit,
        "source_language": recipe.data.source_language,
        "target_language": recipe.data.target_language,
        "training_pairs": len(prepared.encoded),
    }


@contextmanager
def _events(job: Job, recipe: Recipe, out: Path, console: Console) -> Iterator[Iterator[Event]]:
    """The events of training, shown and tracked, with the signals of the system as a wish to stop."""
    with interruptible() as interrupted:
        events: Iterator[Event] = shown(train(job, interrupted), console, every=job.config.log_every)
        trackers = [build_tracker(kind, out) for kind in recipe.trackers]
        yield tracked(events, trackers, every=job.config.log_every)


def _train(
    job: Job, recipe: Recipe, prepared: Prepared, out: Path, console: Console
) -> Literal["finished", "early-stopping", "interrupted"]:
    """Train to the end or an interruption, saving a bundle at every best validation."""
    generation = plain(recipe)["generation"]
    with _events(job, recipe, out, console) as events:
        for event in events:
            if isinstance(event, Validated) and event.best:
                info = {**_info(recipe, prepared), "step": event.step, "scores": dict(event.scores)}
                bundle = Bundle(job.model, recipe.model, prepared.codec, generation, info)
                bundle.save(out / "best", card(recipe, job.model, event.scores, info))
            if isinstance(event, Stopped):
                return event.reason
    raise TrainingError("training ended without saying why")


def _report(recipe: Recipe, found: Corpora, out: Path, console: Console) -> Report | None:
    """Score the best bundle on the test set, or without one on the development set."""
    metrics = recipe.metrics or recipe.validation.metrics
    if not metrics:
        return None
    corpus, name = (found.dev, "development") if found.test is None else (found.test, "test")
    machine = load(out / "best")
    asked = questions(corpus.examples())
    options = machine.options.model_dump(exclude_unset=True)
    provenance = Provenance(options, weights_hash(Bundle.load(out / "best").model), str(corpus.pairs))
    scored, outputs = report(machine, asked, metrics, provenance)
    scored.write(out / "report.json")
    write_text(out / f"{name}.output.txt", "".join(f"{output}\n" for output in outputs))
    lines = [f"scores on the {name} set:", *scored.table(), "", "samples:"]
    for example, references, output in list(zip(asked.examples, asked.references, outputs, strict=True))[:5]:
        lines += [f"  source      {example.source}", f"  reference   {references[0]}", f"  hypothesis  {output}"]
    for line in lines:
        console.print(line, markup=False, highlight=False, soft_wrap=True)
    return scored
