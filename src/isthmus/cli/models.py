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


def opened(
    path: Path,
    device: str,
    precision: Literal["float32", "bfloat16", "auto"],
    threads: int | None,
    others: Others | None = None,
) -> Opened:
    """Open a bundle, or the best bundle of a training run.

    Args:
        path: its folder.
        device: where to compute.
        precision: of the matrix products.
        threads: processor threads.
        others: the models that run together with it; the hash then names all of them.

    Raises:
        BundleError: there is none, or it is damaged or of a newer format.
        InputError: the device cannot be used, or models do not fit together.
    """
    from isthmus.core.runtime import probe
    from isthmus.engines.ensemble import Mean
    from isthmus.generate.load import best_of, together
    from isthmus.model.bundle import Bundle, weights_hash

    others = others or Others()
    bundles = [Bundle.load(best_of(one)) for one in (path, *others.ensemble)]
    amateur = None if others.amateur is None else Bundle.load(best_of(others.amateur))
    mean = Mean.of(len(bundles), others.weights)
    machine = together(bundles, mean, amateur, probe(precision, device, threads))
    named = "+".join(weights_hash(one.model) for one in bundles)
    return Opened(machine, named if amateur is None else f"{named}-{weights_hash(amateur.model)}")
