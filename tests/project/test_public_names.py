"""What others rely on stays as it is, unless a change is meant: then `python -m tests.project.update` writes it down."""

from __future__ import annotations

import ast

import pytest

import isthmus
from tests.project.frozen import FROZEN, HERE, ready
from tests.project.source import PACKAGE


@pytest.mark.parametrize("name", FROZEN)
def test_the_frozen_list_is_what_the_code_has(name: str) -> None:
    if not ready(name):
        pytest.skip("there is no command line yet")
    written = (HERE / name).read_text(encoding="utf-8").splitlines()
    assert list(FROZEN[name]()) == written, "if this change is meant: python -m tests.project.update"


def test_what_is_loaded_lazily_is_what_type_checkers_see() -> None:
    tree = ast.parse((PACKAGE / "__init__.py").read_text(encoding="utf-8"))
    guarded = next(node for node in tree.body if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING")
    seen = {a.name: node.module for node in guarded.body if isinstance(node, ast.ImportFrom) for a in node.names}
    assert seen == dict(isthmus._MODULE_OF)
    assert sorted(seen) == sorted(isthmus.__all__)


def test_every_public_name_is_there_and_listed_by_dir() -> None:
    for name in isthmus.__all__:
        assert isthmus.__getattr__(name).__name__ == name
    assert set(isthmus.__all__) < set(dir(isthmus))


def test_an_unknown_name_is_an_error_that_lists_the_known_ones() -> None:
    with pytest.raises(AttributeError, match=r"no attribute `lod`; it has: .*Padded"):
        isthmus.__getattr__("lod")
    assert not hasattr(isthmus, "__wrapped__")
