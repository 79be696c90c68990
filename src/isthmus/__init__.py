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

__version__ = "0.1.0"

__all__ = [
    "IsthmusError",
    "Padded",
]

_MODULE_OF: Final = MappingProxyType(
    {
        "IsthmusError": "isthmus.core.errors",
        "Padded": "isthmus.core.padded",
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
