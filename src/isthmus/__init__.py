"""Isthmus: encoder-decoder models from your own pairs of sequences.

Importing this package changes nothing and loads nothing heavy: each public name below comes from its module
when it is first asked for (PEP 562), so `import isthmus` takes a moment and PyTorch waits until it is needed.
"""

from __future__ import annotations

from importlib import import_module
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from isthmus.core.errors import IsthmusError
    from isthmus.core.padded import Padded
    from isthmus.generate.load import load
    from isthmus.generate.search import search
    from isthmus.generate.translator import Translator
    from isthmus.model.build import ModelConfig, build
    from isthmus.model.bundle import Bundle
    from isthmus.model.connections.connection import Connection, Link, Reading
    from isthmus.model.decoders.decoder import Decoded, Decoder
    from isthmus.model.encoder_decoder import EncoderDecoder
    from isthmus.model.encoders.encoder import Encoder
    from isthmus.model.heads.head import Head
    from isthmus.model.memory import Memory
    from isthmus.model.state import DecoderState
    from isthmus.model.transformer import Transformer
    from isthmus.workflows.average import average
    from isthmus.workflows.distill import distill
    from isthmus.workflows.fit import fit
    from isthmus.workflows.student import Lesson
    from isthmus.workflows.study import study

__version__ = "0.1.0"

__all__ = [
    "Bundle",
    "Connection",
    "Decoded",
    "Decoder",
    "DecoderState",
    "Encoder",
    "EncoderDecoder",
    "Head",
    "IsthmusError",
    "Lesson",
    "Link",
    "Memory",
    "ModelConfig",
    "Padded",
    "Reading",
    "Transformer",
    "Translator",
    "average",
    "build",
    "distill",
    "fit",
    "load",
    "search",
    "study",
]

_MODULE_OF: Final = MappingProxyType(
    {
        "Bundle": "isthmus.model.bundle",
        "Connection": "isthmus.model.connections.connection",
        "Decoded": "isthmus.model.decoders.decoder",
        "Decoder": "isthmus.model.decoders.decoder",
        "DecoderState": "isthmus.model.state",
        "Encoder": "isthmus.model.encoders.encoder",
        "EncoderDecoder": "isthmus.model.encoder_decoder",
        "Head": "isthmus.model.heads.head",
        "IsthmusError": "isthmus.core.errors",
        "Lesson": "isthmus.workflows.student",
        "Link": "isthmus.model.connections.connection",
        "Memory": "isthmus.model.memory",
        "ModelConfig": "isthmus.model.build",
        "Padded": "isthmus.core.padded",
        "Reading": "isthmus.model.connections.connection",
        "Transformer": "isthmus.model.transformer",
        "Translator": "isthmus.generate.translator",
        "average": "isthmus.workflows.average",
        "build": "isthmus.model.build",
        "distill": "isthmus.workflows.distill",
        "fit": "isthmus.workflows.fit",
        "load": "isthmus.generate.load",
        "search": "isthmus.generate.search",
        "study": "isthmus.workflows.study",
    }
)


def __getattr__(name: str) -> Any:
    """Fetch a public name from its module.

    Raises:
        AttributeError: there is no such public name.
    """
    if name not in _MODULE_OF:
        raise AttributeError(f"module `isthmus` has no attribute `{name}`; it has: {', '.join(__all__)}")
    return vars(import_module(_MODULE_OF[name]))[name]


def __dir__() -> list[str]:
    """The public names, for completion."""
    return [*__all__, "__version__"]
