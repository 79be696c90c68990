"""A folder with the graphs of a model that is a bundle too: beside them stand our codec and manifest."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from isthmus.core.errors import BundleError, InputError

ENCODE, STEP = "encode.onnx", "step.onnx"
FORMAT = 2
"""Version of the graphs: 2 names what a step gives after what the next one takes in its place."""
NEXT = "next_"
"""Before the name of what takes the place of something."""


def check_format(folder: Path, about: Mapping[str, Any]) -> None:
    """Refuse graphs that another version wrote.

    Args:
        folder: has them.
        about: what its configuration says of them.

    Raises:
        BundleError: they are of another format.
    """
    found = about.get("format", 1)
    if found != FORMAT:
        raise BundleError(
            "graphs are of another format",
            expected=f"format {FORMAT}",
            got=str(found),
            where=str(folder),
            fix="export the bundle again with this version of Isthmus",
        )


def require() -> None:
    """Raise an InputError if onnxruntime is not installed."""
    try:
        import onnxruntime  # noqa: F401
    except ImportError:
        raise InputError(
            "onnxruntime is not installed",
            expected="the package onnxruntime",
            got="none",
            fix='pip install "isthmus[onnx]"',
        ) from None
