"""A folder with the graphs of a model that is a bundle too: beside them stand our codec and manifest."""

from __future__ import annotations

from isthmus.core.errors import InputError

ENCODE, STEP = "encode.onnx", "step.onnx"


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
