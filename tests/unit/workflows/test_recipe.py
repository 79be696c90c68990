"""Recipes: strict, with presets, changes on the command line, and a round trip through TOML."""

from __future__ import annotations

import math
import tomllib
from pathlib import Path

import pytest

from isthmus.core.errors import ConfigError, InputError
from isthmus.model.encoders.transformer import TransformerEncoderConfig
from isthmus.workflows.recipe import Recipe, load_recipe, plain, toml

RECIPES = sorted(Path(__file__).parents[3].glob("recipes/*.toml"))
SMALL = """
[data]
train = [{ source = "pairs.tsv" }]

[model]
preset = "tiny"
encoder = { layers = 2 }

[train]
steps = 7
"""


def written(folder: Path, text: str = SMALL) -> Path:
    path = folder / "recipe.toml"
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_recipes_of_the_project_are_valid_and_survive_toml(path: Path) -> None:
    recipe = load_recipe(path)
    again = Recipe.of(tomllib.loads(toml(recipe)), "again")
    assert again == recipe
    assert recipe.about


def test_a_number_without_end_survives_toml(tmp_path: Path) -> None:
    recipe = load_recipe(written(tmp_path), ["train.clip_norm=inf"])
    assert recipe.train.clip_norm == math.inf
    assert Recipe.of(tomllib.loads(toml(recipe)), "again") == recipe


def test_fields_lie_over_a_preset(tmp_path: Path) -> None:
    recipe = load_recipe(written(tmp_path))
    assert (recipe.model.d_model, recipe.model.encoder.layers, recipe.model.decoder.layers) == (128, 2, 4)
    assert isinstance(recipe.model.encoder, TransformerEncoderConfig)
    assert recipe.model.encoder.layer.feed_forward == 256


def test_a_change_is_read_as_toml_else_as_a_string(tmp_path: Path) -> None:
    changes = ["train.steps=11", "model.preset=small", "data.source_language=en", "data.filters.max_ratio=3.5"]
    recipe = load_recipe(written(tmp_path), changes)
    assert recipe.train.steps == 11
    assert recipe.model.d_model == 256
    assert recipe.data.source_language == "en"
    assert recipe.data.filters.max_ratio == 3.5


def test_the_first_metric_selects_unless_the_recipe_says_otherwise(tmp_path: Path) -> None:
    path = written(tmp_path)
    assert load_recipe(path).train.select.metric == "loss"
    chosen = load_recipe(path, ['validation.metrics=["per", "exact"]']).train.select
    assert (chosen.metric, chosen.direction) == ("per", "lower")
    said = load_recipe(path, ['validation.metrics=["per"]', "train.select={metric='accuracy', direction='higher'}"])
    assert said.train.select.metric == "accuracy"


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ("train.stepps=3", "did you mean `steps`?"),
        ("train.steps=-3", "train.steps"),
        ("train.steps=many", "train.steps"),
        ("model.preset=tinny", "did you mean `tiny`?"),
        ("validation.metrics=['bleuu']", "bleu"),
        ("format=2", "format = 2"),
        ("train.steps", "key.path=value"),
        ("=3", "key.path=value"),
        ("train.steps.more=3", "has no fields of its own"),
        ("data.train=[]", "data.train"),
    ],
)
def test_a_wrong_field_is_one_clear_error(tmp_path: Path, change: str, says: str) -> None:
    with pytest.raises(InputError, match="(?s)" + says.replace("?", r"\?").replace(".", r"\.")):
        load_recipe(written(tmp_path), [change])


def test_what_is_not_a_recipe(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="does not exist"):
        load_recipe(tmp_path / "none.toml")
    with pytest.raises(InputError, match="must be a file"):
        load_recipe(tmp_path)
    with pytest.raises(ConfigError, match="must be TOML"):
        load_recipe(written(tmp_path, "steps = = 3"))


def test_files_are_found_from_the_root_the_environment_or_the_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = load_recipe(written(tmp_path))
    files = recipe.data.train[0]
    monkeypatch.delenv("ISTHMUS_DATA", raising=False)
    assert recipe.data.corpus(files, tmp_path).pairs.source == tmp_path / "pairs.tsv"
    monkeypatch.setenv("ISTHMUS_DATA", "elsewhere")
    assert recipe.data.corpus(files, tmp_path).pairs.source == Path("elsewhere/pairs.tsv")
    rooted = load_recipe(tmp_path / "recipe.toml", ["data.root=deep/down"])
    assert rooted.data.corpus(files, tmp_path).pairs.source == Path("deep/down/pairs.tsv")


def test_a_resolved_recipe_has_no_preset_and_no_unset_option(tmp_path: Path) -> None:
    values = plain(load_recipe(written(tmp_path), ["generation.num_beams=3"]))
    assert "preset" not in values["model"]
    assert values["generation"] == {"num_beams": 3}
