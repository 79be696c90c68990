"""The page that shows an inspection: a template with its style and script, and the data inside it as JSON."""

from __future__ import annotations

import json
from importlib.resources import files
from typing import Any

from isthmus.evaluate.inspection import Inspection

_ESCAPED = (("&", "\\u0026"), ("<", "\\u003c"), (">", "\\u003e"), ("\u2028", "\\u2028"), ("\u2029", "\\u2029"))
"""What may not stand in a script of a page as it is: it could end the script, or a line of it."""


def page(inspection: Inspection) -> str:
    """One HTML file that needs nothing else: no network, no other files."""
    return _filled({"style": _part("css"), "script": _part("js"), "data": embedded(inspection.to_json())})


def embedded(value: Any) -> str:
    """JSON that can stand inside a script element whatever its strings say."""
    text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    for plain, escaped in _ESCAPED:
        text = text.replace(plain, escaped)
    return text


def _filled(parts: dict[str, str]) -> str:
    """The template with each `{{name}}` replaced once; what was filled in is not looked at again."""
    first, *rest = _part("html").split("{{")
    filled = [first]
    for each in rest:
        name, _, after = each.partition("}}")
        filled += [parts[name], after]
    return "".join(filled)


def _part(kind: str) -> str:
    return files(__name__).joinpath(f"inspection.{kind}").read_text(encoding="utf-8").rstrip("\n")
