"""In which form a bundle's weights stand on disk, and what can be known of it without them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, Literal, assert_never

from isthmus.core.errors import BundleError
from isthmus.core.files import sha256
from isthmus.data.codec import Codec
from isthmus.data.example import Example
from isthmus.engines.ct2 import folder as ct2
from isthmus.engines.onnx import folder as onnx
from isthmus.model.build import ModelConfig
from isthmus.model.bundle import CONFIG, GENERATION, WEIGHTS, Bundle, described, read_json, sample, weights_hash

Form = Literal["torch", "ctranslate2", "onnx"]
FILES: Final[Mapping[Form, str]] = MappingProxyType({"ctranslate2": ct2.WEIGHTS, "onnx": onnx.STEP, "torch": WEIGHTS})


@dataclass(frozen=True, slots=True)
class Described:
    """A bundle without its weights; see `Bundle`.

    Attributes:
        config: how the model is built.
        codec: how text becomes ids and back.
        generation: how to generate where a request says nothing else.
        info: what else is known.
        sample: some pairs that it was not trained on.
    """

    config: ModelConfig
    codec: Codec
    generation: Mapping[str, Any]
    info: Mapping[str, Any]
    sample: tuple[Example, ...] = ()

    @classmethod
    def of(cls, bundle: Bundle) -> Described:
        """What a bundle in memory says."""
        return cls(bundle.config, bundle.codec, bundle.generation, bundle.info, bundle.sample)


def form_of(folder: Path) -> Form:
    """The form of a folder; of one that is none, that of a bundle of ours, so that reading it says what is missing."""
    return next((form for form, name in FILES.items() if (folder / name).is_file()), "torch")


def weights_of(folder: Path) -> Path:
    """The file that a folder's weights are in."""
    return folder / FILES[form_of(folder)]


def named_by(folder: Path) -> str:
    """12 hexadecimal digits that name the weights of a folder in reports.

    Raises:
        BundleError: there is no bundle, or it is damaged or of a newer format.
    """
    if form_of(folder) == "torch":
        return weights_hash(Bundle.load(folder).model)
    return sha256(weights_of(folder))[:12]


def described_by(folder: Path) -> Described:
    """What a folder says of its bundle, every file of it checked.

    Raises:
        BundleError: there is no bundle, or it is damaged or of a newer format.
    """
    about = described(folder, weights_of(folder).name)
    config = ModelConfig.of(about["model"], str(folder / CONFIG))
    return Described(config, Codec.load(folder), read_json(folder / GENERATION), about["info"], sample(folder))


def open_bundle(folder: Path) -> Bundle:
    """A bundle for PyTorch from a folder of any form that holds weights.

    Raises:
        BundleError: there is no bundle, or it is damaged or of a newer format, or it has graphs in place of weights.
    """
    match form_of(folder):
        case "ctranslate2":
            return ct2.load(folder)
        case "torch":
            return Bundle.load(folder)
        case "onnx":
            raise BundleError(
                "PyTorch cannot read a model from its ONNX graphs",
                expected="a bundle, or one exported to CTranslate2",
                got="graphs",
                where=str(folder),
                fix="use the bundle that was exported, or the engine `onnx` with one model alone",
            )
        case other:
            assert_never(other)
