"""What can be wrong with an output that a search gave, and what was done about it."""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, Literal

Fault = Literal["repetition", "too_long", "too_short", "copy", "empty", "script"]

SAID: Final = MappingProxyType(
    {
        "repetition": "repeats itself",
        "too_long": "is far longer than usual",
        "too_short": "is far shorter than usual",
        "copy": "copies the input",
        "empty": "is empty",
        "script": "is in a script that the training targets hardly have",
    }
)


@dataclass(frozen=True, slots=True)
class Repair:
    """What the guards did about one output.

    Attributes:
        faults: what was wrong with the first output.
        way: how it was decoded again, as options; empty if there is no safer way.
        kept: which of the two was the better one.
        left: what is wrong with the one that was kept.
    """

    faults: tuple[Fault, ...]
    way: str
    kept: Literal["first", "second"]
    left: tuple[Fault, ...]

    def __str__(self) -> str:
        """The same for a reader."""
        said = f"the output {_said(self.faults)}"
        if not self.way:
            return said
        if self.kept == "first":
            return f"{said}; decoding again with {self.way} gave nothing better"
        though = f", though it {_said(self.left)}" if self.left else ""
        return f"{said}; it was decoded again with {self.way}, and that is given{though}"


def _said(faults: tuple[Fault, ...]) -> str:
    return " and ".join(SAID[fault] for fault in faults) or "is in doubt"
