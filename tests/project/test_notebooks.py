"""The notebooks are their scripts, have no outputs, and run from the first cell to the last."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from types import ModuleType

import pytest

from tests.project.source import ROOT

NOTEBOOKS = ROOT / "notebooks"


def maker() -> ModuleType:
    """The module `notebooks/generate.py`."""
    spec = importlib.util.spec_from_file_location("generate", NOTEBOOKS / "generate.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_notebook_is_what_its_script_makes() -> None:
    made = maker()
    assert {path.stem for path in NOTEBOOKS.glob("*.ipynb")} == {path.stem for path in made.scripts()} != set()
    for path in made.scripts():
        text = path.with_suffix(".ipynb").read_text(encoding="utf-8")
        assert text == made.notebook(path.read_text(encoding="utf-8")), "run: python notebooks/generate.py"
        code = [cell for cell in json.loads(text)["cells"] if cell["cell_type"] == "code"]
        assert code
        assert all(cell["outputs"] == [] and cell["execution_count"] is None for cell in code)


def test_cells_are_cut_at_their_marks() -> None:
    script = "# %% [markdown]\n# # Title\n#\n# words\n\n# %%\na = 1\n\n# a comment\nb = 2\n\n# %%\nc\n"
    assert maker().cells(script) == [
        ("markdown", "# Title\n\nwords"),
        ("code", "a = 1\n\n# a comment\nb = 2"),
        ("code", "c"),
    ]


@pytest.mark.slow
@pytest.mark.parametrize("path", sorted(NOTEBOOKS.glob("*.ipynb")), ids=lambda path: path.stem)
def test_the_cells_run(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MPLBACKEND", "agg")
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    names: dict[str, object] = {"__name__": "__main__"}
    for number, cell in enumerate(json.loads(path.read_text(encoding="utf-8"))["cells"], 1):
        if cell["cell_type"] == "code":
            exec(
                compile("".join(cell["source"]), f"{path.name}, cell {number}", "exec"), names
            )  # the point of this test
    assert "| attention |" in capsys.readouterr().out
    assert list(tmp_path.rglob("report.html"))
