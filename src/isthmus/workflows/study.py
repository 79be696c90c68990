"""Several architectures, one budget, the same data: one table, with figures."""

from __future__ import annotations

import json
import statistics
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rich.console import Console

from isthmus.core.errors import InputError
from isthmus.core.files import write_json, write_text
from isthmus.model.bundle import Bundle
from isthmus.workflows.recipe import Recipe, plain
from isthmus.workflows.run import Fitted, Request, run
from isthmus.workflows.study_config import Plan, StudyConfig, Variant, load_study
from isthmus.workflows.study_figures import draw, require_matplotlib
from isthmus.workflows.study_result import Row, buckets, curve, length_table, speeds, table, write_rows

RESULT = "result.json"
_FREE = frozenset({"about", "metrics"})
"""Fields of a recipe that change no training: a run that is there goes on with others."""


@dataclass(frozen=True, slots=True)
class Studied:
    """What a study came to.

    Attributes:
        rows: one a variant that has been trained, in the order of the study.
        folder: where `study.md`, `study.json` and the figures are; the runs are in `runs`.
        signal: the number of the signal that interrupted it, or 0.
    """

    rows: tuple[Row, ...]
    folder: Path
    signal: int = 0


def study(path: str | Path, out: str | Path, *, progress: bool = True) -> Studied:
    """Train every variant of a study, or go on where it was interrupted, and write the table and the figures.

    Variants that have been trained are not trained again; after each one the table is written anew.

    Args:
        path: the study.
        out: the folder of the study.
        progress: show what is happening on standard error.

    Raises:
        InputError: a file is missing, or matplotlib is.
        ConfigError: the study breaks the schema, or a variant cannot be built.
        CheckpointError: `out` holds other runs of these names.
        KeyboardInterrupt: it was interrupted, after a checkpoint was written; the same call goes on from there.

    Example:
        >>> isthmus.study("studies/scan-architectures.toml", "runs/scan-study")  # doctest: +SKIP
    """
    studied = run_study(load_study(Path(path)), Path(out), Console(stderr=True) if progress else None)
    if studied.signal:
        raise KeyboardInterrupt
    return studied


def run_study(plan: Plan, out: Path, console: Console | None = None) -> Studied:
    """The same, which returns after an interruption too.

    Args:
        plan: the study.
        out: its folder.
        console: where progress is shown; `None` shows nothing.

    Raises:
        InputError: a corpus or matplotlib is missing, or `out` cannot be a folder.
        CheckpointError: `out` holds other runs of these names.
    """
    require_matplotlib()
    rows: list[Row] = []
    for number, (variant, recipe) in enumerate(zip(plan.config.variants, plan.recipes, strict=True), 1):
        folder = out / "runs" / variant.name
        if console is not None:
            console.rule(f"{number} of {len(plan.recipes)}: {variant.name}")
        row = _known(folder, plan.config, recipe)
        if row is None:
            fitted = run(Request(recipe, plan.base, plan.config.minutes, allow_changed=_FREE), folder, console)
            if fitted.stopped == "interrupted":
                return Studied(tuple(rows), out, fitted.signal)
            row = _row(variant, fitted, folder, plan.config)
            write_json(folder / RESULT, {"asked": _asked(plan.config, recipe), "row": asdict(row)})
        rows.append(_named(row, variant))
        _write(plan.config, rows, out)
    return Studied(tuple(rows), out)


def _asked(config: StudyConfig, recipe: Recipe) -> dict[str, Any]:
    return {"recipe": plain(recipe), "minutes": config.minutes, "lengths": [config.length_of, *config.lengths]}


def _known(folder: Path, config: StudyConfig, recipe: Recipe) -> Row | None:
    """What an earlier call found for the same variant; `None` if it was not there or something else was asked for."""
    path = folder / RESULT
    if not path.is_file():
        return None
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        asked, row = values["asked"], Row.of(values["row"])
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(
            "a result of a study is damaged", got=f"{error}", where=str(path), fix="remove the file: it is made again"
        ) from None
    return row if asked == _asked(config, recipe) else None


def _named(row: Row, variant: Variant) -> Row:
    """The row in its place of the sweep, which may have been given another one since."""
    return Row.of({**asdict(row), "group": variant.group, "number": variant.number})


def _row(variant: Variant, fitted: Fitted, folder: Path, config: StudyConfig) -> Row:
    report, answered = fitted.report, fitted.answered
    if report is None or answered is None:
        raise InputError("a study needs scores", expected="at least one metric", got="none", where="metrics")
    bundle = Bundle.load(fitted.bundle)
    asked = answered.questions
    of_source = config.length_of == "source"
    texts = [
        one.source if of_source else first for one, (first, *_) in zip(asked.examples, asked.references, strict=True)
    ]
    points = curve(folder)
    return Row(
        name=variant.name,
        group=variant.group,
        number=variant.number,
        parameters=sum(parameter.numel() for parameter in bundle.model.parameters()),
        steps=points[-1].step,
        tokens_per_second=statistics.median(speeds(folder) or [0.0]),
        loss=float(bundle.info["scores"]["loss"]),
        scores=report.scores,
        buckets=buckets(texts, answered.outputs, asked.references, config.metrics, config.lengths),
        curve=points,
    )


def _write(config: StudyConfig, rows: list[Row], out: Path) -> None:
    """The table, the plain values and the figures."""
    write_rows(out / "study.json", config.about, rows)
    figures = draw(rows, config.length_of, config.sweep, out)
    write_text(out / "study.md", "\n".join(_page(config, rows, figures)) + "\n")


def _page(config: StudyConfig, rows: list[Row], figures: dict[str, str]) -> Iterator[str]:
    budget = f"{config.minutes:g} minutes" if config.minutes is not None else f"{config.steps:,} steps"
    yield from ("# A study", "", config.about.strip() or "Several architectures on the same data.", "")
    yield f"{len(rows)} of {len(config.variants)} variants, {budget} each. In brackets: 95 % intervals from the bootstrap."
    yield from (
        "",
        *table(rows),
        "",
        f"{rows[0].scores[0].metric} by the length of the {config.length_of}:",
        "",
        *length_table(rows),
    )
    for name, title in figures.items():
        yield from ("", f"![{title}]({name})")
    yield from (
        "",
        "Recipes of the scores:",
        "",
        *(f"- {score.metric}: `{score.signature}`" for score in rows[0].scores),
    )
