"""`docs/recipes.md`: every field of a recipe, as the configurations declare and explain it."""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from types import NoneType, UnionType
from typing import Annotated, Any, Final, Literal, Union, get_args, get_origin

import annotated_types
from pydantic import TypeAdapter
from pydantic.fields import FieldInfo

from isthmus.core.config import Config
from isthmus.model.presets import POINTER_GENERATOR, RECURRENT, TRANSFORMERS, VARIANTS
from isthmus.workflows.recipe import Recipe
from tests.project.source import ROOT

PAGE: Final = ROOT / "docs" / "recipes.md"
ROOT_TITLE: Final = "The recipe"
PLAIN: Final = {int: "whole number", float: "number", str: "text", bool: "`true` or `false`"}
INTRODUCTION: Final = """# Recipes

A recipe is one TOML file that says everything a run is made from. What is left out has the default shown here; what is misspelt
is an error that names the nearest field. Everything can be changed on the command line by the path of its field:

```bash
isthmus train recipes/tatoeba-en-fr.toml train.steps=20000 model.encoder.layers=6 'data.train=[{ source = "mine.tsv" }]'
```

The recipes in [`recipes/`](../recipes) are examples of every task; `runs/NAME/recipe.toml` is what a run resolved its recipe to, no
default left out. The smallest one names its pairs and the number of steps:

```toml
[data]
train = [{ source = "train.en", target = "train.fr" }]

[train]
steps = 10000
```

`model.preset` begins with an architecture by its name (PRESETS); what else stands in
`[model]` lies over it. A field with a dash for a default is `None` where it is left out.

This page is made from the code by `python -m tests.project.update`.
"""


@dataclass
class Section:
    """A configuration, and the paths in a recipe where it may stand."""

    kind: type[Config]
    paths: list[str] = field(default_factory=list)

    @property
    def title(self) -> str:
        """The first path, and which of several kinds it is."""
        name = kind_of(self.kind)
        return f"{self.paths[0] or ROOT_TITLE}{f': {name}' if name else ''}"

    @property
    def link(self) -> str:
        """A link to the section."""
        slug = re.sub(r"[^\w\- ]", "", self.title.lower()).replace(" ", "-")
        return f"[{kind_of(self.kind) or self.paths[0]}](#{slug})"


def kind_of(config: type[Config]) -> str:
    """The name by which a recipe chooses a configuration among several, if it does."""
    info = config.model_fields.get("kind")
    names = () if info is None else get_args(info.annotation)
    return str(names[0]) if len(names) == 1 else ""


def configurations(annotation: Any) -> Iterator[type[Config]]:
    """The configurations that a type is made of."""
    if isinstance(annotation, type) and issubclass(annotation, Config):
        yield annotation
    for part in get_args(annotation):
        yield from configurations(part)


def sections() -> dict[type[Config], Section]:
    """Every configuration of a recipe, in the order in which one meets them."""
    found: dict[type[Config], Section] = {}

    def visit(config: type[Config], path: str) -> None:
        new = config not in found
        paths = found.setdefault(config, Section(config)).paths
        if path not in paths:
            paths.append(path)
        if new:
            for name, info in config.model_fields.items():
                for part in configurations(info.annotation):
                    visit(part, f"{path}.{name}".lstrip("."))

    visit(Recipe, "")
    return found


def meanings(config: type[Config]) -> dict[str, str]:
    """What the docstrings of a configuration, and of those it is derived from, say of each field."""
    found: dict[str, str] = {}
    for base in reversed(config.__mro__):
        said = inspect.getdoc(base) if issubclass(base, Config) else None
        _, _, listed = (said or "").partition("Attributes:\n")
        for entry in re.findall(r"^ {4}(\w+): (.+(?:\n {8,}.+)*)", listed, flags=re.MULTILINE):
            found[entry[0]] = re.sub(r"\s*\n\s*", " ", entry[1])
    return found


def value(annotation: Any, known: dict[type[Config], Section], rules: list[Any]) -> str:
    """What may be written for a field, in words."""
    origin, parts = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return value(parts[0], known, [*parts[1:], *rules])
    if origin is Literal:
        return " · ".join(f"`{json.dumps(one)}`" for one in parts)
    if origin in (Union, UnionType):
        return ", ".join([" · ".join(value(one, known, []) for one in parts if one is not NoneType), *limits(rules)])
    if origin is tuple:
        return f"list of: {value(parts[0], known, [])}"
    if annotation in known:
        return known[annotation].link
    return ", ".join([PLAIN[annotation], *limits(rules)])


def limits(rules: list[Any]) -> list[str]:
    """What pydantic holds a number to."""
    said = []
    for rule in rules:
        match rule:
            case annotated_types.Ge(ge=number):
                said.append(f"≥ {number:g}")
            case annotated_types.Gt(gt=number):
                said.append(f"> {number:g}")
            case annotated_types.Le(le=number):
                said.append(f"≤ {number:g}")
            case annotated_types.Lt(lt=number):
                said.append(f"< {number:g}")
            case annotated_types.MultipleOf(multiple_of=number):
                said.append(f"a multiple of {number:g}")
            case FieldInfo():
                said += limits(rule.metadata)
    return said


def default(info: FieldInfo) -> str:
    """The value of a field that is left out."""
    if info.is_required():
        return "**needed**"
    if isinstance(info.default, Config):
        name = kind_of(type(info.default))
        return f"`{json.dumps(name)}`" if name else "see there"
    written = json.loads(TypeAdapter(Any).dump_json(info.default))
    return "–" if written is None else f"`{json.dumps(written)}`"


def page() -> str:
    """The whole page."""
    known = sections()
    presets = [*(size[0] for size in TRANSFORMERS), *VARIANTS, *RECURRENT, POINTER_GENERATOR]
    lines = [INTRODUCTION.replace("PRESETS", ", ".join(f"`{name}`" for name in presets))]
    for section in known.values():
        said, config = meanings(section.kind), section.kind
        depth = section.paths[0].count(".") if section.paths[0] else 0
        lines += [f"{'#' * (3 if depth else 2)} {section.title}", ""]
        summary = re.split(r"\n\s*\n|\nAttributes:", inspect.getdoc(config) or "")[0]
        lines += [re.sub(r"\s*\n\s*", " ", summary), ""]
        if len(section.paths) > 1:
            lines += ["Also " + ", ".join(f"`{path}`" for path in section.paths[1:]) + ".", ""]
        rows = [(name, info) for name, info in config.model_fields.items() if name != "kind" or not kind_of(config)]
        if rows:
            lines += ["| field | value | default | |", "|---|---|---|---|"]
        for name, info in rows:
            cells = [f"`{name}`", value(info.annotation, known, info.metadata), default(info), said[name]]
            lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
        lines += [""] * bool(rows)
    return "\n".join(lines)
