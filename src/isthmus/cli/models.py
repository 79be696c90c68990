"""A model and what its outputs were made with, for the commands that score."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from isthmus.generate.translator import Translator


@dataclass(frozen=True, slots=True)
class Opened:
    """A model that is ready to generate.

    Attributes:
        machine: what generates.
        weights: the hash of its weights.
    """

    machine: Translator
    weights: str


def opened(path: Path, device: str, precision: Literal["float32", "bfloat16", "auto"], threads: int | None) -> Opened:
    """Open a bundle, or the best bundle of a training run.

    Raises:
        BundleError: there is none, or it is damaged or of a newer format.
        InputError: the device cannot be used.
    """
    from isthmus.core.runtime import probe
    from isthmus.generate.load import translator
    from isthmus.model.bundle import Bundle, weights_hash

    best = path / "best"
    bundle = Bundle.load(best if best.is_dir() else path)
    return Opened(translator(bundle, probe(precision, device, threads)), weights_hash(bundle.model))
