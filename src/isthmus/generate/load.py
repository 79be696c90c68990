"""From a folder on the disk to a translator."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from isthmus.core.runtime import Precision, Runtime, probe
from isthmus.engines.torch_engine import TorchEngine
from isthmus.generate.options import GenerationOptions
from isthmus.generate.translator import Task, Translator
from isthmus.model.bundle import Bundle
from isthmus.text.vocabulary import BOS


def load(
    path: str | Path,
    *,
    device: str = "auto",
    precision: Precision | Literal["auto"] = "float32",
    threads: int | None = None,
) -> Translator:
    """Load a bundle and get it ready to generate.

    Args:
        path: the folder of a bundle, or of a training run (then its best bundle).
        device: where to compute, as torch names it; `auto` takes a GPU if there is one.
        precision: of the matrix products; `auto` is the fastest on this machine.
        threads: processor threads; by default what torch uses.

    Raises:
        BundleError: there is no bundle, or it is damaged or of a newer format.

    Example:
        >>> isthmus.load("en-fr").generate(["I love this beer."], max_length=50)  # doctest: +SKIP
    """
    folder = Path(path)
    best = folder / "best"
    bundle = Bundle.load(best if best.is_dir() else folder)
    return translator(bundle, probe(precision, device, threads))


def translator(bundle: Bundle, runtime: Runtime | None = None) -> Translator:
    """A translator of a bundle that is in memory."""
    options = GenerationOptions.of(bundle.generation, "generation.json")
    engine = TorchEngine(bundle.model, (BOS,), runtime)
    return Translator(engine, bundle.codec, options, _task(bundle))


def _task(bundle: Bundle) -> Task:
    info = bundle.info
    return Task(
        unit=str(info.get("unit", "")),
        source_language=str(info.get("source_language", "")),
        target_language=str(info.get("target_language", "")),
        positions=bundle.config.embedding.positions.maximum,
    )
