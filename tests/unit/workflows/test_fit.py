"""`isthmus.fit`: pairs or a recipe in, a translator out; and what is chosen once stays chosen."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

import isthmus
from isthmus.core.errors import DataError, InputError
from isthmus.core.runtime import Runtime
from isthmus.data.pairs import Pairs
from isthmus.generate.translator import Translator
from isthmus.workflows import fit as module
from isthmus.workflows import run as module_run
from isthmus.workflows.claim import claim
from isthmus.workflows.fit import automatic_request, pairs_of
from isthmus.workflows.recipe import Recipe, load_recipe
from isthmus.workflows.run import Fitted, Request, run

RECIPE = """
[data]
train = [{ source = "pairs.tsv" }]
[tokenizer]
source = { kind = "characters" }
[codec]
max_source_length = 31
max_target_length = 31
[model]
d_model = 8
embedding = { positions = { maximum = 32 } }
encoder = { layers = 1, layer = { heads = 2, feed_forward = 11, dropout = 0.0 } }
connection = { kind = "multi-head-attention", heads = 2 }
decoder = { layers = 1, layer = { heads = 2, feed_forward = 11, dropout = 0.0 } }
[train]
steps = 3
precision = "float32"
[validation]
metrics = ["exact"]
sentences = 5
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv("ISTHMUS_DATA", raising=False)
    pairs = "".join(f"{number:03d}\t{str(number)[::-1]}\n" for number in range(101))
    (tmp_path / "pairs.tsv").write_text(pairs, encoding="utf-8")
    (tmp_path / "recipe.toml").write_text(RECIPE, encoding="utf-8")
    return tmp_path


def test_a_recipe_becomes_a_translator(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    machine = isthmus.fit(folder / "recipe.toml", out=folder / "run", progress=False)
    assert isinstance(machine, Translator)
    assert len(machine.answers(["012", ""])) == 2
    assert sorted(path.name for path in (folder / "run" / "best").iterdir())[:2] == ["README.md", "codec.json"]
    captured = capsys.readouterr()
    assert captured.out == captured.err == ""
    assert (folder / "run" / "doctor.json").is_file()


def test_data_that_would_ruin_the_run_leaves_nothing_behind(folder: Path) -> None:
    (folder / "pairs.tsv").write_bytes(b"a\tb\nc\xff\td\n")
    with pytest.raises(DataError, match="the data would ruin the run"):
        run(Request(load_recipe(folder / "recipe.toml"), folder), folder / "run")
    assert not (folder / "run").exists()


@pytest.mark.parametrize("minutes", [0.0, -1.0, float("nan"), float("inf")])
def test_the_time_must_be_positive(folder: Path, minutes: float) -> None:
    with pytest.raises(InputError, match="must be positive"):
        isthmus.fit(folder / "recipe.toml", out=folder / "run", minutes=minutes)
    with pytest.raises(InputError, match="must be positive"):
        isthmus.fit(data=folder / "pairs.tsv", out=folder / "run", minutes=minutes)
    assert not (folder / "run").exists()


def test_a_recipe_or_pairs(folder: Path) -> None:
    with pytest.raises(InputError, match=r"a recipe or pairs[\s\S]*got: neither"):
        isthmus.fit(out=folder / "run")
    with pytest.raises(InputError, match="got: both"):
        isthmus.fit(folder / "recipe.toml", data=folder / "pairs.tsv", out=folder / "run")
    with pytest.raises(InputError, match="got: both"):
        isthmus.fit(folder / "recipe.toml", dev=folder / "pairs.tsv", out=folder / "run")


def test_an_interruption_is_passed_on(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "run", lambda request, out, console: Fitted(out / "best", "interrupted", None))
    with pytest.raises(KeyboardInterrupt):
        isthmus.fit(folder / "recipe.toml", out=folder / "run")


def test_pairs_have_three_forms() -> None:
    assert pairs_of("a.tsv") == Pairs(Path("a.tsv"))
    assert pairs_of(("a", Path("b")), ("en", "fr")) == Pairs(Path("a"), Path("b"), (), "en", "fr")
    assert pairs_of(Pairs(Path("a")), ("en", "fr")) == Pairs(Path("a"))


def test_what_was_chosen_for_a_run_that_has_begun_stays(folder: Path) -> None:
    named = Pairs(folder / "pairs.tsv", None, (), "en", "fr"), None, None
    out = folder / "run"
    first = automatic_request(named, 2.0, out)
    other = Recipe.of({**first.recipe.model_dump(mode="json"), "about": "another look"}, "test")
    claim(other, 2.0, out)
    assert automatic_request(named, 2.0, out).recipe.about != "another look"
    (out / "checkpoints").mkdir()
    assert automatic_request(named, 2.0, out).recipe == other
    changed = replace(named[0], target_language="de"), None, None
    assert automatic_request(changed, 2.0, out).recipe.about != "another look"


def test_a_run_killed_before_its_first_checkpoint_goes_on_as_it_chose(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Measured again, speeds could choose another precision; on another machine they must."""
    asked = Request(load_recipe(folder / "recipe.toml"), folder)
    out = folder / "run"
    chosen = Runtime(threads=3)

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(module_run, "probe", lambda *_: chosen)
    with monkeypatch.context() as patch:
        patch.setattr(module_run, "_train", killed)
        with pytest.raises(KeyboardInterrupt):
            run(asked, out)
    monkeypatch.setattr(module_run, "probe", lambda *_: Runtime(threads=2))
    assert module_run._runtime(asked.recipe, out) == chosen
    note = out / "runtime.json"
    for other in (note.read_text(encoding="utf-8").replace('"torch": "', '"torch": "other '), "{", "{}", "[]"):
        note.write_text(other, encoding="utf-8")
        assert module_run._runtime(asked.recipe, out).threads == 2
