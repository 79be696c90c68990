"""What must be there before anything is written: the tool's library."""

from __future__ import annotations

from importlib.util import find_spec
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
