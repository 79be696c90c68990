"""A recipe: everything that a run is made from, as one strict TOML file."""

from __future__ import annotations

import copy
import json
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import tomli_w
from pydantic import Field, PositiveInt

from isthmus.core.config import Config, parse
from isthmus.core.errors import ConfigError
from isthmus.core.files import existing_file
from isthmus.data.codec import CodecConfig
from isthmus.generate.options import GenerationOptions
from isthmus.model.build import ModelConfig, resolved_table
from isthmus.text.metrics import metric
from isthmus.text.tokenizer import SentencePieceConfig, TokenizerConfig
from isthmus.train.config import TrainingConfig
from isthmus.train.track import TrackerKind
from isthmus.workflows.data_config import DataConfig
from isthmus.workflows.start import StartConfig

FORMAT = 1


class TokenizersConfig(Config):
    """How text becomes pieces.

    Attributes:
        joint: one vocabulary for both sides, learned from both.
        source: the tokenizer of the sources, or of both sides.
        target: the tokenizer of the targets; `None` is one of the same kind.
    """

    joint: bool = True
    source: TokenizerConfig = SentencePieceConfig()
    target: TokenizerConfig | None = None


class ValidationConfig(Config):
    """How the model is judged along the way, beside the loss.

    Attributes:
        metrics: scores of generated text; the first one chooses the best model unless `train.select` says otherwise.
        sentences: how many different sources of the dev set are generated from; the loss is over all of it.
        beams: of the search.
        samples: how many examples are shown.
        kept: how many pairs of the dev set go into the bundle, so that what is made of it (int8, for one) can be compared with
            it anywhere; 0 where its licence forbids to pass them on.
    """

    metrics: tuple[str, ...] = ()
    sentences: PositiveInt = 500
    beams: PositiveInt = 1
    samples: PositiveInt = 3
    kept: int = Field(default=200, ge=0)


class DistributedConfig(Config):
    """How several processes share the work; see docs/scaling.md.

    Attributes:
        shard: whether each holds only a part of weights, gradients and moments between passes.
    """

    shard: bool = False


class Recipe(Config):
    """Everything that a run is made from.

    Attributes:
        format: version of this schema.
        about: what the recipe is for, and where anyone gets its data.
        unit: `sentence` if sources are single sentences, so that longer text is split when generating.
        data: corpora.
        tokenizer: text to pieces.
        codec: what is put around the pieces.
        model: the architecture; a `preset` may stand in the file.
        start: a bundle to go on from, which then says model, tokenizers and codec; `None` is fresh weights.
        train: the training.
        distributed: how several processes share the training.
        validation: judging along the way.
        generation: how the finished model generates unless told otherwise.
        trackers: where figures go beside the log of the run.
        metrics: of the final report; by default those of the validation.
    """

    format: int = FORMAT
    about: str = ""
    unit: str = ""
    data: DataConfig
    tokenizer: TokenizersConfig = TokenizersConfig()
    codec: CodecConfig = CodecConfig()
    model: ModelConfig = ModelConfig()
    start: StartConfig | None = None
    train: TrainingConfig
    distributed: DistributedConfig = DistributedConfig()
    validation: ValidationConfig = ValidationConfig()
    generation: GenerationOptions = GenerationOptions()
    trackers: tuple[TrackerKind, ...] = ()
    metrics: tuple[str, ...] = ()

    @classmethod
    def of(cls, table: Mapping[str, Any], where: str) -> Recipe:
        """A recipe from plain values.

        Raises:
            ConfigError: an unknown field (the nearest is named), a wrong value, or a newer format.
        """
        values = dict(table)
        if values.get("format", FORMAT) != FORMAT:
            raise ConfigError(
                "a recipe is of another format",
                expected=f"format = {FORMAT}",
                got=f"format = {values['format']}",
                where=where,
                fix="use the version of Isthmus that it was written for",
            )
        if isinstance(values.get("model"), Mapping):
            values["model"] = resolved_table(values["model"])
        recipe = parse(cls, values, where)
        recipe._check_data(where)
        recipe._check_fit(where)
        for name in (*recipe.validation.metrics, *recipe.metrics):
            metric(name)
        return recipe._selecting()

    def going_on(self, model: ModelConfig, codec: CodecConfig) -> Recipe:
        """The same recipe with the architecture and the codec of the bundle that it starts from.

        Args:
            model: of the bundle.
            codec: of the bundle.

        Raises:
            ConfigError: the recipe asks for others.
        """
        for name, own, given, usual in (
            ("model", self.model, model, ModelConfig()),
            ("codec", self.codec, codec, CodecConfig()),
        ):
            if own not in (given, usual):
                raise ConfigError(
                    "a training that starts from a bundle has the bundle's architecture and codec",
                    expected=f"no `{name}`, or that of the bundle",
                    got="another one",
                    where=name,
                    fix=f"leave `{name}` out of the recipe",
                )
        return self.model_copy(update={"model": model, "codec": codec})

    def _check_data(self, where: str) -> None:
        """Refuse training pairs that are named in two ways, or not at all."""
        train, shards = self.data.train, self.data.shards
        if bool(train) == (shards is not None):
            raise ConfigError(
                "training pairs are named in one way",
                expected="data.train or data.shards",
                got="both" if train else "neither",
                where=where,
                fix="leave one of them out" if train else "set data.train",
            )
        if shards is not None and self.data.dev is None:
            raise ConfigError(
                "nothing is held out of a corpus in shards",
                expected="data.dev",
                got="none",
                where=where,
                fix="name a development set",
            )

    def _check_fit(self, where: str) -> None:
        """Refuse a model that needs other ids than the codec or the tokenizer makes."""
        wanted = self.model.sources.count
        if wanted > 1 and self.codec.sources != wanted:
            raise ConfigError(
                "a model of several sources needs as many in every example",
                expected=f"codec.sources = {wanted}, as model.sources.count",
                got=str(self.codec.sources),
                where=where,
                fix="set codec.sources",
            )
        if self.model.one_vocabulary and not self.tokenizer.joint:
            raise ConfigError(
                "copying needs one vocabulary for source and target",
                expected="tokenizer.joint = true",
                got="false",
                where=where,
                fix="set tokenizer.joint, or take the head `softmax`",
            )

    def _selecting(self) -> Recipe:
        """The same recipe, where the first validation metric chooses the best model if nothing else was said."""
        if "select" in self.train.model_fields_set or not self.validation.metrics:
            return self
        first = metric(self.validation.metrics[0])
        select = {"metric": first.name, "direction": "higher" if first.higher_is_better else "lower"}
        table = plain(self)
        return parse(Recipe, {**table, "train": {**table["train"], "select": select}}, "recipe")


def load_recipe(path: Path, changes: Sequence[str] = ()) -> Recipe:
    """Read a recipe from a TOML file.

    Args:
        path: the file.
        changes: `key.path=value` each; the value is read as TOML, else as a string.

    Raises:
        InputError: the file is missing.
        ConfigError: it is not TOML, or breaks the schema.
    """
    return Recipe.of(with_changes(recipe_table(path), changes), str(path))


def with_changes(table: Mapping[str, Any], changes: Sequence[str]) -> dict[str, Any]:
    """A table with changes of the command line.

    Args:
        table: plain values; it stays as it is.
        changes: `key.path=value` each; the value is read as TOML, else as a string.

    Raises:
        ConfigError: a change is none, or goes through a field that is no table.
    """
    found = dict(table)
    for change in changes:
        found = changed(found, _parsed(change))
    return found


def recipe_table(path: Path) -> dict[str, Any]:
    """The plain values of a recipe's file, nothing resolved.

    Raises:
        InputError: the file is missing.
        ConfigError: it is not TOML.
    """
    existing_file(path, "the recipe")
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(
            "a recipe must be TOML", expected="TOML", got=str(error), where=str(path), fix="correct that line"
        ) from None


def _parsed(change: str) -> dict[str, Any]:
    """One `key.path=value` of the command line."""
    keys, equals, text = change.partition("=")
    if not equals or not all(part.strip() for part in keys.split(".")):
        raise ConfigError(
            "a change of a recipe names a field and a value",
            expected="key.path=value",
            got=change,
            where="the command line",
            fix="for example train.steps=2000",
        )
    try:
        return {keys: tomllib.loads(f"value = {text}")["value"]}
    except tomllib.TOMLDecodeError:
        return {keys: text}


def changed(table: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """A table with other values in some fields.

    Args:
        table: plain values; it stays as it is.
        changes: values by the dotted names of their fields; a table replaces the one that was there.

    Raises:
        ConfigError: a name goes through a field that is no table.
    """
    new = copy.deepcopy(dict(table))
    for keys, value in changes.items():
        *path, last = (part.strip() for part in keys.split("."))
        place = new
        for part in path:
            place = place.setdefault(part, {})
            if not isinstance(place, dict):
                raise ConfigError(
                    "a field of a recipe has no fields of its own",
                    got=f"{keys}={value}",
                    where=part,
                    fix="correct the path",
                )
        place[last] = copy.deepcopy(value)
    return new


def plain(config: Config) -> dict[str, Any]:
    """A configuration as plain values, without fields that are `None`; only what was set where that matters to the reader."""
    values: dict[str, Any] = json.loads(config.model_dump_json(exclude_none=True))
    if isinstance(config, Recipe):
        values["generation"] = json.loads(config.generation.model_dump_json(exclude_unset=True))
    return values


def with_tokens(recipe: Recipe, tokens: int) -> Recipe:
    """The same recipe with batches of so many positions."""
    table = plain(recipe)
    batch = {**table["data"]["batch"], "tokens": tokens}
    return parse(Recipe, {**table, "data": {**table["data"], "batch": batch}}, "recipe")


def toml(recipe: Recipe) -> str:
    """A recipe as TOML, every field resolved."""
    return tomli_w.dumps(plain(recipe))
