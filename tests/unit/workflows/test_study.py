"""A study: what it may say, what it trains, what it writes, and what it does not do twice."""

from __future__ import annotations

import json
import re
import signal
import sys
from dataclasses import asdict, replace
from pathlib import Path

import pytest

import isthmus
from isthmus.core.errors import CheckpointError, ConfigError, InputError
from isthmus.evaluate.report import evaluate
from isthmus.workflows import study as module
from isthmus.workflows.run import Fitted, Request, run
from isthmus.workflows.study import RESULT, run_study
from isthmus.workflows.study_config import load_study
from isthmus.workflows.study_figures import draw
from isthmus.workflows.study_result import Row, buckets, length_table, table
from tests.unit.cli.calling import called, tree
from tests.unit.workflows.test_fit import RECIPE

STUDY = """
about = "Which is best?"
recipe = "recipe.toml"
changes = { "train.seed" = 3 }
steps = 4
metrics = ["exact", "chrf"]
lengths = [1, 2]
sweep = "feed-forward size"

[[variants]]
name = "attention"

[[variants]]
name = "fixed"
changes = { "model.connection" = { kind = "fixed-vector" }, "model.encoder.summary" = "mean" }

[[variants]]
name = "wide"
group = "width"
number = 22
changes = { "model.encoder.layer.feed_forward" = 22 }
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv("ISTHMUS_DATA", raising=False)
    pairs = "".join(
        f"{' '.join(str(number)) if number % 2 else number}\t{str(number)[::-1]}\n" for number in range(301)
    )
    (tmp_path / "pairs.tsv").write_text(pairs, encoding="utf-8")
    (tmp_path / "recipe.toml").write_text(RECIPE, encoding="utf-8")
    (tmp_path / "study.toml").write_text(STUDY, encoding="utf-8")
    return tmp_path


def test_every_variant_is_trained_once_and_the_same_call_changes_nothing(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = folder / "out"
    done = called(monkeypatch, "study", folder / "study.toml", "--out", out, "--threads", 1)
    assert done.code == 0, done.err
    assert done.out == (out / "study.md").read_text(encoding="utf-8")
    values = json.loads((out / "study.json").read_text(encoding="utf-8"))
    assert [row["name"] for row in values["rows"]] == ["attention", "fixed", "wide"]
    first, second, third = (Row.of(row) for row in values["rows"])
    assert first.parameters < third.parameters
    assert second.parameters != first.parameters
    for row in (first, second, third):
        assert (row.steps, row.curve[-1].step) == (4, 4)
        assert row.loss == min(
            point.scores["loss"]
            for point in row.curve
            if point.scores["exact"] == max(p.scores["exact"] for p in row.curve)
        )
        assert row.tokens_per_second > 0
        report = json.loads((out / "runs" / row.name / "report.json").read_text(encoding="utf-8"))
        assert [asdict(score) for score in row.scores] == report["scores"]
        assert sum(bucket.sentences for bucket in row.buckets) == report["counts"]["sentences"]
        assert [bucket.label for bucket in row.buckets] == ["≤ 1", "> 2"] or len(row.buckets) == 3
    assert (third.group, third.number) == ("width", 22)
    for name in ("lengths.svg", "curves.svg", "sweep.svg"):
        assert (out / name).read_bytes().startswith(b"<?xml")
        assert f"({name})" in done.out
    for row in (first, second, third):
        assert f"| {row.name} | {row.parameters:,} | 4 |" in done.out
    before = tree(out)
    again = called(monkeypatch, "study", folder / "study.toml", "--out", out, "--threads", 1)
    assert (again.code, again.out) == (0, done.out)
    assert tree(out) == before
    (out / "runs" / "fixed" / RESULT).write_text("{", encoding="utf-8")
    damaged = called(monkeypatch, "study", folder / "study.toml", "--out", out)
    assert damaged.code == 2
    assert "a result of a study is damaged" in damaged.err


def test_metrics_and_lengths_may_change_but_not_the_training(folder: Path) -> None:
    path, out = folder / "study.toml", folder / "out"
    path.write_text(STUDY.split('[[variants]]\nname = "fixed"', maxsplit=1)[0], encoding="utf-8")
    (before,) = isthmus.study(path, out, progress=False).rows
    weights = (out / "runs" / "attention" / "best" / "model.safetensors").read_bytes()
    path.write_text(path.read_text().replace('"chrf"]', '"cer"]').replace("[1, 2]", "[3]"), encoding="utf-8")
    (after,) = isthmus.study(path, out, progress=False).rows
    assert [score.metric for score in after.scores] == ["exact", "cer"]
    assert len(after.buckets) <= 2
    assert after.curve == before.curve
    assert (out / "runs" / "attention" / "best" / "model.safetensors").read_bytes() == weights
    path.write_text(path.read_text().replace('"train.seed" = 3', '"train.seed" = 4'), encoding="utf-8")
    with pytest.raises(CheckpointError, match=r"holds another run[\s\S]*train\.seed"):
        isthmus.study(path, out, progress=False)


def test_an_interrupted_study_goes_on(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def interrupted(request: Request, out: Path, console: object) -> Fitted:
        asked.append(out.name)
        if out.name == "fixed" and asked.count("fixed") == 1:
            return Fitted(out / "best", "interrupted", None, signal.SIGINT)
        return run(request, out)

    monkeypatch.setattr(module, "run", interrupted)
    done = called(monkeypatch, "study", folder / "study.toml", "--out", folder / "out")
    assert (done.code, done.out) == (130, "")
    assert len(json.loads((folder / "out" / "study.json").read_text())["rows"]) == 1
    assert "1 of 3 variants" in (folder / "out" / "study.md").read_text()
    plan = load_study(folder / "study.toml")
    assert len(run_study(plan, folder / "out").rows) == 3
    assert asked == ["attention", "fixed", "fixed", "wide"]
    asked.clear()
    monkeypatch.setattr(module, "run", lambda *_: Fitted(folder, "interrupted", None, signal.SIGTERM))
    with pytest.raises(KeyboardInterrupt):
        isthmus.study(folder / "study.toml", folder / "other", progress=False)


WRONG = {
    "not TOML": ("recipe =", "recipe", "a study must be TOML"),
    "unknown field": ("metrics =", "metrixs =", r"unknown field `metrixs`[\s\S]*`metrics`"),
    "unknown field of a variant": ("number =", "nummer =", r"unknown field `variants\.2\.nummer`[\s\S]*`number`"),
    "newer format": ('recipe = "', 'format = 2\nrecipe = "', "another format"),
    "no recipe": ("recipe.toml", "gone.toml", r"the recipe does not exist[\s\S]*gone\.toml"),
    "two budgets": ("steps = 4", "steps = 4\nminutes = 2.0", r"one budget[\s\S]*minutes and steps"),
    "no budget": ("steps = 4", "", r"one budget[\s\S]*got: neither"),
    "unknown metric": ('"exact"', '"exakt"', "exact"),
    "no metric": ('["exact", "chrf"]', "[]", "metrics"),
    "falling lengths": ("[1, 2]", "[2, 2]", "lengths rise"),
    "one name twice": ('"wide"', '"fixed"', r"different names[\s\S]*fixed twice"),
    "a name that is a path": ('"wide"', '"../wide"', "variants.2.name"),
    "unknown field of the recipe": ("feed_forward", "feedforward", r"feedforward`[\s\S]*study\.toml, variant wide"),
    "unknown field for all": ("train.seed", "train.sead", r"train\.sead`[\s\S]*variant attention"),
    "parts that do not fit": (', "model.encoder.summary" = "mean"', "", r"reads a summary[\s\S]*variant fixed: model"),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_is_wrong_is_known_before_the_first_step(name: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    was, now, said = WRONG[name]
    assert was in STUDY
    (folder / "study.toml").write_text(STUDY.replace(was, now), encoding="utf-8")
    before = tree(folder)
    done = called(monkeypatch, "study", folder / "study.toml", "--out", folder / "out")
    assert (done.code, done.out) == (2, "")
    assert done.err.count("error: ") == 1
    assert re.search(said, done.err), done.err
    assert tree(folder) == before


def test_a_missing_study_and_missing_figures(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    done = called(monkeypatch, "study", folder / "gone.toml", "--out", folder / "out")
    assert done.code == 2
    assert "the study does not exist" in done.err
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(InputError, match=r"figures need a package[\s\S]*isthmus\[plot\]"):
        isthmus.study(folder / "study.toml", folder / "out", progress=False)
    assert not (folder / "out").exists()


def test_buckets_divide_a_test_set_by_length() -> None:
    texts = ["a", "a b", "a b c", "a b c d", "", "a b c d e f"]
    outputs = ["x", "y", "z", "x", "y", "z"]
    references = [["x"], ["x"], ["z", "w"], ["x"], ["y"], ["x"]]
    found = buckets(texts, outputs, references, ["exact"], [1, 3])
    assert [(one.label, one.sentences, one.scores[0].value) for one in found] == [
        ("≤ 1", 2, 100.0),
        ("2–3", 2, 50.0),
        ("> 3", 2, 50.0),
    ]
    assert [one.label for one in buckets(texts, outputs, references, ["exact"], [9])] == ["≤ 9"]


def row(name: str, value: int, group: str = "", number: float | None = None) -> Row:
    scores = evaluate(["a"] * value + ["b"] * (10 - value), [["a"]] * 10, ["exact"]).scores
    parts = buckets(["a", "a b"] * 5, ["a"] * value + ["b"] * (10 - value), [["a"]] * 10, ["exact"], [1])
    return Row(name, group, number, 1234, 7, 99.5, 1.25, scores, parts, ())


def test_the_tables_are_markdown() -> None:
    one = row("one", 5)
    two = replace(row("two", 10), buckets=row("two", 10).buckets[:1])
    assert table([one, two])[0] == "| variant | parameters | steps | tokens/s | dev loss | exact (%) |"
    assert table([one, two])[2].startswith("| one | 1,234 | 7 | 100 | 1.250 | 50.0 (")
    assert length_table([one, two])[0] == "| variant | ≤ 1 words (5) | > 1 words (5) |"
    assert length_table([one, two])[3] == "| two | 100.0 (100.0–100.0) | – |"


def test_figures_are_the_same_for_the_same_numbers_and_show_every_variant(tmp_path: Path) -> None:
    rows = [row("plain & simple", 4), row("k1", 2, "slots", 1), row("k4", 6, "slots", 4), row("k2", 5, "slots", 2)]
    for place in ("a", "b"):
        assert set(draw(rows, "target", "slots k", tmp_path / place)) == {"lengths.svg", "curves.svg", "sweep.svg"}
    for name in ("lengths.svg", "curves.svg", "sweep.svg"):
        text = (tmp_path / "a" / name).read_bytes()
        assert text == (tmp_path / "b" / name).read_bytes()
    swept = (tmp_path / "a" / "sweep.svg").read_text(encoding="utf-8")
    assert ">slots k<" in swept
    assert ">plain &amp; simple<" in swept
    assert ">words of the target<" in (tmp_path / "a" / "lengths.svg").read_text(encoding="utf-8")
    assert "sweep.svg" not in draw(rows[:1], "source", "", tmp_path / "c")


def test_a_study_of_minutes_asks_for_minutes(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = folder / "study.toml"
    path.write_text(STUDY.replace("steps = 4", "minutes = 0.5"), encoding="utf-8")
    minutes: list[float | None] = []

    def noted(request: Request, out: Path, console: object) -> Fitted:
        minutes.append(request.minutes)
        return Fitted(out, "interrupted", None, signal.SIGINT)

    monkeypatch.setattr(module, "run", noted)
    run_study(load_study(path), folder / "out")
    assert minutes == [0.5]
    path.write_text(STUDY.replace("steps = 4", "minutes = -1.0"), encoding="utf-8")
    with pytest.raises(ConfigError, match="minutes"):
        load_study(path)
