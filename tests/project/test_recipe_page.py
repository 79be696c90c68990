"""The page of recipes is what the code says, and its links lead somewhere."""

from __future__ import annotations

import re

import pytest
from pydantic import Field

from isthmus.core.config import Config
from tests.project.recipe_page import PAGE, limits, meanings, page, value


def test_the_page_is_what_the_code_says() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(), "if this change is meant: python -m tests.project.update"


def test_every_link_has_its_section() -> None:
    text = page()
    headings = re.findall(r"^#+ (.+)$", text, flags=re.MULTILINE)
    places = {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
    links = re.findall(r"\]\(#([^)]+)\)", text)
    assert len(links) > 60
    assert set(links) <= places


class Base(Config):
    """A base.

    Attributes:
        first: of the base,
            on two lines.
    """

    first: int = Field(default=3, ge=2, lt=7)


class Derived(Base):
    """More.

    Attributes:
        second: its own.
    """

    second: float | None = Field(default=None, gt=0)


def test_what_is_said_of_a_field_is_its_docstring() -> None:
    assert meanings(Derived) == {"first": "of the base, on two lines.", "second": "its own."}


@pytest.mark.parametrize(("name", "said"), [("first", "whole number, ≥ 2, < 7"), ("second", "number, > 0")])
def test_a_value_says_its_limits(name: str, said: str) -> None:
    info = Derived.model_fields[name]
    assert value(info.annotation, {}, info.metadata) == said
    assert limits(info.metadata) == said.split(", ")[1:]
