"""Make the notebooks from the scripts beside them: `python notebooks/generate.py`.

A line `# %%` begins a cell of code, `# %% [markdown]` one of text, whose lines are comments.
"""

from __future__ import annotations

import json
import re
from pathlib import Path

HERE = Path(__file__).parent
ABOUT = {
    "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},
}


def cells(script: str) -> list[tuple[str, str]]:
    """The kind (`code` or `markdown`) and the text of each cell of a script."""
    parts = re.split(r"^# %%(.*)\n", script, flags=re.MULTILINE)
    found = []
    for mark, body in zip(parts[1::2], parts[2::2], strict=True):
        text = body.strip("\n")
        if mark.strip() == "[markdown]":
            found.append(("markdown", re.sub(r"^# ?", "", text, flags=re.MULTILINE)))
        else:
            found.append(("code", text))
    return found


def notebook(script: str) -> str:
    """The notebook of a script, as it stands in its file: without outputs."""
    made = []
    for number, (kind, text) in enumerate(cells(script), 1):
        cell = {"cell_type": kind, "id": f"cell-{number}", "metadata": {}, "source": text.splitlines(keepends=True)}
        made.append(cell if kind == "markdown" else {**cell, "execution_count": None, "outputs": []})
    values = {"cells": made, "metadata": ABOUT, "nbformat": 4, "nbformat_minor": 5}
    return json.dumps(values, indent=1, ensure_ascii=False) + "\n"


def scripts() -> list[Path]:
    """Every script that is a notebook."""
    return sorted(path for path in HERE.glob("*.py") if path != Path(__file__))


if __name__ == "__main__":
    for path in scripts():
        path.with_suffix(".ipynb").write_text(notebook(path.read_text(encoding="utf-8")), encoding="utf-8")
