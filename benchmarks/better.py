"""Better models in the same time: what does each part of training bring at this size?

    python benchmarks/better.py --out FOLDER                      # Multi30k: 10 minutes each, and as many steps as the baseline made
    python benchmarks/better.py --out FOLDER --parts baseline r-drop --minutes 2
    python benchmarks/better.py --out FOLDER --seeds 1            # no second and third seed for the best

The baseline is `recipes/multi30k-en-de.toml` without its average; every part changes one thing of it. The baseline is trained for the
minutes asked for, and everything else for as many steps as it made. What makes a step dearer or cheaper is trained for the minutes too; for
all else the two are the same, within what a step's time varies (its speed is shown). The baseline and the two parts with the best score
on the *validation* set after equal steps get further seeds, of those that change the training and not only what is kept at its end.
The test set is scored and never chosen by.

Each budget and seed is a study (`isthmus study`) in FOLDER; what has been trained there is not trained again, and a stopped run goes on.
"""

from __future__ import annotations

import argparse
import statistics
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tomli_w
import torch

from isthmus.core.memory import keep_for_next_steps
from isthmus.workflows.study import study

RECIPE = Path(__file__).parent.parent / "recipes/multi30k-en-de.toml"
BASELINE: dict[str, Any] = {"train.average": {"kind": "none"}}
PARTS: dict[str, dict[str, Any]] = {
    "baseline": {},
    "adam": {"train.optimiser": {"kind": "adam", "learning_rate": 4.5e-3}},  # in place of Muon
    "r-drop": {"train.objective": {"kind": "r-drop", "strength": 5.0}},  # Liang et al. 2021
    "subword-regularisation": {"tokenizer.source.sampling": 0.1},  # Kudo 2018; Provilkov et al. 2020 for BPE
    "scheduled-sampling": {"train.objective": {"kind": "scheduled-sampling"}},  # Mihaylova and Martins 2019
    "no-label-smoothing": {"train.label_smoothing": 0.0},  # Szegedy et al. 2016
    "label-smoothing-0.2": {"train.label_smoothing": 0.2},
    "unigram-label-smoothing": {"train.smoothing": "unigram"},  # Pereyra et al. 2017
    "average-of-last-5": {"train.average": {"kind": "last", "count": 5}},  # Vaswani et al. 2017
    "average-of-best-5": {"train.average": {"kind": "best", "count": 5}},
    "moving-average": {"train.average": {"kind": "ema", "decay": 0.999}},  # Polyak and Juditsky 1992
    "stochastic-depth": {  # Huang et al. 2016
        "model.encoder.layer.stochastic_depth": 0.1,
        "model.decoder.layer.stochastic_depth": 0.1,
    },
}
TIMED = ("adam", "r-drop", "scheduled-sampling", "subword-regularisation")  # steps cost other than the baseline's
BEST = 2  # parts that get further seeds


@dataclass(frozen=True)
class Result:
    """One training: the best validation score, the test score, the steps it took and their speed."""

    dev: float
    test: float
    steps: int
    tokens_per_second: float


def trained(
    parts: Sequence[str], seed: int, budget: dict[str, float], arguments: argparse.Namespace
) -> dict[str, Result]:
    """Train some parts with one seed for some `minutes`, or for some `steps`; the results by part."""
    if not parts:
        return {}
    metric = arguments.metric
    shared = {**BASELINE, "train.seed": seed, "data.seed": seed, "validation.metrics": [metric]}
    table = {
        "about": f"Parts of training on the same data, seed {seed}.",
        "recipe": str(arguments.recipe.resolve()),
        "metrics": [metric],
        "variants": [{"name": part, "changes": {**shared, **PARTS[part]}} for part in parts],
        **budget,
    }
    folder = arguments.out / f"{next(iter(budget))}-seed-{seed}"
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "study.toml"
    path.write_text(tomli_w.dumps(table), encoding="utf-8")
    return {
        row.name: Result(
            max(point.scores[metric] for point in row.curve), row.scores[0].value, row.steps, row.tokens_per_second
        )
        for row in study(path, folder).rows
    }


def compared(arguments: argparse.Namespace) -> tuple[dict[str, list[Result]], dict[str, Result]]:
    """After as many steps as the baseline makes in the minutes, a result a seed; and after the minutes, where that is another thing."""
    minutes = {"minutes": arguments.minutes}
    baseline = trained(["baseline"], 1, minutes, arguments)["baseline"]
    steps = {"steps": baseline.steps}
    parts = [part for part in arguments.parts if part != "baseline"]
    first = trained(parts, 1, steps, arguments)
    found = {"baseline": [baseline], **{part: [result] for part, result in first.items()}}
    ranked = sorted((part for part in parts if "train.average" not in PARTS[part]), key=lambda part: -first[part].dev)
    again = ["baseline", *ranked[:BEST]]
    for seed in range(2, arguments.seeds + 1):
        for part, result in trained(again, seed, steps, arguments).items():
            found[part].append(result)
    timed = [part for part in parts if part in TIMED]
    return found, trained(timed, 1, minutes, arguments)


def table(found: dict[str, list[Result]], timed: dict[str, Result], arguments: argparse.Namespace) -> list[str]:
    """Markdown, best validation first."""
    steps = found["baseline"][0].steps
    minutes = f"{arguments.minutes:g} minutes"
    lines = [
        f"{arguments.metric}, means and standard deviations of the seeds:",
        "",
        f"| part | seeds | development, {steps:,} steps | test | target tokens a second | {minutes}: steps | development | test |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for part, results in sorted(found.items(), key=lambda item: -statistics.fmean(one.dev for one in item[1])):
        dev, test = (figure(list(values)) for values in zip(*((r.dev, r.test) for r in results), strict=True))
        speed = statistics.median(result.tokens_per_second for result in results)
        clock = timed.get(part)
        by_clock = f"{clock.steps:,} | {clock.dev:.2f} | {clock.test:.2f}" if clock else "the same | |"
        lines.append(f"| {part} | {len(results)} | {dev} | {test} | {speed:,.0f} | {by_clock} |")
    return [*lines, ""]


def figure(values: list[float]) -> str:
    """The mean, and over several seeds the standard deviation."""
    mean = f"{statistics.fmean(values):.2f}"
    return mean if len(values) == 1 else f"{mean} ± {statistics.stdev(values):.2f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--recipe", type=Path, default=RECIPE)
    parser.add_argument(
        "--parts", nargs="+", choices=list(PARTS), default=list(PARTS), help="the baseline is always there"
    )
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--metric", default="bleu-tokenized")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    arguments = parser.parse_args()
    keep_for_next_steps()
    torch.set_num_threads(arguments.threads)
    lines = table(*compared(arguments), arguments)
    (arguments.out / "better.md").write_text("\n".join(lines), encoding="utf-8")
    sys.stdout.write("\n".join(lines))


if __name__ == "__main__":
    main()
