"""Every public thing says what it is, what it says of its parameters is true, and its examples run."""

from __future__ import annotations

import ast
import doctest
import importlib
import re
from collections.abc import Iterator

import pytest

from tests.project.source import Finding, Function, Source, functions, package_sources, parameters, walk


def missing(source: Source) -> Iterator[Finding]:
    """Public modules, classes, functions and methods without a docstring; overloads and nested functions need none."""
    if not (ast.get_docstring(source.tree) or "").strip():
        yield Finding("docstring", source.name, 1, "a module without a docstring")
    for owner, scope in _public_scopes(source.tree, ()):
        for node in owner.body:
            if not isinstance(node, Function | ast.ClassDef) or node.name.startswith("_") or _overload(node):
                continue
            if not (ast.get_docstring(node) or "").strip():
                yield Finding(
                    "docstring", f"{source.name}:{'.'.join((*scope, node.name))}", node.lineno, "no docstring"
                )


def untrue(source: Source) -> Iterator[Finding]:
    """`Args:` and `Attributes:` that are not so: all parameters, all fields of a dataclass, real attributes; in order."""
    for function, name, owner in functions(source):
        told = section(ast.get_docstring(function) or "", "Args")
        if told is not None and told != (real := parameters(function, owner is not None)):
            yield Finding("docstring", f"{source.name}:{name}", function.lineno, f"says {told}, has {real}")
    for node, scope in walk(source.tree):
        if isinstance(node, ast.ClassDef):
            where, text = f"{source.name}:{'.'.join(scope)}", ast.get_docstring(node) or ""
            told, real = section(text, "Args"), _constructor(node)
            if told is not None and told != real:
                yield Finding("docstring", where, node.lineno, f"says Args {told}, has {real}")
            told, real = section(text, "Attributes"), _attributes(node)
            if _dataclass(node):
                real = _fields(node)
            elif told is not None:
                real = [name for name in real if name in told]
            if told is not None and told != real:
                yield Finding("docstring", where, node.lineno, f"says Attributes {told}, has {real}")


def section(docstring: str, title: str) -> list[str] | None:
    """The names in a section like `Args:`, or None if there is no such section."""
    lines = docstring.splitlines()
    starts = [index for index, line in enumerate(lines) if line.strip() == f"{title}:"]
    if not starts:
        return None
    margin = len(lines[starts[0]]) - len(lines[starts[0]].lstrip())
    names, depth = [], None
    for line in lines[starts[0] + 1 :]:
        indent = len(line) - len(line.lstrip())
        if line.strip() and indent <= margin:
            break
        depth = indent if depth is None and line.strip() else depth
        if line.strip() and indent == depth:
            entry = re.match(r"`{0,2}(\*{0,2}\w+)`{0,2}(?: \(.*?\))?:", line.strip())
            names.append(entry.group(1) if entry else line.strip())
    return names


def _public_scopes(
    node: ast.Module | ast.ClassDef, scope: tuple[str, ...]
) -> Iterator[tuple[ast.Module | ast.ClassDef, tuple[str, ...]]]:
    yield node, scope
    for inner in node.body:
        if isinstance(inner, ast.ClassDef) and not inner.name.startswith("_"):
            yield from _public_scopes(inner, (*scope, inner.name))


def _overload(node: Function | ast.ClassDef) -> bool:
    """A second body of a documented thing: `@overload`, a property's setter, or a method marked `@override`."""
    last = {ast.unparse(item).split(".")[-1] for item in node.decorator_list}
    return bool(last & {"overload", "setter", "override"})


def _dataclass(node: ast.ClassDef) -> bool:
    return any("dataclass" in ast.unparse(item) for item in node.decorator_list)


def _fields(node: ast.ClassDef) -> list[str]:
    """The annotated names of a class, without class variables and private ones."""
    annotated = [
        item for item in node.body if isinstance(item, ast.AnnAssign) and "ClassVar" not in ast.unparse(item.annotation)
    ]
    names = [ast.unparse(item.target) for item in annotated]
    return [name for name in names if not name.startswith("_")]


def _attributes(node: ast.ClassDef) -> list[str]:
    """The fields of a class, then what its methods set on `self`, then its properties; each once."""
    names = _fields(node)
    for item in ast.walk(node):
        if isinstance(item, ast.Attribute) and isinstance(item.ctx, ast.Store) and ast.unparse(item.value) == "self":
            names.append(item.attr)
    names.extend(item.name for item in node.body if isinstance(item, Function))
    return list(dict.fromkeys(names))


def _constructor(node: ast.ClassDef) -> list[str]:
    for item in node.body:
        if isinstance(item, Function) and item.name == "__init__":
            return parameters(item, method=True)
    return _fields(node)


@pytest.mark.parametrize("source", package_sources(), ids=lambda source: source.name)
def test_docstrings_are_there_and_true(source: Source) -> None:
    assert [str(finding) for rule in (missing, untrue) for finding in rule(source)] == []


def test_the_examples_in_docstrings_run() -> None:
    for source in package_sources():
        if ">>>" in source.text:
            result = doctest.testmod(importlib.import_module(source.name), optionflags=doctest.ELLIPSIS)
            assert result.failed == 0, source.name


ARGS = '"""M."""\ndef f(a, *b, c=1):\n    """F.\n\n    Args:\n        {}\n\n    Raises:\n        E: x.\n    """'
CLASS = (
    '"""M."""\nclass A:\n    """A.\n\n    {}:\n        a: one,\n            or b: two.\n        b: three.\n    """\n{}'
)


@pytest.mark.parametrize(
    "code",
    [
        "a = 1",
        '"""M."""\ndef f(): ...',
        '"""M."""\nclass A: ...',
        '"""M."""\nclass A:\n    """A."""\n    def f(self): ...',
        '"""M."""\nclass A:\n    """A."""\n    @property\n    def f(self): ...',
        '"""M."""\nclass A:\n    """A."""\n    class B:\n        """B."""\n        def f(self): ...',
        ARGS.format("a: x.\n        c: x."),
        ARGS.format("a: x.\n        c: x.\n        *b: x."),
        ARGS.format("a: x.\n        *b: x.\n        c: x.\n        d: x."),
        CLASS.format("Args", "    def __init__(self, a): ..."),
        CLASS.format("Args", "    b: int\n    a: int"),
        CLASS.format("Attributes", "    a: int"),
        CLASS.format("Attributes", "    def __init__(self):\n        self.a = 1"),
        CLASS.format("Attributes", "    b: int\n    a: int"),
        CLASS.replace("class", "@dataclass\nclass").format("Attributes", "    a: int\n    b: int\n    c: int"),
    ],
)
def test_the_checker_sees_a_planted_violation(code: str) -> None:
    source = Source.of("isthmus.core.planted", code)
    assert [*missing(source), *untrue(source)]


@pytest.mark.parametrize(
    "code",
    [
        '"""M."""\ndef _f(): ...\nclass _A:\n    def f(self): ...\ndef g():\n    """G."""\n    def h(): ...',
        ARGS.format("a: x.\n        *b: x: y.\n        c (int): x."),
        CLASS.format("Args", "    def __init__(self, a, b): ..."),
        CLASS.format("Attributes", "    def __init__(self):\n        self.a = self.c = 1\n        self.b = 2"),
        CLASS.format("Attributes", "    a: int\n    c: int\n    b: int = 2"),
        CLASS.replace("class", "@dataclass\nclass").format(
            "Attributes", "    a: int\n    b: int = 2\n    c: ClassVar[int] = 3\n    _d: int = 4"
        ),
    ],
)
def test_the_checker_lets_the_right_way_pass(code: str) -> None:
    source = Source.of("isthmus.core.planted", code)
    assert [*missing(source), *untrue(source)] == []
