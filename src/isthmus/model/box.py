"""The models in the box: bundles that come with the package, named `box:en-fr`, or plain `en-fr` where no such path exists."""

from __future__ import annotations

from pathlib import Path

from isthmus.model.bundle import MANIFEST

BOX = Path(__file__).resolve().parents[1] / "box"
"""Where they are: a folder a model."""
PREFIX = "box:"


def boxed() -> dict[str, Path]:
    """Every model in the box by name."""
    folders = sorted(BOX.iterdir()) if BOX.is_dir() else []
    return {folder.name: folder for folder in folders if (folder / MANIFEST).is_file()}


def located(path: str | Path) -> Path:
    """Where a model is: a path that exists, else a model in the box, else the path as it is.

    Args:
        path: a folder, `box:NAME` or `NAME`.
    """
    place = Path(path)
    if place.exists():
        return place
    return boxed().get(str(path).removeprefix(PREFIX), place)
