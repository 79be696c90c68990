"""What must be there before anything is written: the tool's library, and a free place."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from types import MappingProxyType

from isthmus.core.errors import InputError

LIBRARIES = MappingProxyType(
    {
        "huggingface": ("transformers", "tokenizers"),
        "ctranslate2": ("ctranslate2",),
        "onnx": ("onnx", "onnxscript", "onnxruntime"),
    }
)
"""The libraries of each extra."""


def needs(extra: str) -> None:
    """Refuse to go on without the libraries of an extra.

    Raises:
        InputError: one is not installed.
    """
    missing = [name for name in LIBRARIES[extra] if find_spec(name) is None]
    if missing:
        raise InputError(
            "this needs a library that is not installed",
            expected=" and ".join(LIBRARIES[extra]),
            got=f"no {missing[0]}",
            where="the Python environment",
            fix=f"pip install 'isthmus[{extra}]'",
        )


def free_place(out: Path) -> None:
    """Refuse to write where something is.

    Raises:
        InputError: there is a file, or a folder that is not empty.
    """
    if out.is_file() or (out.is_dir() and any(out.iterdir())):
        raise InputError(
            "a new folder is written, and nothing replaced",
            expected="a name that is free",
            got="a file" if out.is_file() else "a folder that is not empty",
            where=str(out),
            fix="name another folder, or remove it",
        )
