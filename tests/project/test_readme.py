"""What the documentation shows works: Python blocks run, commands exist with the options shown.

Blocks of one file share their names, as if typed one after the other. A comment on the line before a block says
`<!-- slow -->` (run with the slow tests only) or `<!-- skip: why -->`. A block `output` behind a Python block is what it prints.
"""

from __future__ import annotations

import io
import re
import shlex
from collections.abc import Mapping
from contextlib import redirect_stdout
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.project.frozen import commands, ready
from tests.project.source import ROOT

DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
SHELLS = {"bash", "sh", "shell", "console"}


@dataclass(frozen=True, slots=True)
class Block:
    """A fenced block: its language, the line of its first line, its text, and the word of the comment before it."""

    language: str
    line: int
    text: str
    marker: str = ""


def blocks(text: str) -> list[Block]:
    """The fenced blocks of a Markdown text, in order."""
    found: list[Block] = []
    lines = text.splitlines()
    index, before = 0, ""
    while index < len(lines):
        fence = re.match(r"(`{3,}|~{3,})\s*(\w*)", lines[index])
        if fence:
            end = next(n for n in range(index + 1, len(lines)) if lines[n].rstrip() == fence.group(1))
            marker = re.fullmatch(r"<!--\s*(slow|skip: \S.*?)\s*-->", before)
            body = "\n".join(lines[index + 1 : end]) + "\n"
            found.append(Block(fence.group(2), index + 2, body, marker.group(1) if marker else ""))
            index = end
        before = lines[index].strip() or before
        index += 1
    return found


def run(document: Path, slow: bool) -> int:
    """Run the Python blocks of a document in one namespace; returns how many ran.

    A block `output` right behind one is what it prints.
    """
    names: dict[str, object] = {"__name__": document.stem}
    found = blocks(document.read_text(encoding="utf-8"))
    count = 0
    for block, after in zip(found, [*found[1:], Block("", 0, "")], strict=False):
        if block.language == "python" and (block.marker == "" or (slow and block.marker == "slow")):
            padded = "\n" * (block.line - 1) + block.text  # so that a traceback names the line of the document
            with redirect_stdout(io.StringIO()) as printed:
                exec(compile(padded, str(document), "exec"), names)  # the point of this test
            if after.language == "output":
                assert printed.getvalue() == after.text, f"{document.name}, line {after.line}"
            count += 1
    return count


def complaints(text: str, known: Mapping[str, set[str]]) -> list[str]:
    """Calls of `isthmus` in the shell blocks of a text whose command or options are not known."""
    found: list[str] = []
    for block in blocks(text):
        if block.language in SHELLS and not block.marker.startswith("skip"):
            for line in block.text.replace("\\\n", " ").splitlines():
                lexer = shlex.shlex(line.removeprefix("$ "), posix=True, punctuation_chars=True)
                lexer.whitespace_split = True
                found.extend(f"line {block.line}: {wrong}" for wrong in _wrong(list(lexer), known))
    return found


def _wrong(words: list[str], known: Mapping[str, set[str]]) -> list[str]:
    """What is unknown in one line of words; a pipe or semicolon starts another command."""
    found: list[str] = []
    command = ""
    for before, word in zip(["", *words], words, strict=False):
        option = word.startswith("-") and not re.fullmatch(r"-\d.*|-|--", word)
        if before == "isthmus":
            command = "" if option else word
            if command and command not in known:
                found.append(f"isthmus {command}")
        elif re.fullmatch(r"[|;&]+", word):
            command = ""
        elif option and command in known and word.split("=")[0] not in known[command]:
            found.append(f"isthmus {command} {word}")
    return found


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_python_blocks_run(document: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    run(document, slow=False)


@pytest.mark.slow
@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_python_blocks_run_with_the_slow_ones(document: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if "<!-- slow -->" not in document.read_text(encoding="utf-8"):
        pytest.skip("no slow block")
    monkeypatch.chdir(tmp_path)
    run(document, slow=True)


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_commands_are_as_shown(document: Path) -> None:
    if not ready("cli_options.txt"):
        pytest.skip("there is no command line yet")
    known = {
        name: {"--help", *(o for p in params for o in (*p.opts, *p.secondary_opts))} for name, params in commands()
    }
    assert complaints(document.read_text(encoding="utf-8"), known) == []


EXAMPLE = """
# Title

```python
a = 2
```

<!-- slow -->
```python
b = a + 1
Path("ran").write_text(str(b))
```

<!-- skip: needs a GPU -->

```python
raise SystemExit
```

~~~bash
$ isthmus train a.toml --out x --beam=3 && isthmus generate x -1 | sort --reverse
isthmus generate x \\
    --nbest 3
isthmus translate x
~~~

```
isthmus nothing --at-all
```
"""


def test_blocks_are_found_with_their_lines_and_markers() -> None:
    assert [(b.language, b.line, b.marker) for b in blocks(EXAMPLE)] == [
        ("python", 5, ""),
        ("python", 10, "slow"),
        ("python", 17, "skip: needs a GPU"),
        ("bash", 21, ""),
        ("", 28, ""),
    ]


def test_blocks_share_their_names_and_obey_their_markers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    document = tmp_path / "a.md"
    document.write_text(EXAMPLE.replace("a = 2", "from pathlib import Path\na = 2"), encoding="utf-8")
    assert run(document, slow=False) == 1
    assert not Path("ran").exists()
    assert run(document, slow=True) == 2
    assert Path("ran").read_text(encoding="utf-8") == "3"
    document.write_text("```python\n1 / 0\n```\n", encoding="utf-8")
    with pytest.raises(ZeroDivisionError):
        run(document, slow=False)


def test_what_a_block_prints_is_what_stands_below_it(tmp_path: Path) -> None:
    document = tmp_path / "a.md"
    text = "```python run\nprint(1 + 1)\n```\n\nwords\n\n```output\n2\n```\n"
    document.write_text(text, encoding="utf-8")
    assert run(document, slow=False) == 1
    document.write_text(text.replace("\n2\n", "\n3\n"), encoding="utf-8")
    with pytest.raises(AssertionError, match="line 8"):
        run(document, slow=False)


def test_unknown_commands_and_options_are_seen() -> None:
    known = {"train": {"--out"}, "generate": {"--n-best"}}
    assert complaints(EXAMPLE, known) == [
        "line 21: isthmus train --beam=3",
        "line 21: isthmus generate --nbest",
        "line 21: isthmus translate",
    ]
