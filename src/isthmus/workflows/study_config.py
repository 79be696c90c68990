"""A study: which architectures are trained under one budget on the same data, as one strict TOML file."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, PositiveFloat, PositiveInt

from isthmus.core.config import Config, parse
from isthmus.core.errors import ConfigError
from isthmus.core.files import existing_file
from isthmus.model.build import build
from isthmus.text.metrics import metric
from isthmus.workflows.budget import within
from isthmus.workflows.recipe import Recipe, changed, recipe_table

FORMAT = 1


class Variant(Config):
    """One architecture of a study.

    Attributes:
        name: what it is called, in the table and on the disk.
        changes: fields of the recipe by their dotted names, over those of the study; a table replaces the table that was there.
        number: where it stands in a sweep, if it is part of one.
        group: what is swept: variants of one group are one curve.
    """

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")
    changes: dict[str, Any] = Field(default_factory=dict)
    number: float | None = None
    group: str = ""


class StudyConfig(Config):
    """What a study compares, and how.

    Attributes:
        format: version of this schema.
        about: what the study asks.
        recipe: the recipe that all variants change, from the folder of the study.
        changes: fields of it that all variants share.
        minutes: the time for the training of each variant; or
        steps: how many steps each takes.
        metrics: the scores; the first one is drawn.
        lengths: where the test set is divided by numbers of words: at most so many, more and at most so many, ..., more.
        length_of: whose words are counted: the `source`'s, or those of the (first) `target`.
        sweep: what the `number` of a variant counts.
        variants: what is compared.
    """

    format: int = FORMAT
    about: str = ""
    recipe: str
    changes: dict[str, Any] = Field(default_factory=dict)
    minutes: PositiveFloat | None = None
    steps: PositiveInt | None = None
    metrics: tuple[str, ...] = Field(min_length=1)
    lengths: tuple[PositiveInt, ...] = (5, 10, 20, 40)
    length_of: Literal["source", "target"] = "source"
    sweep: str = ""
    variants: tuple[Variant, ...] = Field(min_length=1)


@dataclass(frozen=True, slots=True)
class Plan:
    """A study whose recipes are resolved.

    Attributes:
        config: the study.
        base: the folder that relative paths of the recipe start from.
        recipes: the recipe of each variant, in their order.
    """

    config: StudyConfig
    base: Path
    recipes: tuple[Recipe, ...]


def load_study(path: Path) -> Plan:
    """Read a study and resolve the recipe of every variant, so that what is wrong with the last one is known before the first.

    Args:
        path: the TOML file.

    Raises:
        InputError: the file or its recipe is missing.
        ConfigError: it is not TOML, breaks the schema, or a variant makes no recipe, or no model that can be built.
    """
    existing_file(path, "the study")
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(
            "a study must be TOML", expected="TOML", got=str(error), where=str(path), fix="correct that line"
        ) from None
    if table.get("format", FORMAT) != FORMAT:
        raise ConfigError(
            "a study is of another format",
            expected=f"format = {FORMAT}",
            got=f"format = {table['format']}",
            where=str(path),
            fix="use the version of Isthmus that it was written for",
        )
    config = parse(StudyConfig, table, str(path))
    _check(config, str(path))
    base = path.parent / config.recipe
    below = changed(recipe_table(base), config.changes)
    recipes = tuple(_recipe(config, variant, below, path) for variant in config.variants)
    return Plan(config, base.parent, recipes)


def _check(config: StudyConfig, where: str) -> None:
    """What the schema cannot say."""
    for name in config.metrics:
        metric(name)
    names = [variant.name for variant in config.variants]
    twice = next((name for place, name in enumerate(names) if name in names[:place]), None)
    falls = next((pair for pair in pairwise(config.lengths) if pair[0] >= pair[1]), None)
    given = [name for name, value in (("minutes", config.minutes), ("steps", config.steps)) if value is not None]
    for wrong, rule, expected, got, fix in (
        (len(given) != 1, "a study has one budget", "minutes or steps", " and ".join(given) or "neither", "set one"),
        (twice is not None, "variants have different names", "each name once", f"{twice} twice", "name one otherwise"),
        (falls is not None, "lengths rise", "each above the one before", f"{falls}", "put them in order"),
    ):
        if wrong:
            raise ConfigError(rule, expected=expected, got=got, where=where, fix=fix)


def _recipe(config: StudyConfig, variant: Variant, below: Mapping[str, Any], path: Path) -> Recipe:
    where = f"{path}, variant {variant.name}"
    table = changed(below, variant.changes)
    recipe = Recipe.of({**table, "metrics": list(config.metrics)}, where)
    if config.steps is not None:
        recipe = within(recipe, config.steps)
    try:
        build(recipe.model, 8, 8)
    except ConfigError as error:
        raise ConfigError(
            error.rule,
            expected=error.expected,
            got=error.got,
            where=f"{where}: {error.where}" if error.where else where,
            fix=error.fix,
        ) from None
    return recipe
