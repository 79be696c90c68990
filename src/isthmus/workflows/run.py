"""From a recipe to a bundle: doctor, vocabularies, batches, training, the best model, its scores."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from torch import Tensor

from isthmus.core.errors import InputError, TrainingError
from isthmus.core.files import write_json, write_text
from isthmus.core.runtime import Runtime, probe, seeded
from isthmus.core.team import Team, joined
from isthmus.data.batch import real_share
from isthmus.data.batches import Batches
from isthmus.data.codec import Codec
from isthmus.data.example import Example
from isthmus.evaluate.report import Report
from isthmus.generate.load import load
from isthmus.model.adaptation import changed, merged
from isthmus.model.build import build
from isthmus.model.bundle import Bundle, weights_hash
from isthmus.model.encoder_decoder import EncoderDecoder
from isthmus.train.events import Event, Stopped, StopReason, Validated
from isthmus.train.interrupt import interruptible
from isthmus.train.job import Job, Place
from isthmus.train.objective import build_objective
from isthmus.train.progress import shown
from isthmus.train.track import build_tracker, tracked
from isthmus.train.trainer import resumed_runtime, train
from isthmus.train.validate import LossValidator, Validator
from isthmus.workflows.alignment import note_alignment
from isthmus.workflows.budget import check_minutes, steps_for, within
from isthmus.workflows.card import card
from isthmus.workflows.claim import RESOLVED, RUNTIME, agreed, claim, has_begun
from isthmus.workflows.diagnose import Visit, visits
from isthmus.workflows.judge import GenerationValidator, provenance, report
from isthmus.workflows.memory import Weighed, fitted, weighed
from isthmus.workflows.prepare import (
    Corpora,
    Prepared,
    Questions,
    codec_of,
    corpora,
    laid_out_again,
    longest_side,
    prepare,
    questions,
)
from isthmus.workflows.recipe import Recipe, plain, toml, with_tokens
from isthmus.workflows.start import Start

LOOKED_AT = 100
"""So many batches are looked at to say how much of them is padding."""


@dataclass(frozen=True, slots=True)
class Answered:
    """What the best model answered, and to what.

    Attributes:
        questions: the sources with their references.
        outputs: the best output for each.
    """

    questions: Questions
    outputs: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Fitted:
    """What a training left behind.

    Attributes:
        bundle: the folder of the best model.
        stopped: why training ended.
        report: scores of the best model on the test set (without one, on the development set); `None` after an interruption.
        signal: the number of the signal that interrupted, or 0.
        answered: what the report scores.
    """

    bundle: Path
    stopped: StopReason
    report: Report | None
    signal: int = 0
    answered: Answered | None = None


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


def run(request: Request, out: Path, console: Console | None = None) -> Fitted:
    """Train a model, or go on with the training that `out` holds, and leave the best bundle in `out/best`.

    Args:
        request: what to train.
        out: the folder of the run.
        console: where progress is shown; `None` shows nothing.

    Raises:
        InputError: the time for training is not positive, a file is missing, or `out` cannot be the folder of the run.
        DataError: the corpora cannot be used; what the doctor calls fatal ends here.
        CheckpointError: `out` holds another run.
        ConfigError: parts that do not fit each other.
        TrainingError: the loss stayed non-finite.
    """
    if request.minutes is not None:
        check_minutes(request.minutes)
    start = None if request.recipe.start is None else Start.of(request.recipe.start, request.base)
    if start is not None:
        recipe = request.recipe.going_on(start.bundle.config, start.bundle.codec.config)
        request = replace(request, recipe=recipe)
    with joined(request.recipe.distributed.shard) as team:
        console = console if console is not None and team.first else Console(quiet=True)
        with team.in_turn():
            recipe, found, prepared = _made_ready(request, out, console, team, start)
        place = Place(out, allow_changed=request.allow_changed)
        job = _job(recipe, found, prepared, place, team, start)
        if not has_begun(out):
            memory = _weighed(job, recipe, prepared)
            console.print(str(memory), markup=False, highlight=False, soft_wrap=True)
            if recipe.data.batch.tokens == "auto":
                recipe = with_tokens(recipe, max(memory.tokens, prepared.encoded_dev.longest))
                prepared = laid_out_again(prepared, recipe)
                job = _job(recipe, found, prepared, place, team, start)
            console.print(_filled(recipe, prepared), markup=False, highlight=False, soft_wrap=True)
        if request.minutes is not None and not (out / RESOLVED).is_file():
            steps = int(team.told(str(steps_for(job, request.minutes))))
            recipe = within(recipe, steps)
            job = replace(job, config=recipe.train)
        if team.first:
            write_text(out / RESOLVED, toml(recipe))
            write_json(out / RUNTIME, job.runtime.choices())
        with interruptible() as interruption:
            sample = tuple(islice(found.dev.examples(), recipe.validation.kept)) if team.first else ()
            events = _events(job, interruption, recipe, out, console)
            reason = _train(job, recipe, prepared, events, sample)
        if reason == "interrupted" or not team.first:
            return Fitted(out / "best", reason, None, interruption.signal)
        note_alignment(out / "best", found.dev, found.train[0])
        scored, answered = _report(recipe, found, out, console)
        return Fitted(out / "best", reason, scored, answered=answered)


def _filled(recipe: Recipe, prepared: Prepared) -> str:
    """How much of the first batches is not padding, in the usual segmentation; of a corpus in shards, of the first lane."""
    batches = Batches(prepared.own[0], prepared.codec, recipe.data.batch, recipe.data.seed)
    first = list(islice(batches.epoch(0), LOOKED_AT))
    return f"batches: {real_share(first):.1%} of their positions are pieces, the rest is padding (in the first {len(first)})"


def _weighed(job: Job, recipe: Recipe, prepared: Prepared) -> Weighed:
    """The memory that training takes, with batches of the size that is asked for or of the largest that fits."""
    longest, tokens = longest_side(recipe, prepared), recipe.data.batch.tokens
    if tokens == "auto":
        pieces = max(map(sum, zip(*(one.pieces for one in prepared.own), strict=True)))
        return fitted(job, longest, int(job.team.told(str(pieces))))
    return weighed(job, tokens, longest)


def _made_ready(
    request: Request, out: Path, console: Console, team: Team, start: Start | None
) -> tuple[Recipe, Corpora, Prepared]:
    """Look at the data, claim the folder, learn vocabularies and encode; what is there already is taken as it is."""
    recipe = agreed(request.recipe, request.minutes, out, request.resume, request.allow_changed)
    found_wrong = () if has_begun(out) or not team.first else _diagnosed(recipe, request.base, console)
    if team.first:
        claim(request.recipe, request.minutes, out)
    for number, visit in enumerate(found_wrong):
        write_json(out / f"doctor{number or ''}.json", visit.diagnosis.to_json())
    found = corpora(recipe, request.base, out)
    codec = codec_of(recipe, found.train, out, None if start is None else start.bundle.codec)
    prepared = prepare(recipe, found, codec, out, team)
    _tell(prepared, console)
    return recipe, found, prepared


def _diagnosed(recipe: Recipe, base: Path, console: Console) -> tuple[Visit, ...]:
    """Let the doctor look at every corpus; stop at what would ruin the run."""
    found = visits(recipe, base)
    for visit in found:
        lines = visit.diagnosis.report(notes=False)
        more = " (isthmus doctor tells more)" if visit.diagnosis.findings else ""
        for line in [*lines[:-1], f"the doctor says: {lines[-1]}{more}"]:
            console.print(line, markup=False, highlight=False, soft_wrap=True)
    for visit in found:
        visit.refuse()
    return found


def _tell(prepared: Prepared, console: Console) -> None:
    codec, own, lanes = prepared.codec, prepared.own, len(prepared.encoded)
    sizes = {codec.source.vocabulary.size, codec.target.vocabulary.size}
    read = sum(len(one) for one in own)
    lengths = [sum(pieces) / max(1, read) for pieces in zip(*(one.pieces for one in own), strict=True)]
    dropped = sum((Counter(one.dropped) for one in own), Counter[str]())
    lines = [
        f"{prepared.pairs:,} training pairs" + ("" if lanes == 1 else f" in {lanes} lanes, {len(own)} of them here,"),
        f"of {lengths[0]:.1f} source and {lengths[1]:.1f} target pieces;",
        f"vocabulary {' and '.join(f'{size:,}' for size in sorted(sizes))}",
    ]
    left_out = "; left out: " + ", ".join(f"{name} {count:,}" for name, count in sorted(dropped.items()))
    console.print(" ".join(lines) + (left_out if dropped else ""), markup=False, highlight=False, soft_wrap=True)


def _job(recipe: Recipe, found: Corpora, prepared: Prepared, place: Place, team: Team, start: Start | None) -> Job:
    codec = prepared.codec
    runtime = _same_runtime(_runtime(recipe, place.folder), team)
    model = _fresh(recipe, codec) if start is None else start.model(recipe.train.seed)
    validators: list[Validator] = [LossValidator(prepared.dev, runtime)]
    if recipe.validation.metrics:
        validators.append(_generation_validator(recipe, found, prepared, runtime))
    table = plain(recipe)
    identity = {
        "model": table["model"],
        "data": {
            "train": prepared.identity,
            "dev": prepared.encoded_dev.folder.name,
            "batch": table["data"]["batch"],
            "seed": recipe.data.seed,
        },
        "codec": codec.fingerprint(),
        **({} if start is None else {"start": start.identity}),
    }
    prior_V = None if recipe.train.smoothing == "uniform" else _unigrams(prepared, team).to(runtime.device)
    objective = build_objective(recipe.train.objective, recipe.train.label_smoothing, prior_V)
    place = replace(place, identity=identity)
    return Job(model, objective, prepared.train, tuple(validators), recipe.train, runtime, place, team)


def _unigrams(prepared: Prepared, team: Team) -> Tensor:
    """The share of each piece in the training targets [V]; of a corpus in shards, in those of the first lane."""
    counts = prepared.own[0].target_counts(prepared.codec.target.vocabulary.size)
    shares_V = torch.tensor(json.loads(team.told(json.dumps((counts / counts.sum()).tolist()))))
    return shares_V.float()


def _fresh(recipe: Recipe, codec: Codec) -> EncoderDecoder:
    with seeded(recipe.train.seed):
        return build(recipe.model, codec.source.vocabulary.size, codec.target.vocabulary.size)


def _runtime(recipe: Recipe, out: Path) -> Runtime:
    """As the run in the folder was computed, but for a precision that the recipe names; without a run, what is fastest here."""
    resumed, precision = resumed_runtime(out) or _noted_runtime(out), recipe.train.precision
    if resumed is None:
        return probe(precision)
    return resumed if precision == "auto" else replace(resumed, precision=precision)


def _noted_runtime(out: Path) -> Runtime | None:
    """What a run chose that was killed before its first checkpoint: measured again, it could choose otherwise; elsewhere, it must."""
    try:
        choices = json.loads((out / RUNTIME).read_text(encoding="utf-8"))
        noted = Runtime.of(choices)
    except (OSError, ValueError, KeyError, TypeError, InputError):
        return None
    return noted if noted.choices() == choices else None


def _same_runtime(runtime: Runtime, team: Team) -> Runtime:
    """What the first process has chosen, on this process's own device."""
    choices = json.loads(team.told(json.dumps(runtime.choices())))
    return replace(Runtime.of(choices), device=runtime.device, gflops=runtime.gflops)


def _generation_validator(recipe: Recipe, found: Corpora, prepared: Prepared, runtime: Runtime) -> GenerationValidator:
    wanted = recipe.validation
    return GenerationValidator(
        recipe.model,
        prepared.codec,
        _info(recipe, prepared),
        questions(found.dev.examples()).first(wanted.sentences),
        wanted.metrics,
        recipe.generation.updated({"num_beams": wanted.beams, "do_sample": False, "guards": False}),
        wanted.samples,
        runtime,
    )


def _info(recipe: Recipe, prepared: Prepared) -> dict[str, Any]:
    return {
        "unit": recipe.unit,
        "source_language": recipe.data.source_language,
        "target_language": recipe.data.target_language,
        "training_pairs": prepared.pairs,
        "targets": prepared.profile.model_dump(mode="json"),
    }


def _events(job: Job, interrupted: Callable[[], bool], recipe: Recipe, out: Path, console: Console) -> Iterator[Event]:
    """The events of training, shown and tracked."""
    events: Iterator[Event] = shown(train(job, interrupted), console, every=job.config.log_every)
    trackers = [build_tracker(kind, out) for kind in recipe.trackers if job.team.first]
    return tracked(events, trackers, every=job.config.log_every)


def _train(
    job: Job, recipe: Recipe, prepared: Prepared, events: Iterator[Event], sample: tuple[Example, ...]
) -> StopReason:
    """Train to the end or an interruption, saving a bundle at every best validation."""
    generation = plain(recipe)["generation"]
    for event in events:
        if isinstance(event, Validated) and event.best and job.team.first:
            info = {**_info(recipe, prepared), "step": event.step, "scores": dict(event.scores)}
            model = merged(job.model, _fresh(recipe, prepared.codec)) if changed(job.model) else job.model
            bundle = Bundle(model, recipe.model, prepared.codec, generation, info, sample)
            bundle.save(job.place.folder / "best", card(recipe, model, event.scores, info))
        if isinstance(event, Stopped):
            return event.reason
    raise TrainingError("training ended without saying why")


def _report(recipe: Recipe, found: Corpora, out: Path, console: Console) -> tuple[Report | None, Answered | None]:
    """Score the best bundle on the test set, or without one on the development set."""
    metrics = recipe.metrics or recipe.validation.metrics
    if not metrics:
        return None, None
    corpus, name = (found.dev, "development") if found.test is None else (found.test, "test")
    machine = load(out / "best")
    asked = questions(corpus.examples())
    origin = provenance(machine.options, weights_hash(Bundle.load(out / "best").model), corpus.pairs)
    scored, outputs = report(machine, asked, metrics, origin)
    scored.write(out / "report.json")
    write_text(out / f"{name}.output.txt", "".join(f"{output}\n" for output in outputs))
    lines = [f"scores on the {name} set:", *scored.table(), "", "samples:"]
    for example, references, output in list(zip(asked.examples, asked.references, outputs, strict=True))[:5]:
        lines += [f"  source      {example.source}", f"  reference   {references[0]}", f"  hypothesis  {output}"]
    for line in lines:
        console.print(line, markup=False, highlight=False, soft_wrap=True)
    return scored, Answered(asked, tuple(outputs))
