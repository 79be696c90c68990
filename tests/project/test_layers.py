"""Data flows one way: a layer imports only the layers above it, anywhere in a file, for any reason."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator

import pytest

from tests.project.source import ROOT, Finding, Source, package_sources, walk

LAYERS = (
    ("core",),
    ("text",),
    ("data",),
    ("nn",),
    ("model",),
    ("train", "engines"),
    ("generate",),
    ("evaluate",),
    ("export", "serve"),
    ("workflows",),
    ("cli",),
)
RANK = {name: rank for rank, line in enumerate(LAYERS) for name in line}


def imports(source: Source) -> Iterator[tuple[str, int]]:
    """Every import of a module, also inside functions and under `TYPE_CHECKING`: dotted name and line.

    `from a import b` counts as `a.b`: whether `b` is a module or a name in one, its layer is the same.
    """
    for node, _ in walk(source.tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name, node.lineno
        elif isinstance(node, ast.ImportFrom):
            base = _absolute(source, node)
            for alias in node.names:
                yield f"{base}.{alias.name}", node.lineno
        elif isinstance(node, ast.Call) and ast.unparse(node.func).split(".")[-1] in ("import_module", "__import__"):
            yield "<dynamic>", node.lineno


def _absolute(source: Source, node: ast.ImportFrom) -> str:
    if node.level == 0:
        return node.module or ""
    parts = source.name.split(".")
    parts = parts[: len(parts) - node.level + source.package]
    return ".".join([*parts, node.module] if node.module else parts)


def layering(source: Source) -> Iterator[Finding]:
    """Imports of a module that break the order of the layers."""
    parts = source.name.split(".")
    if parts == ["isthmus"] or parts[1:] == ["__main__"]:
        return
    layer = parts[1]
    if layer not in RANK:
        yield Finding("layers", source.name, 1, f"`{layer}` is no layer of the design")
        return
    for name, line in imports(source):
        finding = Finding("layers", source.name, line, f"`{layer}` may not import `{name}`")
        target = name.split(".")
        if name == "<dynamic>" or (layer == "text" and target[0] == "torch"):
            yield finding
        elif target[0] == "isthmus" and name != "isthmus.__version__":
            other = target[1] if len(target) > 1 else ""
            if other != layer and RANK.get(other, len(LAYERS)) >= RANK[layer]:
                yield finding


@pytest.mark.parametrize("source", package_sources(), ids=lambda source: source.name)
def test_each_module_imports_only_layers_above_it(source: Source) -> None:
    assert [str(finding) for finding in layering(source)] == []


@pytest.mark.parametrize(
    ("module", "code"),
    [
        ("isthmus.core.files", "import isthmus.text.tokenizer"),
        ("isthmus.core.files", "from isthmus import text"),
        ("isthmus.core.files", "from ..text import tokenizer"),
        ("isthmus.core.files", "import isthmus"),
        ("isthmus.core.files", "from isthmus import load"),
        ("isthmus.core.files", "from importlib import import_module\nimport_module('isthmus.text')"),
        ("isthmus.model.bundle", "def load():\n    from isthmus.train.checkpoint import x"),
        ("isthmus.model.bundle", "if TYPE_CHECKING:\n    from isthmus.generate.search import x"),
        (
            "isthmus.model.bundle",
            "class A:\n    def f(self):\n        try:\n            import isthmus.cli\n        finally: ...",
        ),
        ("isthmus.train.loop", "from isthmus.engines.eager import x"),
        ("isthmus.engines.eager", "from isthmus.train.loop import x"),
        ("isthmus.text.metrics", "import torch"),
        ("isthmus.text.metrics", "def f():\n    from torch.nn import functional"),
        ("isthmus.misc.things", ""),
    ],
)
def test_the_checker_sees_a_planted_violation(module: str, code: str) -> None:
    assert list(layering(Source.of(module, code)))


@pytest.mark.parametrize(
    ("module", "code"),
    [
        ("isthmus.text.metrics", "from isthmus.core.errors import DataError\nimport numpy"),
        ("isthmus.model.heads.softmax", "from isthmus.nn.masks import causal\nfrom .. import memory\nimport torch"),
        ("isthmus.cli.main", "from isthmus.workflows.fit import fit\nfrom isthmus import __version__"),
        ("isthmus", "from isthmus.cli import main"),
    ],
)
def test_the_checker_lets_the_right_way_pass(module: str, code: str) -> None:
    assert list(layering(Source.of(module, code))) == []


def test_relative_imports_of_a_package_start_at_the_package() -> None:
    inside = Source.of("isthmus.core", "from .files import sha256\nfrom ..text import x", package=True)
    assert [name for name, _ in imports(inside)] == ["isthmus.core.files.sha256", "isthmus.text.x"]


def test_every_foreign_module_is_a_declared_dependency() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"]
    wanted = [*project["dependencies"], *(item for name in extras if name != "dev" for item in extras[name])]
    declared = {re.split(r"[^\w.-]", item)[0].lower().replace("-", "_") for item in wanted}
    foreign = {name.split(".")[0] for source in package_sources() for name, _ in imports(source)}
    foreign -= {*sys.stdlib_module_names, "isthmus", "<dynamic>"}
    assert foreign <= declared


def test_the_text_layer_works_without_torch() -> None:
    names = [source.name for source in package_sources() if source.name.startswith("isthmus.text")]
    code = f"import sys\nfor name in {names!r}: __import__(name)\nsys.exit('torch' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, env={"PYTHONPATH": str(ROOT / "src")})


def test_importing_the_package_is_quick_and_loads_no_torch() -> None:
    code = (
        "import sys, time\nstart = time.perf_counter()\nimport isthmus\nseconds = time.perf_counter() - start\n"
        "heavy = {'torch', 'numpy', 'pydantic', 'typer', 'sentencepiece'} & set(sys.modules)\n"
        "sys.exit(f'{seconds:.2f} s, {heavy}' if heavy or seconds > 1 else 0)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, env={"PYTHONPATH": str(ROOT / "src")})
