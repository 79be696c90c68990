"""What a user gets wrong is one clear error: exit code 2, no traceback, nothing on standard output, nothing half-written."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.unit.cli.calling import called, tree
from tests.unit.generate.tiny_bundle import tiny_bundle

RECIPE = """
[data]
train = [{ source = "good.tsv" }]
dev = { source = "good.tsv" }
[tokenizer]
source = { kind = "characters" }
[model]
d_model = 32
embedding = { positions = { maximum = 64 } }
[train]
steps = 2
"""
GENERATING = ("generate", "evaluate", "compare", "serve")


@pytest.fixture(scope="module")
def pristine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("bad")
    tiny_bundle().save(place / "model")
    tiny_bundle().save(place / "damaged")
    weights = place / "damaged" / "model.safetensors"
    data = bytearray(weights.read_bytes())
    data[-7] ^= 1
    weights.write_bytes(data)
    pairs = [(f"ab {'cd' * number}", f"{'ba' * number} d") for number in range(1, 12)]
    (place / "good.tsv").write_text("".join(f"{one}\t{other}\n" for one, other in pairs), encoding="utf-8")
    (place / "empty.tsv").write_text("", encoding="utf-8")
    (place / "long.tsv").write_text(f"{'ab ' * 50}\tab\n", encoding="utf-8")
    (place / "three.txt").write_text("a\nb\nc\n", encoding="utf-8")
    (place / "two.txt").write_text("a\nb\n", encoding="utf-8")
    (place / "latin.txt").write_bytes(b"ab\nd\xe9\n")
    (place / "recipe.toml").write_text(RECIPE, encoding="utf-8")
    (place / "typo.toml").write_text(RECIPE + "label_smoothin = 0.2\n", encoding="utf-8")
    (place / "type.toml").write_text(RECIPE.replace("steps = 2", 'steps = "two"'), encoding="utf-8")
    (place / "not.toml").write_text("= 1", encoding="utf-8")
    (place / "nodata.toml").write_text(RECIPE.replace("good.tsv", "gone.tsv"), encoding="utf-8")
    return place


TRAIN = ("train", "--out", "run")
CASES: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "train: missing recipe": (("train", "gone.toml"), ("the recipe does not exist", "gone.toml")),
    "train: folder as recipe": (("train", "model"), ("the recipe must be a file", "got: a folder")),
    "train: not TOML": (("train", "not.toml"), ("a recipe must be TOML", "not.toml")),
    "train: unknown key": (
        ("train", "typo.toml"),
        ("unknown field `train.label_smoothin`", "did you mean `label_smoothing`?", "typo.toml"),
    ),
    "train: wrong type": (("train", "type.toml"), ("invalid field `train.steps`", "'two'", "type.toml")),
    "train: unknown key in a change": (
        ("train", "recipe.toml", "train.step=3"),
        ("unknown field `train.step`", "`steps`"),
    ),
    "train: not a change": (("train", "recipe.toml", "train.steps"), ("key.path=value", "train.steps")),
    "train: negative budget": ((*TRAIN, "recipe.toml", "--minutes", "-1"), ("must be positive", "-1", "--minutes")),
    "train: no number as budget": ((*TRAIN, "recipe.toml", "--minutes", "nan"), ("must be positive", "nan")),
    "train: negative steps": (("train", "recipe.toml", "train.steps=-1"), ("invalid field `train.steps`", "-1")),
    "train: missing corpus of a recipe": (("train", "nodata.toml"), ("the corpus does not exist", "gone.tsv")),
    "train: missing corpus": ((*TRAIN, "--data", "gone.tsv"), ("the corpus does not exist", "gone.tsv")),
    "train: folder as corpus": ((*TRAIN, "--data", "model"), ("the corpus must be a file", "got: a folder")),
    "train: missing dev": ((*TRAIN, "--data", "good.tsv", "--dev", "gone.tsv"), ("does not exist", "gone.tsv")),
    "train: empty corpus": ((*TRAIN, "--data", "empty.tsv"), ("a corpus is empty", "empty.tsv")),
    "train: empty corpus of a recipe": (
        (*TRAIN, "recipe.toml", "data.train=[{source='empty.tsv'}]"),
        ("the data would ruin the run", "empty.tsv"),
    ),
    "train: line counts": ((*TRAIN, "--source", "three.txt", "--target", "two.txt"), ("numbers of lines", "line 3")),
    "train: negative budget without a recipe": ((*TRAIN, "--data", "good.tsv", "--minutes", "-3"), ("positive", "-3")),
    "train: no folder": (("train", "--data", "good.tsv"), ("needs a folder", "--out DIR")),
    "train: file as folder": (("train", "recipe.toml", "--out", "good.tsv"), ("a run needs a folder", "good.tsv")),
    "train: below a file": (
        ("train", "recipe.toml", "--out", "good.tsv/run"),
        ("a run needs a folder", "where: good.tsv\n"),
    ),
    "train: nothing": (("train", "--out", "run"), ("this command needs pairs",)),
    "train: recipe and pairs": (("train", "recipe.toml", "--data", "good.tsv"), ("a recipe names its pairs",)),
    "train: nothing to resume": ((*TRAIN, "recipe.toml", "--resume"), ("there is no run to resume",)),
    "train: half of the pairs": ((*TRAIN, "--source", "three.txt"), ("got: --source alone",)),
    "generate: missing input": (("generate", "model", "--input", "gone.txt"), ("the input does not exist",)),
    "generate: folder as input": (
        ("generate", "model", "--input", "model"),
        ("a folder of inputs is answered into a folder",),
    ),
    "generate: folder as output": (("generate", "model", "ab", "--output", "model"), ("the output must be a file",)),
    "generate: output below a file": (
        ("generate", "model", "ab", "--output", "good.tsv/out.txt"),
        ("the system refused to read or write", "where: good.tsv"),
    ),
    "generate: not UTF-8": (("generate", "model", "--input", "latin.txt"), ("latin.txt, line 2, column 2",)),
    "generate: text and input": (("generate", "model", "ab", "--input", "two.txt"), ("one place to read from",)),
    "generate: too long": (("generate", "model", "ab " * 50), ("too long for the model", "input 1", "at most 97")),
    "generate: too many pieces": (
        ("generate", "model", "ab", "--max-length", "200"),
        ("at most 96", "the command line"),
    ),
    "generate: zero temperature": (("generate", "model", "ab", "--sample", "--temperature", "0"), ("--temperature",)),
    "generate: temperature of a search": (
        ("generate", "model", "ab", "--temperature", "0.5"),
        ("--temperature and --sample contradict", "or give --sample"),
    ),
    "generate: more outputs than beams": (
        ("generate", "model", "ab", "--n-best", "9"),
        ("--n-best and --beam contradict", "set --beam to at least 9"),
    ),
    "generate: unknown device": (("generate", "model", "ab", "--device", "abacus"), ("cannot be used", "abacus")),
    "evaluate: too long": (("evaluate", "model", "--data", "long.tsv"), ("too long for the model",)),
    "evaluate: unknown metric": (("evaluate", "model", "--data", "good.tsv", "--metrics", "blue"), ("`bleu`",)),
    "evaluate: no metric": (("evaluate", "model", "--data", "good.tsv", "--metrics", ","), ("needs a metric",)),
    "compare: unknown metric": (("compare", "model", "model", "--data", "good.tsv", "--metrics", "chr"), ("`chrf`",)),
    "doctor: missing recipe": (("doctor", "gone.toml"), ("the recipe does not exist",)),
    "doctor: unknown key": (
        ("doctor", "typo.toml"),
        ("unknown field `train.label_smoothin`", "did you mean `label_smoothing`?"),
    ),
    "doctor: missing corpus of a recipe": (("doctor", "nodata.toml"), ("the corpus does not exist", "gone.tsv")),
    "doctor: missing corpus": (("doctor", "--data", "gone.tsv"), ("the corpus does not exist",)),
    "doctor: folder as corpus": (("doctor", "--data", "model"), ("the corpus must be a file",)),
    "serve: no name": (("serve", "=model"), ("a model is named by NAME=FOLDER", "=model")),
    "serve: one name twice": (("serve", "model", "model=model"), ("a name of its own", "got: model")),
    "serve: missing keys": (("serve", "model", "--api-keys", "gone"), ("the file of API keys does not exist",)),
    "serve: keys that can be guessed": (("serve", "model", "--api-keys", "two.txt"), ("long", "got: 1 characters")),
    "serve: no such address": (("serve", "model", "--host", "192.0.2.1"), ("cannot listen here", "192.0.2.1")),
    "doctor: nothing": (("doctor",), ("this command needs pairs",)),
}
for _command in GENERATING:
    _second = ("model",) if _command == "compare" else ()
    _pairs = () if _command in ("generate", "serve") else ("--data", "good.tsv")
    _text = ("ab",) if _command == "generate" else ()
    for _name, _said in (
        ("gone", ("this is not a bundle", "nothing there")),
        ("good.tsv", ("this is not a bundle", "a file")),
        (".", ("this is not a bundle", "a folder without one")),
        ("damaged", ("a file of the bundle is damaged", "model.safetensors")),
    ):
        CASES[f"{_command}: {_name} as model"] = ((_command, _name, *_second, *_text, *_pairs), _said)
    if _command not in ("generate", "serve"):
        _model = (_command, "model", *_second)
        CASES[f"{_command}: no pairs"] = (_model, ("this command needs pairs",))
        CASES[f"{_command}: missing pairs"] = ((*_model, "--data", "gone.tsv"), ("the corpus does not exist",))
        CASES[f"{_command}: folder as pairs"] = ((*_model, "--data", "model"), ("the corpus must be a file",))
        CASES[f"{_command}: empty pairs"] = ((*_model, "--data", "empty.tsv"), ("a corpus is empty",))
        _files = ("--source", "two.txt", "--target", "three.txt")
        CASES[f"{_command}: line counts"] = ((*_model, *_files), ("different numbers of lines",))


@pytest.mark.parametrize("name", CASES)
def test_one_clear_error(name: str, pristine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(pristine)
    monkeypatch.delenv("ISTHMUS_DATA", raising=False)
    arguments, said = CASES[name]
    before = tree(pristine)
    done = called(monkeypatch, *arguments)
    assert done.code == 2, done.err
    assert done.out == ""
    assert [line for line in done.err.splitlines() if line.startswith("error: ")], done.err
    assert done.err.count("error: ") == 1
    assert "Traceback" not in done.err
    for words in said:
        assert words in done.err
    assert tree(pristine) == before
    assert not [path for path in pristine.rglob("*") if path.name.startswith(".")]


@pytest.mark.parametrize(
    "arguments",
    [
        ("train", "--beam", "3"),
        ("generate",),
        ("translate",),
        ("generate", "model", "--beam", "0"),
        ("doctor", "--jso"),
    ],
    ids=" ".join,
)
def test_wrong_use_is_code_2(arguments: tuple[str, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    done = called(monkeypatch, *arguments)
    assert (done.code, done.out) == (2, "")
    assert "Traceback" not in done.err


def test_a_text_of_the_command_line_that_is_not_utf8(pristine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    done = called(monkeypatch, "generate", pristine / "model", "ab", os.fsdecode(b"d\xe9"))
    assert done.code == 2
    assert "text 2 of the command line, character 2" in done.err


def test_standard_input_that_is_not_utf8(pristine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    done = called(monkeypatch, "generate", pristine / "model", stdin=b"ab\nd\xe9\n")
    assert done.code == 2
    assert "standard input, line 2, column 2 (in bytes)" in done.err


def test_a_full_disk_is_one_error_and_code_1(pristine: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: int) -> None:
        raise OSError(28, "No space left on device", str(tmp_path))

    monkeypatch.setattr("isthmus.core.files.os.fsync", full)
    done = called(monkeypatch, "generate", pristine / "model", "ab", "--output", tmp_path / "out.txt")
    assert done.code == 1
    assert done.err.startswith("error: the system refused to read or write: No space left on device\n  where: ")
    assert list(tmp_path.iterdir()) == []


def test_what_the_doctor_calls_fatal_is_code_1(pristine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(pristine)
    done = called(monkeypatch, "doctor", "--source", "three.txt", "--target", "two.txt")
    assert (done.code, done.err) == (1, "")
    assert "fatal" in done.out
    assert called(monkeypatch, "doctor", "--data", "empty.tsv").code == 1
