"""The base of every configuration: strict, frozen, and with errors that name the nearest field."""

from __future__ import annotations

import difflib
import json
from collections.abc import Mapping
from typing import Any, TypeVar, get_args

from pydantic import BaseModel, ConfigDict, ValidationError

from isthmus.core.errors import ConfigError


class Config(BaseModel):
    """A frozen configuration: unknown fields are errors, types are never coerced, numbers are finite unless a field says otherwise."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", strict=True, allow_inf_nan=False, ser_json_inf_nan="constants"
    )


C = TypeVar("C", bound=Config)


def parse(kind: type[C], values: Mapping[str, Any], where: str) -> C:
    """Validate plain values (from TOML or JSON) into a configuration.

    Args:
        kind: the configuration class.
        values: nested plain values: tables, arrays, strings, numbers, booleans.
        where: the file that they came from, for the error.

    Raises:
        ConfigError: naming the field, what was expected and got, and for an unknown field the nearest one.
    """
    try:
        return kind.model_validate_json(json.dumps(values, default=str))
    except ValidationError as error:
        raise _readable(kind, error, where) from None


def _readable(kind: type[Config], error: ValidationError, where: str) -> ConfigError:
    first = min(error.errors(), key=lambda one: one["type"] != "extra_forbidden")
    known = _field_names(kind)
    path = ".".join(str(part) for part in _without_tags(first["loc"], known))
    more = f" (and {error.error_count() - 1} more)" if error.error_count() > 1 else ""
    if first["type"] == "extra_forbidden":
        names = sorted(known)
        near = difflib.get_close_matches(str(first["loc"][-1]), names, n=1, cutoff=0.5)
        return ConfigError(
            f"unknown field `{path}`{more}",
            expected="a field of the schema",
            got=f"{path} = {first['input']!r}",
            where=where,
            fix=f"did you mean `{near[0]}`?" if near else f"known fields: {', '.join(names)}",
        )
    missing = first["type"] == "missing"
    return ConfigError(
        f"{'missing' if missing else 'invalid'} field `{path}`{more}",
        expected=first["msg"],
        got="nothing" if missing else repr(first["input"]),
        where=where,
        fix=f"set `{path}`" if missing else f"correct `{path}`",
    )


def _without_tags(path: tuple[int | str, ...], known: set[str]) -> list[int | str]:
    """The path as a user writes it: pydantic puts the `kind` that it chose between the fields."""
    last = len(path) - 1
    return [part for place, part in enumerate(path) if isinstance(part, int) or place == last or part in known]


def _field_names(kind: type[Config]) -> set[str]:
    """Every field name of a configuration and of the configurations inside it."""
    found: set[str] = set()
    todo: list[Any] = [kind]
    seen: set[int] = set()
    while todo:
        item = todo.pop()
        if id(item) in seen:
            continue
        seen.add(id(item))
        if isinstance(item, type) and issubclass(item, BaseModel):
            found.update(item.model_fields)
            todo.extend(field.annotation for field in item.model_fields.values())
        else:
            todo.extend(get_args(item))
    return found
