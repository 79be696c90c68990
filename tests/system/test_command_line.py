"""From pairs to scores on the real command line; interrupted and killed trainings end as the uninterrupted one."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from isthmus.data.pairs import Pairs, read
from isthmus.evaluate.attention import look
from isthmus.generate.alignment import Looked, aligned
from isthmus.generate.alignment_head import alignment_head
from isthmus.model.bundle import Bundle
from isthmus.text.vocabulary import BOS
from tests.system.command import NAMES, Done, isthmus, last_step, stopped_at, write_pairs

SAMPLING = ("--sample", "--temperature", "2", "--top-k", "5")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("system")
    write_pairs(place)
    return place


@pytest.fixture(scope="module")
def trained(folder: Path) -> Done:
    """An uninterrupted training into `whole`."""
    done = isthmus("train", "recipe.toml", "--out", "whole", folder=folder)
    assert done.code == 0, done.err
    return done


def results(out: Path) -> tuple[bytes, bytes]:
    return (out / "best" / "model.safetensors").read_bytes(), (out / "metrics.jsonl").read_bytes()


def setting(out: Path) -> str:
    """How the products of a run are computed: measured at its start, so that two runs may differ."""
    states = sorted((out / "checkpoints").glob("step-*/state.json"))
    return str(json.loads(states[0].read_text(encoding="utf-8"))["identity"]["runtime.matmul"])


def test_training_shows_progress_and_ends_with_scores_and_what_to_do(trained: Done, folder: Path) -> None:
    assert trained.out == ""
    said = (
        "of their positions are pieces",
        "step 150/180",
        "finished after 180 steps",
        "word-error",
        "isthmus generate whole",
    )
    for shown in (*said, "Traceback"):
        assert (shown in trained.err) == (shown != "Traceback"), trained.err
    assert json.loads((folder / "whole" / "report.json").read_text(encoding="utf-8"))["scores"][0]["value"] < 20


def test_the_bundle_notes_a_head_that_is_an_alignment(trained: Done, folder: Path) -> None:
    """Every digit becomes its name, so that what goes with what is known; the choice was made without knowing it."""
    del trained
    bundle = Bundle.load(folder / "whole" / "best")
    chosen = alignment_head(bundle)
    assert chosen is not None
    errors = {(0, head): 0 for head in (None, 0, 1)}
    for pair in read(Pairs(folder / "dev.tsv")):
        source, target = bundle.codec.source_ids(pair), bundle.codec.target_ids(pair)
        seen = look(bundle.model, (BOS,), source, target)
        for layer, head in errors:
            weights = seen.head(chosen.model_copy(update={"layer": layer, "head": head}))
            assert weights is not None
            links = aligned(pair.source, pair.target, [Looked(source, 0, target[:-1], weights)], bundle.codec)
            errors[layer, head] += sum(NAMES[int(link.source.text)] != link.target.text for link in links)
    assert errors[chosen.layer, chosen.head] == min(errors.values())
    assert chosen.error <= chosen.error_of_mean
    assert chosen.error < 0.15


def test_a_run_that_is_interrupted_and_killed_ends_as_the_one_that_was_not(trained: Done, folder: Path) -> None:
    command = ["train", "recipe.toml", "--out", "broken"]
    out = folder / "broken"
    for _ in range(5):
        done = stopped_at(30, signal.SIGINT, command, folder, out)
        assert done.code == 130, done.err
        if setting(out) == setting(folder / "whole"):
            break
        shutil.rmtree(out)
    told = re.search(r"interrupted at step (\d+); the same command goes on from here", done.err)
    assert told is not None, done.err
    assert 30 <= int(told[1]) < 180
    assert (out / "checkpoints" / f"step-{int(told[1]):08d}").is_dir()

    done = stopped_at(70, signal.SIGTERM, command, folder, out)
    assert done.code == 143, done.err
    assert "going on from step" in done.err
    assert "interrupted at step" in done.err

    done = stopped_at(115, signal.SIGKILL, [*command, "--resume"], folder, out)
    assert done.code == -signal.SIGKILL
    assert 115 <= last_step(out) < 180

    done = isthmus(*command, folder=folder)
    assert done.code == 0, done.err
    assert "going on from step" in done.err
    assert results(out) == results(folder / "whole")


def test_the_same_command_after_the_end_changes_nothing(trained: Done, folder: Path) -> None:
    before = results(folder / "whole")
    done = isthmus("train", "recipe.toml", "--out", "whole", folder=folder)
    assert done.code == 0, done.err
    assert results(folder / "whole") == before


def test_another_recipe_in_the_same_folder_is_refused(trained: Done, folder: Path) -> None:
    before = results(folder / "whole")
    done = isthmus("train", "recipe.toml", "train.seed=2", "train.steps=250", "--out", "whole", folder=folder)
    assert done.code == 2
    assert "this folder holds another run" in done.err
    assert "train.seed, train.steps" in done.err
    assert results(folder / "whole") == before


def test_generate_answers_every_line_with_one_line(trained: Done, folder: Path) -> None:
    done = isthmus("generate", "whole", folder=folder, stdin=b"1 2 3\n\n4 5\r\n")
    assert (done.code, done.out, done.err) == (0, "one two three\n\nfour five\n", "")
    (folder / "input.txt").write_text("7 8\n9 0\n", encoding="utf-8")
    done = isthmus("generate", "whole/best", "--input", "input.txt", "--output", "output.txt", folder=folder)
    assert (done.code, done.out) == (0, "")
    assert (folder / "output.txt").read_text(encoding="utf-8") == "seven eight\nnine zero\n"


def test_a_reader_that_goes_away_is_no_error_to_talk_about(trained: Done, folder: Path) -> None:
    program = f"{sys.executable} -c 'import isthmus.cli.main as m; m.run()' generate whole --max-length 2 --beam 1"
    shell = subprocess.run(
        ["bash", "-c", f"for i in $(seq 5000); do echo 1; done | {program} 2>errors.txt | head -n 1"],
        cwd=folder,
        capture_output=True,
        check=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    assert shell.stdout.count(b"\n") == 1
    assert "Traceback" not in (folder / "errors.txt").read_text(encoding="utf-8")
    assert "BrokenPipe" not in (folder / "errors.txt").read_text(encoding="utf-8")


def test_generate_lists_the_best_and_samples_the_same_with_the_same_seed(trained: Done, folder: Path) -> None:
    done = isthmus("generate", "whole", "1 2", "3", "--n-best", "3", folder=folder)
    rows = [line.split("\t") for line in done.out.splitlines()]
    assert [row[0] for row in rows] == ["1"] * 3 + ["2"] * 3
    assert rows[0][2] == "one two"
    assert rows[3][2] == "three"
    drawn = [isthmus("generate", "whole", "1 2 3", *SAMPLING, "--seed", "3", "--json", folder=folder) for _ in range(2)]
    assert drawn[0].code == 0, drawn[0].err
    one, other = (json.loads(done.out) for done in drawn)
    assert (one["text"], one["seed"]) == (other["text"], 3)


def test_evaluate_scores_and_leaves_a_report(trained: Done, folder: Path) -> None:
    options = ("--data", "test.tsv", "--metrics", "bleu,word-error", "--output", "hypotheses.txt", "--json")
    done = isthmus("evaluate", "whole", *options, folder=folder)
    assert done.code == 0, done.err
    report = json.loads(done.out)
    scores = {score["metric"]: score["value"] for score in report["scores"]}
    assert scores["bleu"] > 80
    assert scores["word-error"] < 20
    outputs = (folder / "hypotheses.txt").read_text(encoding="utf-8").splitlines()
    assert len(outputs) == 60
    assert set(" ".join(outputs).split()) <= set(NAMES)
    left = json.loads((folder / "whole" / "evaluation-test.tsv.json").read_text(encoding="utf-8"))
    assert left == report


def test_a_model_compared_with_itself_is_not_better(trained: Done, folder: Path) -> None:
    done = isthmus("compare", "whole", "whole/best", "--data", "test.tsv", "--metrics", "chrf", "--json", folder=folder)
    assert done.code == 0, done.err
    (comparison,) = json.loads(done.out)["comparisons"]
    assert comparison["p_value"] == comparison["randomized_p_value"] == 1


def test_doctor_examines_a_recipe_with_its_vocabulary(folder: Path) -> None:
    done = isthmus("doctor", "recipe.toml", "--json", folder=folder)
    assert done.code == 0, done.err
    found = json.loads(done.out)
    assert found["fatal"] is False
    assert found["corpora"][0]["pairs"]["dev"] == 53


@pytest.mark.slow
def test_training_without_a_recipe_keeps_to_the_time_and_goes_on(folder: Path) -> None:
    command = ["train", "--source", "train.digits", "--target", "train.names", "--dev", "dev.tsv"]
    command += ["--out", "auto", "--minutes", "0.6", "--threads", "1"]
    done = stopped_at(1, signal.SIGINT, command, folder, folder / "auto")
    assert done.code == 130, done.err
    done = isthmus(*command, folder=folder)
    assert done.code == 0, done.err
    assert "going on from step" in done.err
    assert isthmus("generate", "auto", "1 2 3", folder=folder).code == 0
