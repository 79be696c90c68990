"""Better models in the same time: what does each part of training bring at this size?

    python benchmarks/better.py --out FOLDER                      # Multi30k: 10 minutes each, then 3,000 steps each
    python benchmarks/better.py --out FOLDER --parts baseline r-drop --minutes 2 --steps 500
    python benchmarks/better.py --out FOLDER --seeds 1            # no second and third seed for the best

Every part changes one thing of the baseline, which is `recipes/multi30k-en-de.toml` with Adam and without its average. Each is
trained once under each budget; then the baseline and the two parts with the best score on the *validation* set are trained with
further seeds. The test set is scored and never chosen by. Each budget and seed is a study (`isthmus study`) in FOLDER; what has been
trained there is not trained again, and a stopped run goes on.
"""

from __future__ import annotations

import argparse
import statistics
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tomli_w
import torch

from isthmus.core.memory import keep_for_next_steps
from isthmus.workflows.study import study

RECIPE = Path(__file__).parent.parent / "recipes/multi30k-en-de.toml"
BASELINE: dict[str, Any] = {
    "train.average": {"kind": "none"},
    "train.optimiser": {"kind": "adam", "learning_rate": 4.5e-3},
}
PARTS: dict[str, dict[str, Any]] = {
    "baseline": {},
    "muon": {"train.optimiser": {"kind": "muon", "learning_rate": 4.5e-3}},  # Jordan et al. 2024; Liu et al. 2025
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
BEST = 2  # parts that get further seeds


@dataclass(frozen=True)
class Result:
    """One training: the best validation score, the test score, and the steps it took."""

    dev: float
    test: float
    steps: int


def trained(
    out: Path, budget: dict[str, float], parts: list[str], seed: int, arguments: argparse.Namespace
) -> dict[str, Result]:
    """Train some parts with one seed under one budget; the results by part."""
    seeded = {"train.seed": seed, "data.seed": seed}
    table = {
        "about": f"Parts of training on the same data, seed {seed}.",
        "recipe": str(arguments.recipe.resolve()),
        **budget,
        "metrics": [arguments.metric],
        "variants": [{"name": part, "changes": {**BASELINE, **PARTS[part], **seeded}} for part in parts],
    }
    (budget_name,) = budget
    folder = out / f"{budget_name}-seed-{seed}"
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "study.toml"
    path.write_text(tomli_w.dumps(table), encoding="utf-8")
    rows = study(path, folder).rows
    return {
        row.name: Result(max(point.scores[arguments.metric] for point in row.curve), row.scores[0].value, row.steps)
        for row in rows
    }


def compared(out: Path, budget: dict[str, float], arguments: argparse.Namespace) -> dict[str, list[Result]]:
    """All parts with the first seed; the baseline and the best with the others."""
    first = trained(out, budget, arguments.parts, 1, arguments)
    found = {part: [result] for part, result in first.items()}
    others = sorted((part for part in first if part != "baseline"), key=lambda part: -first[part].dev)
    again = ["baseline", *others[:BEST]] if "baseline" in first else others[:BEST]
    for seed in range(2, arguments.seeds + 1):
        for part, result in trained(out, budget, again, seed, arguments).items():
            found[part].append(result)
    return found


def table(title: str, found: dict[str, list[Result]], metric: str) -> list[str]:
    """Markdown, best validation first."""
    lines = [
        f"## {title}",
        "",
        f"| part | steps | validation {metric} | test {metric} | seeds |",
        "|---|---|---|---|---|",
    ]
    for part, results in sorted(found.items(), key=lambda item: -statistics.fmean(one.dev for one in item[1])):
        dev, test = (figure(list(values)) for values in zip(*((r.dev, r.test) for r in results), strict=True))
        lines.append(f"| {part} | {results[0].steps:,} | {dev} | {test} | {len(results)} |")
    return [*lines, ""]


def figure(values: list[float]) -> str:
    """The mean, and over several seeds the standard deviation."""
    mean = f"{statistics.fmean(values):.2f}"
    return mean if len(values) == 1 else f"{mean} ± {statistics.stdev(values):.2f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--recipe", type=Path, default=RECIPE)
    parser.add_argument("--parts", nargs="+", choices=list(PARTS), default=list(PARTS))
    parser.add_argument("--minutes", type=float, default=10.0, help="0: no round by the clock")
    parser.add_argument("--steps", type=int, default=3000, help="0: no round by steps")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--metric", default="bleu-tokenized")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    arguments = parser.parse_args()
    keep_for_next_steps()
    torch.set_num_threads(arguments.threads)
    lines = []
    if arguments.minutes:
        found = compared(arguments.out, {"minutes": arguments.minutes}, arguments)
        lines += table(f"{arguments.minutes:g} minutes each", found, arguments.metric)
    if arguments.steps:
        found = compared(arguments.out, {"steps": arguments.steps}, arguments)
        lines += table(f"{arguments.steps:,} steps each", found, arguments.metric)
    (arguments.out / "better.md").write_text("\n".join(lines), encoding="utf-8")
    sys.stdout.write("\n".join(lines))


if __name__ == "__main__":
    main()
