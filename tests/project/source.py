"""The source files of the package as syntax trees, for the tests of this folder."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "src" / "isthmus"

Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True, slots=True)
class Source:
    """One module: its dotted name, whether it is a package's `__init__`, its text and its tree."""

    name: str
    package: bool
    text: str
    tree: ast.Module

    @classmethod
    def of(cls, name: str, text: str, package: bool = False) -> Source:
        return cls(name, package, text, ast.parse(text))


@dataclass(frozen=True, slots=True, order=True)
class Finding:
    """A place that breaks a rule. `where` is `module:qualified.name`, so that a moved line stays the same finding."""

    rule: str
    where: str
    line: int
    what: str

    def __str__(self) -> str:
        return f"{self.rule}: {self.where}, line {self.line}: {self.what}"


def package_sources() -> list[Source]:
    """Every module of the package."""
    found = []
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
        package = parts[-1] == "__init__"
        name = ".".join(parts[:-1] if package else parts)
        found.append(Source.of(name, path.read_text(encoding="utf-8"), package))
    return found


def walk(tree: ast.AST, scope: tuple[str, ...] = ()) -> Iterator[tuple[ast.AST, tuple[str, ...]]]:
    """Every node below `tree` with the names of the classes and functions around it, itself included."""
    for node in ast.iter_child_nodes(tree):
        inner = (*scope, node.name) if isinstance(node, Function | ast.ClassDef) else scope
        yield node, inner
        yield from walk(node, inner)


def functions(source: Source) -> Iterator[tuple[Function, str, ast.ClassDef | None]]:
    """Every function and method: its node, its qualified name, and the class that it is a method of."""
    yield from _functions(source.tree, (), None)


def _functions(
    tree: ast.AST, scope: tuple[str, ...], owner: ast.ClassDef | None
) -> Iterator[tuple[Function, str, ast.ClassDef | None]]:
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, Function):
            yield node, ".".join((*scope, node.name)), owner
            yield from _functions(node, (*scope, node.name), None)
        elif isinstance(node, ast.ClassDef):
            yield from _functions(node, (*scope, node.name), node)
        else:
            yield from _functions(node, scope, owner)


def parameters(function: Function, method: bool) -> list[str]:
    """Names of the parameters in order, `*rest` with its star, without `self` or `cls`."""
    arguments = function.args
    names = [argument.arg for argument in (*arguments.posonlyargs, *arguments.args)]
    static = any(isinstance(item, ast.Name) and item.id == "staticmethod" for item in function.decorator_list)
    if method and not static:
        names = names[1:]
    if arguments.vararg is not None:
        names.append(f"*{arguments.vararg.arg}")
    names.extend(argument.arg for argument in arguments.kwonlyargs)
    if arguments.kwarg is not None:
        names.append(f"**{arguments.kwarg.arg}")
    return names
