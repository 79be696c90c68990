"""What computes for a folder: PyTorch, or another engine where it is there, asked for or better."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Literal

from isthmus.core.errors import InputError
from isthmus.core.runtime import Runtime
from isthmus.data.codec import Codec
from isthmus.engines.ct2 import folder as ct2
from isthmus.engines.ct2.searcher import CTranslate2Searcher
from isthmus.engines.ct2.support import check
from isthmus.engines.engine import Engine
from isthmus.engines.forms import form_of, open_bundle
from isthmus.engines.lazy import LazyEngine
from isthmus.engines.onnx.engine import OnnxEngine
from isthmus.engines.onnx.folder import check_format
from isthmus.engines.torch_engine import TorchEngine
from isthmus.generate.alignment_head import looks_of
from isthmus.generate.delegate import Delegation
from isthmus.model.bundle import CONFIG, Bundle, read_json

Choice = Literal["auto", "torch", "ctranslate2", "onnx"]


@dataclass(frozen=True, slots=True)
class Run:
    """What runs a bundle.

    Attributes:
        engine: step by step.
        delegation: what searches in its place, if anything.
        search: options that hold where the bundle says nothing of them.
    """

    engine: Engine
    delegation: Delegation | None = None
    search: Mapping[str, Any] = field(default_factory=dict)


def run_by(folder: Path, engine: Choice, runtime: Runtime) -> Run:
    """Get a bundle ready to run.

    Args:
        folder: of the bundle, in any form.
        engine: what was asked for.
        runtime: where and how to compute.

    Raises:
        BundleError: there is no bundle, or it is damaged or of a newer format.
        InputError: the engine is not installed, or cannot run the model as asked.
    """
    form = form_of(folder)
    if form == "onnx" or engine == "onnx":
        return _graphs(folder, engine, runtime)
    if form == "ctranslate2":
        return _exported(folder, engine, runtime)
    bundle = open_bundle(folder)
    own = torch_engine(bundle, runtime)
    if engine != "ctranslate2":
        return Run(own)
    _check_precision(runtime)
    check(bundle.config)
    return Run(own, Delegation(CTranslate2Searcher(bundle, bundle.codec, "float32", runtime), strict=True), ct2.SEARCH)


def torch_engine(bundle: Bundle, runtime: Runtime | None = None) -> TorchEngine:
    """PyTorch on a bundle that is in memory; where it looks is said by the head that the bundle notes as its alignment.

    Args:
        bundle: of the model.
        runtime: where and how to compute.

    Raises:
        ConfigError: what the bundle notes is no head.
    """
    return TorchEngine(bundle.model, (bundle.codec.config.frame.start,), runtime, looks_of(bundle))


def _graphs(folder: Path, engine: Choice, runtime: Runtime) -> Run:
    """A folder of ONNX graphs."""
    if form_of(folder) != "onnx" or engine not in ("auto", "onnx"):
        raise InputError(
            "ONNX graphs are run by onnxruntime, and nothing else is",
            expected="a folder of `isthmus export --to onnx` with the engine `auto` or `onnx`",
            got=f"the engine {engine} for {'graphs' if form_of(folder) == 'onnx' else 'a bundle without graphs'}",
            where=str(folder),
            fix="export the bundle to ONNX first, or leave out the engine",
        )
    start = Codec.load(folder).config.frame.start
    check_format(folder, read_json(folder / CONFIG)["onnx"])
    return Run(OnnxEngine(folder, (start,), runtime))


def _exported(folder: Path, engine: Choice, runtime: Runtime) -> Run:
    """A folder for CTranslate2; PyTorch reads its weights only when it must."""
    codec = Codec.load(folder)
    own = LazyEngine((codec.config.frame.start,), runtime.device, partial(_read, folder, runtime))
    if engine == "torch" or (engine == "auto" and (runtime.precision != "float32" or not ct2.installed())):
        return Run(own)
    _check_precision(runtime)
    about = read_json(folder / CONFIG)
    searcher = CTranslate2Searcher(folder, codec, about["quantization"], runtime, (folder / ct2.SHORTLIST).is_file())
    return Run(own, Delegation(searcher, strict=engine == "ctranslate2"))


def _read(folder: Path, runtime: Runtime) -> Engine:
    return torch_engine(open_bundle(folder), runtime)


def _check_precision(runtime: Runtime) -> None:
    """Refuse a precision that CTranslate2 does not have here."""
    if runtime.precision != "float32":
        raise InputError(
            "CTranslate2 computes in the precision that its folder was written in",
            expected="float32",
            got=runtime.precision,
            where="precision",
            fix="leave out the precision, or use the engine `torch`",
        )
