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
        weights: the hash of its weights; of several, their hashes, with `+`, or `-` before an amateur.
    """

    machine: Translator
    weights: str


@dataclass(frozen=True, slots=True)
class Others:
    """The models that run together with one.

    Attributes:
        ensemble: those whose probabilities count too.
        weights: how much the model and each of these count; alike by default.
        amateur: a weaker one, whose preferences are taken away.
    """

    ensemble: tuple[Path, ...] = ()
    weights: tuple[float, ...] | None = None
    amateur: Path | None = None


@dataclass(frozen=True, slots=True)
class Machine:
    """What computes.

    Attributes:
        device: where.
        precision: of the matrix products.
        threads: processor threads.
        engine: what runs the model.
    """

    device: str = "auto"
    precision: Literal["float32", "bfloat16", "auto"] = "float32"
    threads: int | None = None
    engine: Literal["auto", "torch", "ctranslate2", "onnx"] = "auto"


def opened(path: Path, by: Machine, others: Others | None = None) -> Opened:
    """Open a bundle, or the best bundle of a training run, or a model in the box.

    Args:
        path: its folder, or its name.
        by: what computes.
        others: the models that run together with it; the hash then names all of them.

    Raises:
        BundleError: there is none, or it is damaged or of a newer format.
        InputError: the device cannot be used, or models do not fit together.
    """
    from isthmus.engines.forms import named_by
    from isthmus.generate.load import best_of, load

    others = others or Others()
    paths = [path, *others.ensemble]
    machine = load(
        paths,
        weights=others.weights,
        amateur=others.amateur,
        device=by.device,
        precision=by.precision,
        threads=by.threads,
        engine=by.engine,
    )
    named = "+".join(named_by(best_of(one)) for one in paths)
    return Opened(machine, named if others.amateur is None else f"{named}-{named_by(best_of(others.amateur))}")
