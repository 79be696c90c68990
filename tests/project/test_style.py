"""The house style that a linter does not know, as rules over the syntax tree; each must see a planted violation."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.project.source import ROOT, Finding, Function, Source, functions, package_sources, parameters, walk

MOST_PARAMETERS, MOST_FUNCTION_LINES, MOST_FILE_LINES = 8, 60, 400

# (rule, where) -> why this place may break the rule. An entry that is no longer needed fails a test.
ALLOWED: dict[tuple[str, str], str] = {
    (
        "parameters",
        "isthmus.generate.translator:Translator.generate",
    ): "generation options as keywords, by their usual names",
    (
        "keyword bag",
        "isthmus.generate.translator:Translator.generate",
    ): "nothing may be in it: an unknown option is refused with the nearest name",
}

REFLECTION = {"getattr", "hasattr", "setattr", "delattr", "eval", "exec", "__import__"}
PICKLING = {
    "pickle",
    "_pickle",
    "cPickle",
    "cloudpickle",
    "dill",
    "joblib",
    "marshal",
    "shelve",
    "torch.load",
    "torch.save",
}
MUTABLE = {
    "list",
    "dict",
    "set",
    "bytearray",
    "defaultdict",
    "OrderedDict",
    "Counter",
    "deque",
    "count",
    "iter",
    "SimpleNamespace",
}
DISPLAYS = ast.List | ast.Dict | ast.Set | ast.ListComp | ast.DictComp | ast.SetComp | ast.GeneratorExp


def no_keyword_bags(source: Source) -> Iterator[Finding]:
    """No `**kwargs` parameter."""
    for node, scope in walk(source.tree):
        if isinstance(node, Function | ast.Lambda) and node.args.kwarg is not None:
            yield _finding("keyword bag", source, scope, node, f"**{node.args.kwarg.arg}")


def no_reflection(source: Source) -> Iterator[Finding]:
    """No `getattr`, `hasattr`, `setattr`, `delattr`, `eval`, `exec`, called or handed on."""
    for node, scope in walk(source.tree):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load) and node.id in REFLECTION:
            yield _finding("reflection", source, scope, node, node.id)


def no_pickle(source: Source) -> Iterator[Finding]:
    """No pickle under any name."""
    for node, scope in walk(source.tree):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.Attribute):
            names = [ast.unparse(node)]
        elif isinstance(node, ast.keyword) and node.arg in ("allow_pickle", "weights_only"):
            yield Finding("pickle", _where(source, scope), node.value.lineno, node.arg)
        for name in names:
            if name in PICKLING or name.split(".")[0] in PICKLING:
                yield _finding("pickle", source, scope, node, name)


def no_print(source: Source) -> Iterator[Finding]:
    """No `print`: the command line writes through its own console."""
    for node, scope in walk(source.tree):
        if isinstance(node, ast.Name) and node.id == "print":
            yield _finding("print", source, scope, node, "print")


def no_assert(source: Source) -> Iterator[Finding]:
    """No `assert`: input is checked by errors that say what to do."""
    for node, scope in walk(source.tree):
        if isinstance(node, ast.Assert):
            yield _finding("assert", source, scope, node, ast.unparse(node))


def no_module_state(source: Source) -> Iterator[Finding]:
    """No mutable value at the top of a module (but `__all__` and `CONSTANT: Final = ...`), and no `global`."""
    for node, scope in walk(source.tree):
        if isinstance(node, ast.Global):
            yield _finding("module state", source, scope, node, "global " + ", ".join(node.names))
    for statement in _top_level(source.tree.body):
        value, targets, constant = None, [], False
        if isinstance(statement, ast.Assign):
            value, targets = statement.value, statement.targets
        elif isinstance(statement, ast.AnnAssign):
            value, targets = statement.value, [statement.target]
            constant = "Final" in ast.unparse(statement.annotation)
        names = [ast.unparse(target) for target in targets]
        constant = constant and all(re.fullmatch(r"_?[A-Z][A-Z0-9_]*", name) for name in names)
        if value is not None and not constant and names != ["__all__"] and _mutable(value):
            yield _finding("module state", source, (), statement, ", ".join(names))


def _top_level(body: list[ast.stmt]) -> Iterator[ast.stmt]:
    """Statements that run at import, also below `if`, `try` and `with`; not those of functions and classes."""
    for statement in body:
        yield statement
        if not isinstance(statement, Function | ast.ClassDef):
            yield from _top_level([node for node in ast.iter_child_nodes(statement) if isinstance(node, ast.stmt)])


def _mutable(value: ast.expr) -> bool:
    if isinstance(value, ast.Call):
        return ast.unparse(value.func).split(".")[-1] in MUTABLE
    return isinstance(value, DISPLAYS)


def few_parameters(source: Source) -> Iterator[Finding]:
    """At most eight parameters, `self` not counted; a command is exempt, for its parameters are its options."""
    for function, name, owner in functions(source):
        command = any(re.search(r"\.(command|callback)\(", ast.unparse(item)) for item in function.decorator_list)
        count = len(parameters(function, owner is not None))
        if count > MOST_PARAMETERS and not command:
            yield Finding("parameters", f"{source.name}:{name}", function.lineno, f"{count} parameters")


def short_functions(source: Source) -> Iterator[Finding]:
    """At most sixty lines a function, its docstring not counted; for a command its options are not counted either."""
    for function, name, _ in functions(source):
        command = any(re.search(r"\.(command|callback)\(", ast.unparse(item)) for item in function.decorator_list)
        body = function.body[1:] if ast.get_docstring(function) is not None else function.body
        head = 0 if command else function.body[0].lineno - function.lineno
        count = head + (body[-1].end_lineno or 0) - body[0].lineno + 1 if body else head
        if count > MOST_FUNCTION_LINES:
            yield Finding("function length", f"{source.name}:{name}", function.lineno, f"{count} lines")


def short_files(source: Source) -> Iterator[Finding]:
    """At most four hundred lines a file."""
    count = len(source.text.splitlines())
    if count > MOST_FILE_LINES:
        yield Finding("file length", source.name, 1, f"{count} lines")


def _finding(rule: str, source: Source, scope: tuple[str, ...], node: ast.AST, what: str) -> Finding:
    return Finding(rule, _where(source, scope), node.lineno, what)  # type: ignore[attr-defined]


def _where(source: Source, scope: tuple[str, ...]) -> str:
    return f"{source.name}:{'.'.join(scope)}" if scope else source.name


Rule = Callable[[Source], Iterator[Finding]]
RULES: tuple[Rule, ...] = (
    no_keyword_bags,
    no_reflection,
    no_pickle,
    no_print,
    no_assert,
    no_module_state,
    few_parameters,
    short_functions,
    short_files,
)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_the_package_keeps_the_rule(rule: Rule) -> None:
    found = [finding for source in package_sources() for finding in rule(source)]
    assert [str(finding) for finding in found if (finding.rule, finding.where) not in ALLOWED] == []


def test_every_exception_is_still_needed() -> None:
    found = {
        (finding.rule, finding.where) for source in package_sources() for rule in RULES for finding in rule(source)
    }
    assert set(ALLOWED) <= found


NINE = ", ".join("abcdefghi")
PLANTED: tuple[tuple[Rule, str], ...] = (
    (no_keyword_bags, "def f(**options): ..."),
    (no_keyword_bags, "class A:\n    async def f(self, **options): ..."),
    (no_keyword_bags, "f = lambda **options: 1"),
    (no_reflection, "def f(a): return getattr(a, 'b')"),
    (no_reflection, "if hasattr(a, 'b'): ..."),
    (no_reflection, "setattr(a, 'b', 1)"),
    (no_reflection, "exec('1')"),
    (no_reflection, "eval('1')"),
    (no_reflection, "map(eval, lines)"),
    (no_pickle, "import pickle"),
    (no_pickle, "import pickle as p"),
    (no_pickle, "def f():\n    from marshal import loads"),
    (no_pickle, "import shelve"),
    (no_pickle, "torch.load(path)"),
    (no_pickle, "write = torch.save"),
    (no_pickle, "from torch import load"),
    (no_pickle, "numpy.load(path, allow_pickle=True)"),
    (no_print, "print(1)"),
    (no_print, "class A:\n    def f(self): print(1)"),
    (no_assert, "def f(a):\n    assert a > 0"),
    (no_module_state, "cache = {}"),
    (no_module_state, "CACHE = []"),
    (no_module_state, "cache: Final = {}"),
    (no_module_state, "names: set[str] = set()"),
    (no_module_state, "a = b = [1]"),
    (no_module_state, "if a:\n    seen = collections.defaultdict(list)"),
    (no_module_state, "try:\n    a = [n for n in b]\nexcept ValueError: ..."),
    (no_module_state, "def f():\n    global a\n    a = 1"),
    (few_parameters, f"def f({NINE}): ..."),
    (few_parameters, f"class A:\n    def f(self, *, {NINE}): ..."),
    (few_parameters, f"class A:\n    @staticmethod\n    def f({NINE}): ..."),
    (short_functions, "def f():\n" + "    a = 1\n" * 60),
    (short_functions, "@app.command()\ndef f():\n" + "    a = 1\n" * 61),
    (short_files, "a = 1\n" * 401),
)
CLEAN: tuple[tuple[Rule, str], ...] = (
    (no_keyword_bags, "f(**options)"),
    (no_reflection, "model.eval()\nself.getattr = 1"),
    (no_pickle, "safetensors.torch.load_file(path)\nself.load(path)\nmodel.save(path)"),
    (no_print, "console.print(1)"),
    (no_assert, "if not a:\n    raise DataError('a')"),
    (
        no_module_state,
        "__all__ = ['a']\nA: Final = {}\n_A: Final[dict[str, int]] = {}\nB = (1, 2)\nC = frozenset({1})",
    ),
    (no_module_state, "def f():\n    a = []\nclass A:\n    b = 1"),
    (few_parameters, "def f(a, b, c, d, e, f, g, h): ...\nclass A:\n    def f(self, a, b, c, d, e, f, g, h): ..."),
    (few_parameters, f"@app.command()\ndef f({NINE}): ..."),
    (short_functions, 'def f():\n    """One.\n' + "\n" * 60 + '    """\n' + "    a = 1\n" * 59),
    (short_files, "a = 1\n" * 400),
)


@pytest.mark.parametrize(("rule", "code"), PLANTED, ids=lambda item: None if isinstance(item, str) else item.__name__)
def test_the_rule_sees_a_planted_violation(rule: Rule, code: str) -> None:
    assert list(rule(Source.of("isthmus.core.planted", code)))


@pytest.mark.parametrize(("rule", "code"), CLEAN, ids=lambda item: None if isinstance(item, str) else item.__name__)
def test_the_rule_lets_the_right_way_pass(rule: Rule, code: str) -> None:
    assert list(rule(Source.of("isthmus.core.planted", code))) == []


# Words and paths that no committed text may hold. Written in parts, so that this file does not hold them either.
UNFINISHED = re.compile(r"\b(" + "TO" + r"DO|FIX" + r"ME|XX" + r"X)\b")
MACHINE = re.compile(r"(?<![\w.~$}/-])/(" + "work|root|home|Users|opt|mnt)/" + r"[\w.]")
DATA = "shared" + "/data"
SUFFIXES = {".py", ".md", ".toml", ".txt", ".yml", ".yaml", ".cfg", ".html", ".json", ".sh", ""}
FOLDERS = (".ci", "benchmarks", "docs", "examples", "notebooks", "recipes", "src", "studies", "tests")


def project_files() -> list[Path]:
    """Every text file of the project, of its folders and at its root."""
    found = [path for folder in FOLDERS for path in (ROOT / folder).rglob("*")] + list(ROOT.iterdir())
    texts = [path for path in found if path.is_file() and path.suffix in SUFFIXES and "__pycache__" not in path.parts]
    return sorted(path for path in texts if path.name != ".git")


def unwelcome(text: str, data: bool) -> list[str]:
    """What a text may not hold: words for unfinished work, paths of one machine, and where the data is."""
    found = [match.group() for pattern in (UNFINISHED, MACHINE) for match in pattern.finditer(text)]
    return [*found, DATA] if DATA in text and not data else found


def test_no_file_holds_unfinished_work_or_a_path_of_one_machine() -> None:
    found = {}
    for path in project_files():
        name = path.relative_to(ROOT).as_posix()
        if words := unwelcome(path.read_text(encoding="utf-8", errors="replace"), data=name == ".ci/run"):
            found[name] = words
    assert found == {}


def test_the_search_for_unwelcome_words_sees_them() -> None:
    for planted in (
        "# TO" + "DO later",
        "FIX" + "ME",
        "read /ho" + "me/me/data",
        '"/ro' + 'ot/x"',
        "../shared" + "/data",
    ):
        assert unwelcome(planted, data=False)
    for fine in ("todos", "https://a.b/home/x", "src/work/x", "~/work/x", "a / b", "$HOME/home/x", "and/or/opt/x"):
        assert not unwelcome(fine, data=False)
    assert not unwelcome(DATA, data=True)
