"""A folder for CTranslate2 that is a bundle too: its weights and vocabularies, and beside them our codec and manifest.

Both have a `config.json`; theirs and ours are one file, for neither minds the names of the other.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, Literal

from isthmus.core.errors import InputError
from isthmus.core.files import write_text
from isthmus.engines.ct2.stored import parameters
from isthmus.model.build import ModelConfig, build
from isthmus.model.bundle import CONFIG, Bundle, described, read_json

WEIGHTS, SHORTLIST = "model.bin", "vmap.txt"
SEARCH: Final[Mapping[str, Any]] = MappingProxyType({"early_stopping": True})
"""How CTranslate2 stops a search: as soon as as many outputs as beams have ended."""

Quantization = Literal["float32", "float16", "int8"]


def save_into(
    bundle: Bundle, folder: Path, quantization: Quantization = "float32", card: str = "", shortlist: str = ""
) -> None:
    """Write a bundle for CTranslate2 into an empty folder.

    Where the bundle does not say how a search stops, it stops as CTranslate2 stops it, so that both engines find the same.

    Args:
        bundle: what to write.
        folder: where.
        quantization: of the weights; in int8, products are computed in whole numbers.
        card: the model card, as Markdown.
        shortlist: which pieces may come, as CTranslate2's file says it; empty: all.

    Raises:
        InputError: CTranslate2 is not installed, or cannot run the architecture.
    """
    write(bundle, folder, quantization)
    if shortlist:
        write_text(folder / SHORTLIST, shortlist)
    theirs = read_json(folder / CONFIG)
    generation = dict(SEARCH) | dict(bundle.generation)
    ours = replace(bundle, config=_without_summary(bundle.config), generation=generation)
    ours.describe(folder, {**theirs, "quantization": quantization}, card)


def write(bundle: Bundle, folder: Path, quantization: Quantization = "float32") -> None:
    """Write what CTranslate2 reads, and nothing else, into a folder.

    Args:
        bundle: what to write.
        folder: where.
        quantization: of the weights.

    Raises:
        InputError: CTranslate2 is not installed, or cannot run the architecture.
    """
    require()
    from isthmus.engines.ct2.specification import specification

    spec = specification(bundle.model, bundle.config, bundle.codec)
    spec.optimize(quantization)
    spec.save(str(folder))


def load(folder: Path) -> Bundle:
    """Read such a folder without CTranslate2, as a bundle for PyTorch: int8 weights become float32.

    Raises:
        BundleError: it is no such folder, or is damaged.
    """
    about = described(folder, WEIGHTS)
    config = ModelConfig.of(about["model"], str(folder / CONFIG))
    model = build(config, about["source_size"], about["target_size"])
    shapes = {name: parameter.shape for name, parameter in model.named_parameters()}
    return Bundle.of_weights(parameters(folder / WEIGHTS, config, shapes), folder, about)


def require() -> None:
    """Raise an InputError if CTranslate2 is not installed."""
    try:
        import ctranslate2  # noqa: F401
    except ImportError:
        raise InputError(
            "CTranslate2 is not installed",
            expected="the package ctranslate2",
            got="none",
            fix='pip install "isthmus[ctranslate2]", or use the engine `torch`',
        ) from None


def installed() -> bool:
    """Whether CTranslate2 is there."""
    try:
        require()
    except InputError:
        return False
    return True


def temporary(bundle: Bundle) -> tempfile.TemporaryDirectory[str]:
    """A folder that CTranslate2 can load a bundle from, and that goes away.

    Raises:
        InputError: CTranslate2 is not installed, or cannot run the architecture.
    """
    place = tempfile.TemporaryDirectory(prefix="isthmus-")
    write(bundle, Path(place.name))
    return place


def _without_summary(config: ModelConfig) -> ModelConfig:
    """Without a summary of the source, which attention does not read."""
    encoder = config.encoder.model_dump() | {"summary": None, "keep_layers": False}
    return ModelConfig.of(config.model_dump() | {"encoder": encoder})
