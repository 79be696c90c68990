"""Options of a generation on the command line."""

from __future__ import annotations

import inspect
import re
from pathlib import Path

import pytest

import isthmus
from isthmus.cli import generation
from isthmus.cli.evaluate import evaluate
from isthmus.cli.generate import generate
from isthmus.cli.options import one_line
from isthmus.generate.options import GenerationOptions
from isthmus.generate.translator import Translator
from tests.unit.cli.calling import called
from tests.unit.generate.tiny_bundle import tiny_bundle

LINES = ["ab cd", "efg ab", "bad"]

ROWS_OF_IDS = {"bad_words_ids", "force_words_ids", "allowed_outputs_ids"}
WITHOUT_FLAG = {"max_new_tokens", "min_new_tokens", "attention", "split_sentences", "token_scores"} | ROWS_OF_IDS
"""Second names, rows of ids, what no output shows, and what --document or --json says."""

ONLY_GENERATE = {"num_return_sequences", "without_replacement", "alignment", "alternatives"}
"""What a score of the best output has no use for."""


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("generation") / "model"
    tiny_bundle().save(place)
    return place


@pytest.fixture(scope="module")
def machine(model: Path) -> Translator:
    return isthmus.load(model)


def test_a_newcomer_sees_six_options_first(monkeypatch: pytest.MonkeyPatch) -> None:
    shown = called(monkeypatch, "generate", "--help").out
    first = shown[shown.index("─ Options") :].split("╰")[0]
    assert [name for name in re.findall(r"(?m)^│ (--[\w-]+)", first) if name != "--help"] == [
        "--input",
        "--output",
        "--beam",
        "--sample",
        "--max-length",
        "--n-best",
    ]


def test_an_expert_finds_every_option() -> None:
    options = set(GenerationOptions.model_fields) - WITHOUT_FLAG
    assert options <= set(inspect.signature(generate).parameters)
    assert options - ONLY_GENERATE <= set(inspect.signature(evaluate).parameters)


def test_only_what_was_given_counts() -> None:
    parameters: dict[str, object] = {
        "num_beams": 3,
        "do_sample": None,
        "bad_words": [],
        "top_k": 0,
        "model": "x",
        "early_stopping": None,
    }
    assert generation.given(parameters) == {"num_beams": 3, "top_k": 0}
    spelled = [generation.given({"early_stopping": word}) for word in ("true", "false", "never")]
    assert spelled == [{"early_stopping": True}, {"early_stopping": False}, {"early_stopping": "never"}]


@pytest.mark.parametrize(
    ("flags", "values"),
    [
        ("--min-length 4 --max-length-ratio 3", {"min_length": 4, "max_length_ratio": 3.0}),
        (
            "--beam 3 --length-penalty 0 --early-stopping true",
            {"num_beams": 3, "length_penalty": 0.0, "early_stopping": True},
        ),
        (
            "--beam 4 --beam-groups 2 --diversity-penalty 1",
            {"num_beams": 4, "num_beam_groups": 2, "diversity_penalty": 1.0},
        ),
        ("--repetition-penalty 1.5 --beam 1", {"repetition_penalty": 1.5, "num_beams": 1}),
        ("--no-repeat-ngram 1 --no-source-ngram 2", {"no_repeat_ngram_size": 1, "encoder_no_repeat_ngram_size": 2}),
        ("--bad-word a --bad-word b", {"bad_words": ["a", "b"]}),
        ("--suppress-token 148 --begin-suppress-token 149", {"suppress_tokens": [148], "begin_suppress_tokens": [149]}),
        ("--force-word ad --force-word e", {"force_words": ["ad", "e"]}),
        ("--force-word ad|fg --force-word e", {"force_words": [["ad", "fg"], "e"]}),
        ("--allowed-output ad --allowed-output b", {"allowed_outputs": ["ad", "b"]}),
        ("--prefix ad --coverage-penalty 0.3", {"prefix": "ad", "coverage_penalty": 0.3}),
        ("--sample --typical-p 0.7 --seed 3", {"do_sample": True, "typical_p": 0.7, "seed": 3}),
        (
            "--sample --epsilon-cutoff 0.1 --eta-cutoff 0.2 --seed 3",
            {"do_sample": True, "epsilon_cutoff": 0.1, "eta_cutoff": 0.2, "seed": 3},
        ),
    ],
)
def test_flags_are_the_keywords(
    model: Path, machine: Translator, flags: str, values: dict[str, object], monkeypatch: pytest.MonkeyPatch
) -> None:
    answers = machine.answers(LINES, GenerationOptions.of(values))
    expected = [one_line(answer.text) for answer in answers]
    assert called(monkeypatch, "generate", model, *LINES, *flags.split()).out.splitlines() == expected


@pytest.mark.parametrize(
    ("flags", "says"),
    [
        (("--typical-p", "0.9"), "--typical-p and --sample contradict"),
        (("--min-length", "9", "--max-length", "3"), "--min-length and --max-length contradict"),
        (("--suppress-token", "9999"), "correct --suppress-token"),
        (("--forced-eos-token-id", "5"), "set --forced-eos-token-id to 3"),
        (("--bad-word", ""), "correct --bad-word"),
    ],
)
def test_errors_speak_of_flags(model: Path, flags: tuple[str, ...], says: str, monkeypatch: pytest.MonkeyPatch) -> None:
    done = called(monkeypatch, "generate", model, "ab", *flags)
    assert (done.code, done.out) == (2, "")
    assert says in done.err


def test_allowed_outputs_may_stand_in_a_file(model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "allowed.txt"
    file.write_text("be\na cab\nbed\n", encoding="utf-8")
    found = called(monkeypatch, "generate", model, *LINES, "--allowed-file", file, "--allowed-output", "ad")
    assert found.out.splitlines() == isthmus.load(model).generate(LINES, allowed_outputs=["be", "a cab", "bed", "ad"])
    missing = called(monkeypatch, "generate", model, *LINES, "--allowed-file", tmp_path / "none.txt")
    assert (missing.code, missing.out) == (2, "")
    assert "none.txt" in missing.err
