"""`isthmus generate` and `isthmus evaluate` with several models."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import isthmus
from isthmus.cli.options import one_line
from isthmus.generate.options import GenerationOptions
from isthmus.generate.rescore import NoisyChannel, with_channel
from isthmus.generate.translator import Translator
from isthmus.model.bundle import weights_hash
from isthmus.text.metrics import diversity
from tests.unit.cli.calling import called
from tests.unit.generate.test_generate_together import other_bundle
from tests.unit.generate.tiny_bundle import tiny_bundle

LINES = ["ab cd", "c", "efg ab"]

pytestmark = pytest.mark.filterwarnings("ignore::isthmus.generate.answer.GenerationWarning")


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    place = tmp_path_factory.mktemp("together")
    tiny_bundle().save(place / "one")
    other_bundle().save(place / "two")
    return place / "one", place / "two"


def lines(machine: Translator) -> list[str]:
    return [one_line(text) for text in machine.generate(LINES, max_length=12)]


def channelled(one: Path, two: Path, weight: float) -> Translator:
    return with_channel(isthmus.load(one), NoisyChannel(isthmus.load(two), channel_weight=weight))


def test_an_ensemble_is_what_python_makes(models: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    one, two = models
    outputs = set()
    for weights in (None, [1.0, 4.0]):
        given = [] if weights is None else ["--weights", "1,4"]
        done = called(monkeypatch, "generate", one, *LINES, "--ensemble", two, *given, "--max-length", "12")
        assert done.code == 0
        assert done.out.splitlines() == lines(isthmus.load([one, two], weights=weights))
        outputs.add(done.out)
    contrasted = called(monkeypatch, "generate", one, *LINES, "--amateur", two, "--max-length", "12")
    assert contrasted.out.splitlines() == lines(isthmus.load(one, amateur=two))
    outputs.add(contrasted.out)
    channel = ("--channel", two, "--channel-weight", "2")
    ranked = called(monkeypatch, "generate", one, *LINES, *channel, "--max-length", "12")
    assert ranked.out.splitlines() == lines(channelled(one, two, 2.0))
    outputs.add(ranked.out)
    assert len(outputs) == 4
    streamed = called(monkeypatch, "generate", one, "ab", *channel, "--stream")
    assert (streamed.code, streamed.out) == (2, "")
    assert "--stream and --channel" in streamed.err


@pytest.mark.parametrize(("weights", "says"), [("1", "one positive weight a model"), ("1,x", "--weights")])
def test_wrong_weights_are_one_clear_error(
    models: tuple[Path, Path], weights: str, says: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = called(monkeypatch, "generate", models[0], "a", "--ensemble", models[1], "--weights", weights)
    assert done.code == 2
    assert says in done.err


def test_evaluate_measures_diversity_over_several_outputs(
    models: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = tmp_path / "test.tsv"
    data.write_text("ab cd\tab\nefg\tefg ab\n", encoding="utf-8")
    command = ("evaluate", models[0], "--data", data, "--metrics", "chrf,distinct-1,self-bleu", "--json")
    scores = json.loads(called(monkeypatch, *command, "--n-best", "4").out)["scores"]
    assert [score["metric"] for score in scores] == ["chrf", "distinct-1", "self-bleu"]
    assert scores[1]["signature"].startswith("outputs:4|")
    outputs = isthmus.load(models[0]).generate(["ab cd", "efg"], num_return_sequences=4, split_sentences=False)
    measure = diversity("distinct-1")
    assert scores[1]["value"] == measure.score(measure.corpus([outputs[:4], outputs[4:]]).sum(axis=0))
    alone = called(monkeypatch, *command)
    assert (alone.code, alone.out) == (2, "")
    assert "--n-best" in alone.err
    assert called(monkeypatch, "compare", *models, "--data", data, "--metrics", "distinct-1").code == 2


def test_the_dial_and_the_choice_among_samples_are_flags(
    models: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    machine = isthmus.load(models[0])
    for flags, given in (
        (("--mbr", "6", "--mbr-metric", "bleu-char"), {"mbr": 6, "mbr_metric": "bleu-char"}),
        (("--diversity", "0.8"), {"diversity": 0.8}),
    ):
        done = called(monkeypatch, "generate", models[0], *LINES, *flags, "--seed", "2")
        expected = machine.answers(LINES, GenerationOptions.of({**given, "seed": 2}))
        assert done.out.splitlines() == [one_line(answer.text) for answer in expected]
    done = called(monkeypatch, "generate", models[0], "a", "--mbr", "6", "--beam", "2")
    assert (done.code, done.out) == (2, "")
    assert "--beam and --mbr contradict each other" in done.err


def test_evaluate_scores_an_ensemble_and_names_its_models(
    models: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = tmp_path / "test.tsv"
    data.write_text("ab cd\tab\nefg\tefg ab\n", encoding="utf-8")
    output = tmp_path / "outputs.txt"
    one, two = (weights_hash(isthmus.Bundle.load(path).model) for path in models)
    for flags, machine, named in (
        (("--ensemble", models[1], "--weights", "1,3"), isthmus.load(models, weights=[1, 3]), f"{one}+{two}"),
        (("--amateur", models[1]), isthmus.load(models[0], amateur=models[1]), f"{one}-{two}"),
        (("--channel", models[1]), channelled(*models, 0.5), f"{one}|0.5*{two}"),
        ((), isthmus.load(models[0]), one),
    ):
        command = ("evaluate", models[0], "--data", data, "--metrics", "chrf", "--json", "--output", output)
        report = json.loads(called(monkeypatch, *command, *flags).out)
        assert report["model"] == named
        expected = machine.generate(["ab cd", "efg"], split_sentences=False)
        assert output.read_text(encoding="utf-8").splitlines() == [one_line(text) for text in expected]
