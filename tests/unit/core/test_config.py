from __future__ import annotations

import datetime
from typing import Annotated, Any, Literal

import pytest
from pydantic import Field, ValidationError

from isthmus.core.config import Config, parse
from isthmus.core.errors import ConfigError


class Round(Config):
    kind: Literal["round"] = "round"
    radius: float = 1.0


class Square(Config):
    kind: Literal["square"] = "square"
    side: int = 1


class Drawing(Config):
    title: str
    shape: Annotated[Round | Square, Field(discriminator="kind")] = Round()
    shapes: tuple[Round, ...] = ()
    colour: str | None = None


def test_values_become_a_configuration() -> None:
    values = {"title": "one", "shape": {"kind": "square", "side": 3}, "shapes": [{"radius": 2}, {}]}
    assert parse(Drawing, values, "f") == Drawing(
        title="one", shape=Square(side=3), shapes=(Round(radius=2.0), Round()), colour=None
    )


@pytest.mark.parametrize(
    ("values", "rule", "expected", "got", "fix"),
    [
        ({}, "missing field `title`", "required", "nothing", "set `title`"),
        ({"titel": "x"}, "unknown field `titel` (and 1 more)", "a field", "'x'", "did you mean `title`?"),
        (
            {"title": "x", "colur": "r"},
            "unknown field `colur`",
            "a field of the schema",
            "'r'",
            "did you mean `colour`?",
        ),
        ({"title": "x", "zzz": 1}, "unknown field `zzz`", "schema", "zzz = 1", "known fields: colour, kind, radius"),
        ({"title": 7}, "invalid field `title`", "valid string", "7", "correct `title`"),
        ({"title": "x", "shape": {"kind": "round", "radus": 2}}, "unknown field `shape.radus`", "", "2", "`radius`"),
        ({"title": "x", "shape": {"kind": "square", "side": 1.5}}, "invalid field `shape.side`", "integer", "1.5", ""),
        ({"title": "x", "shape": {"kind": "oval"}}, "invalid field `shape`", "'round', 'square'", "oval", ""),
        ({"title": "x", "shapes": [{}, {"radius": "2"}]}, "invalid field `shapes.1.radius`", "number", "'2'", ""),
        ({"title": datetime.date(2024, 1, 2), "x": 1}, "unknown field `x`", "", "1", ""),
    ],
)
def test_errors_name_the_field_and_the_nearest(
    values: dict[str, Any], rule: str, expected: str, got: str, fix: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        parse(Drawing, values, "drawing.toml")
    error = caught.value
    assert error.rule == rule
    assert expected in error.expected
    assert got in error.got
    assert fix in error.fix
    assert error.where == "drawing.toml"
    assert error.__cause__ is None


def test_a_configuration_is_frozen() -> None:
    with pytest.raises(ValidationError):
        Round().radius = 2.0  # type: ignore[misc]
