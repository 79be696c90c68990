"""Does the fast path learn what the reference path learns? Loss curves and final scores of both, with the same seeds.

    python benchmarks/quality.py                                      # recipes/multi30k-en-de.toml, 3 seeds, all its steps
    python benchmarks/quality.py --steps 300 --every 50 --seeds 1 --change train.schedule.warmup=100     # a short form
    python benchmarks/quality.py --out FOLDER                         # keeps the runs; the same command goes on from there
    python benchmarks/quality.py --trained RUN [RUN ...]              # the fast path of seeds 1, 2, ... is trained already

The fast path is what `isthmus train` does on this machine: the precision that the probe chooses (or `--precision`), the fused loss. The
reference path computes in float32 with products of the highest precision, and its loss is the equation over whole log-probabilities, by
autograd. Both see the same examples in the same order, and choose their best model by its loss (`--trained`: by what that run's recipe
says). Two curves agree if their mean difference is no larger than what the seeds of the reference path differ by; both figures are
printed for every validation, and the final scores on the test set at the end.
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from isthmus.core.memory import keep_for_next_steps
from isthmus.core.runtime import Runtime, probe, seeded
from isthmus.data.batches import Batch
from isthmus.model.build import build
from isthmus.model.bundle import Bundle
from isthmus.model.encoder_decoder import EncoderDecoder
from isthmus.text.metrics import metric
from isthmus.train.events import Validated
from isthmus.train.job import Job, Place
from isthmus.train.objective import Objective, build_objective
from isthmus.train.trainer import resumed_runtime, train
from isthmus.train.validate import LossValidator
from isthmus.workflows.judge import GenerationValidator
from isthmus.workflows.prepare import Corpora, Prepared, codec_of, corpora, prepare, questions
from isthmus.workflows.recipe import Recipe, load_recipe

RECIPE = Path(__file__).parent.parent / "recipes/multi30k-en-de.toml"


@dataclass(frozen=True)
class Reference:
    """Label-smoothed cross-entropy as the equation says it, over whole log-probabilities."""

    smoothing: float

    def __call__(self, model: EncoderDecoder, batch: Batch, progress: float = 0.0) -> tuple[Tensor, Tensor]:  # noqa: ARG002
        log_probs_BTV = model(batch.source, batch.target_in)
        real_BT, target_BT = batch.target.mask_BT, batch.target.ids_BT
        nll_BT = functional.nll_loss(log_probs_BTV.transpose(1, 2), target_BT, reduction="none")
        loss_BT = (1 - self.smoothing) * nll_BT - self.smoothing * log_probs_BTV.mean(dim=-1)
        weight_BT = batch.weight_B[:, None] * real_BT
        return (loss_BT * weight_BT).sum(), weight_BT.sum()


@dataclass(frozen=True)
class Curve:
    """What one run came to: losses of updates, losses of validations by step, and scores on the test set."""

    updates: dict[int, float]
    validations: dict[int, float]
    scores: dict[str, float]


def learned(recipe: Recipe, found: Corpora, prepared: Prepared, fast: bool, precision: str, out: Path) -> Curve:
    """Train one model, or go on with it."""
    smoothing, vocabularies = recipe.train.label_smoothing, prepared.codec
    runtime = Runtime("cpu", "float32", "highest", torch.get_num_threads())
    if fast:
        chosen = probe("bfloat16" if precision == "bfloat16" else "float32" if precision == "float32" else "auto")
        runtime = resumed_runtime(out) or chosen
    objective: Objective = build_objective(recipe.train.objective, smoothing) if fast else Reference(smoothing)
    with seeded(recipe.train.seed):
        model = build(recipe.model, vocabularies.source.vocabulary.size, vocabularies.target.vocabulary.size)
    validators = (LossValidator(prepared.dev, runtime),)
    job = Job(model, objective, prepared.train, validators, recipe.train, runtime, Place(out))
    for event in train(job):
        if isinstance(event, Validated):
            sys.stderr.write(f"{out.name}: step {event.step}, loss {event.scores['loss']:.4f}\n")
            if event.best:
                Bundle(job.model, recipe.model, prepared.codec, {}, {}).save(out / "best")
    return curve(recipe, found, runtime, out)


def taught(recipe: Recipe, found: Corpora, run: Path) -> Curve:
    """The curve of a finished run of `isthmus train`."""
    runtime, theirs = resumed_runtime(run), load_recipe(run / "recipe.toml")
    if runtime is None or trains(theirs) != trains(recipe):
        raise SystemExit(f"{run} is no run of this recipe with train.log_every=1 and seed {recipe.train.seed}")
    result = curve(recipe, found, runtime, run)
    if recipe.train.steps not in result.updates:
        raise SystemExit(f"{run} has not ended")
    return result


def trains(recipe: Recipe) -> dict[str, Any]:
    """What a recipe says of training; the choice of the best model is no part of it."""
    said = recipe.model_dump(include={"model", "tokenizer", "codec", "data", "train"})
    said["train"].pop("select")
    return said


def curve(recipe: Recipe, found: Corpora, runtime: Runtime, out: Path) -> Curve:
    """What the folder of a run tells of it."""
    lines = [json.loads(line) for line in (out / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]
    updates = {line["step"]: line["loss"] for line in lines if line["event"] == "stepped"}
    validations = {line["step"]: line["scores"]["loss"] for line in lines if line["event"] == "validated"}
    return Curve(updates, validations, scores(recipe, found, out / "best", runtime))


def scores(recipe: Recipe, found: Corpora, best: Path, runtime: Runtime) -> dict[str, float]:
    """The scores of the best model on the test set (without one, on the development set), generated as the recipe says."""
    bundle, names = Bundle.load(best), recipe.metrics or recipe.validation.metrics
    asked = questions((found.test or found.dev).examples())
    judge = GenerationValidator(
        recipe.model, bundle.codec, bundle.info, asked, names, recipe.generation.updated({"guards": False}), 0, runtime
    )
    with torch.no_grad():
        result = judge(bundle.model.eval())
    return {metric(name).name: value for name, value in result.scores.items()}


def spread(values: list[float]) -> float:
    """The standard deviation over seeds; with one seed unknown."""
    return statistics.stdev(values) if len(values) > 1 else float("nan")


def tell(fast: list[Curve], reference: list[Curve], every: int) -> None:
    """The table of both."""
    write = sys.stdout.write
    write("| | fast | reference | difference | spread of the reference | |\n|---|---|---|---|---|---|\n")
    for step in range(every, max(reference[0].updates) + 1, every):
        window = range(step - every + 1, step + 1)
        one, other = ([statistics.fmean(c.updates[n] for n in window) for c in curves] for curves in (fast, reference))
        write(row(f"loss of updates {window[0]} to {step}", one, other))
    for step in sorted(reference[0].validations):
        one, other = ([c.validations[step] for c in curves] for curves in (fast, reference))
        write(row(f"validation at {step}: loss", one, other))
    for name in reference[0].scores:
        one, other = ([c.scores[name] for c in curves] for curves in (fast, reference))
        write(row(f"the best model: {name}", one, other))


def row(name: str, fast: list[float], reference: list[float]) -> str:
    """Means of both, their difference, and whether it is within what seeds make."""
    difference, noise = statistics.fmean(fast) - statistics.fmean(reference), spread(reference)
    verdict = "" if math.isnan(noise) else "within" if abs(difference) <= noise else "OUTSIDE"
    means = f"{statistics.fmean(fast):.4f} | {statistics.fmean(reference):.4f}"
    return f"| {name} | {means} | {difference:+.4f} | {noise:.4f} | {verdict} |\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--recipe", type=Path, default=RECIPE)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--steps", type=int)
    parser.add_argument("--every", type=int, help="updates between validations and rows of the table")
    parser.add_argument(
        "--change", action="append", default=[], metavar="KEY=VALUE", help="a field of the recipe, for both paths"
    )
    parser.add_argument("--precision", choices=["auto", "float32", "bfloat16"], default="auto")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--out", type=Path)
    parser.add_argument(
        "--trained",
        type=Path,
        nargs="+",
        default=[],
        metavar="RUN",
        help="runs of `isthmus train` with train.log_every=1",
    )
    arguments = parser.parse_args()
    if arguments.trained and len(arguments.trained) != arguments.seeds:
        parser.error(f"--trained names {len(arguments.trained)} runs, --seeds {arguments.seeds}: one run for each seed")
    keep_for_next_steps()
    torch.set_num_threads(arguments.threads)
    with tempfile.TemporaryDirectory() as temporary:
        out = arguments.out or Path(temporary)
        out.mkdir(parents=True, exist_ok=True)
        curves: dict[bool, list[Curve]] = {True: [], False: []}
        for seed in range(1, arguments.seeds + 1):
            changes = [*arguments.change, f"train.seed={seed}", f"data.seed={seed}", "train.log_every=1"]
            changes += ["train.select.metric=loss", "train.select.direction=lower"]
            changes += [] if arguments.steps is None else [f"train.steps={arguments.steps}"]
            changes += [] if arguments.every is None else [f"train.validate_every={arguments.every}"]
            recipe = load_recipe(arguments.recipe, changes)
            found = corpora(recipe, arguments.recipe.parent, out)
            prepared = prepare(recipe, found, codec_of(recipe, found.train, out), out)
            if arguments.trained:
                curves[True].append(taught(recipe, found, arguments.trained[seed - 1]))
            for fast in (False,) if arguments.trained else (True, False):
                folder = out / f"{'fast' if fast else 'reference'}-{seed}"
                curves[fast].append(learned(recipe, found, prepared, fast, arguments.precision, folder))
        tell(curves[True], curves[False], arguments.every or recipe.train.validate_every)


if __name__ == "__main__":
    main()
