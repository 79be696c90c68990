"""One training example: named fields of text."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass

CONTEXT_SEPARATOR = " ||| "
"""Between several contexts in one TSV field."""

_TEXT_FIELDS = ("source_language", "target_language", "document", "prefix")
_EXTRA_SOURCE = re.compile(r"source([2-9]|[1-9][0-9]+)")


@dataclass(frozen=True, slots=True)
class Example:
    """One or more sources, the target that answers them, and what else is known about the pair.

    Attributes:
        sources: at least one text; most tasks have exactly one.
        target: the text to produce.
        source_language: BCP 47 tag, or empty.
        target_language: BCP 47 tag, or empty.
        context: texts that come before the source in its document, oldest first.
        document: an identifier of the document, or empty.
        weight: how much the example counts in the loss.
        prefix: a beginning of the output that is given, not generated.
    """

    sources: tuple[str, ...]
    target: str
    source_language: str = ""
    target_language: str = ""
    context: tuple[str, ...] = ()
    document: str = ""
    weight: float = 1.0
    prefix: str = ""

    @property
    def source(self) -> str:
        """The first source."""
        return self.sources[0]

    def fields(self) -> dict[str, object]:
        """The fields by name, without those at their default: what `from_fields` reads."""
        found: dict[str, object] = {"source": self.sources[0], "target": self.target}
        found.update({f"source{n}": text for n, text in enumerate(self.sources[1:], 2)})
        texts = zip(_TEXT_FIELDS, (self.source_language, self.target_language, self.document, self.prefix), strict=True)
        found.update({name: text for name, text in texts if text})
        if self.context:
            found["context"] = list(self.context)
        if self.weight != 1.0:
            found["weight"] = self.weight
        return found

    @classmethod
    def from_fields(cls, fields: Mapping[str, object]) -> Example:
        """Build an example from named fields, as a TSV with a header or a line of JSON gives them.

        `source`, `source2`, ... are the sources. `context` is a list, or one string that ` ||| ` divides. `weight` is a
        number or its text.

        Raises:
            ValueError: an unknown, missing or malformed field; the message says which.
        """
        unknown = [name for name in fields if not is_field(name)]
        if unknown:
            raise ValueError(f"unknown field `{unknown[0]}`")
        extra = sum(1 for name in fields if _EXTRA_SOURCE.fullmatch(name))
        names = ["source", *(f"source{n}" for n in range(2, extra + 2))]
        language, target_language, document, prefix = (_text(fields, name, "") for name in _TEXT_FIELDS)
        return cls(
            sources=tuple(_text(fields, name) for name in names),
            target=_text(fields, "target"),
            source_language=language,
            target_language=target_language,
            context=_context(fields.get("context", "")),
            document=document,
            weight=_weight(fields.get("weight", 1.0)),
            prefix=prefix,
        )


def is_field(name: str) -> bool:
    """Whether an example has a field of this name (`source2`, `source3`, ... are further sources)."""
    known = name in ("source", "target", "context", "weight") or name in _TEXT_FIELDS
    return known or _EXTRA_SOURCE.fullmatch(name) is not None


def _text(fields: Mapping[str, object], name: str, default: str | None = None) -> str:
    value = fields.get(name, default)
    if value is None:
        raise ValueError(f"no field `{name}`")
    if not isinstance(value, str):
        raise ValueError(f"field `{name}` is {type(value).__name__}, not text")
    return value


def _context(value: object) -> tuple[str, ...]:
    if isinstance(value, str):
        return tuple(value.split(CONTEXT_SEPARATOR)) if value else ()
    if isinstance(value, list) and all(isinstance(item, str) for item in value):
        return tuple(value)
    raise ValueError("field `context` is neither text nor a list of texts")


def _weight(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise ValueError(f"field `weight` is {type(value).__name__}, not a number")
    try:
        weight = float(value)
    except (ValueError, OverflowError):
        raise ValueError(f"field `weight` is {value!r}, not a number") from None
    if not (math.isfinite(weight) and weight > 0):
        raise ValueError(f"field `weight` is {weight}, not a positive number")
    return weight
