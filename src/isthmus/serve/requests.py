"""What handlers of all wire formats need of a request."""

from __future__ import annotations

import json
import re
from collections.abc import Collection
from typing import Any, TypeVar
from urllib.parse import parse_qsl

from fastapi import Request
from pydantic import BaseModel

from isthmus.serve.errors import Refused, sayable
from isthmus.serve.keys import Keys
from isthmus.serve.schema import ErrorBody
from isthmus.serve.service import Left

B = TypeVar("B", bound=BaseModel)

_SAID = (
    (400, "The request cannot be read."),
    (401, "An API key is asked for."),
    (408, "The request did not arrive in time."),
    (413, "The request is too large."),
    (422, "The request asks for what cannot be."),
    (503, "There is too much to do; see Retry-After."),
    (504, "It took too long."),
)

FORM = "application/x-www-form-urlencoded"
_FIELDS = 1000


def documented(keys: Keys, model: type[BaseModel] = ErrorBody, refused: int = 401) -> dict[int | str, dict[str, Any]]:
    """The errors that a route may answer with, for the description of the interface.

    Args:
        keys: whether keys are asked for.
        model: the shape of an error.
        refused: the status without a key.
    """
    wanted = [(refused if status == 401 else status, said) for status, said in _SAID if status != 401 or keys]
    return {status: {"description": said, "model": model} for status, said in wanted}


def has_left(request: Request) -> Left:
    """What waits until the client of a request has gone."""

    async def left() -> None:
        while (await request.receive())["type"] != "http.disconnect":
            pass

    return left


async def fields_of(request: Request, lists: Collection[str] = (), numbers: Collection[str] = ()) -> dict[str, Any]:
    """The fields of a body, JSON or a form, as clients of other servers send them.

    Args:
        request: the request.
        lists: fields of a form that are lists, however often they come.
        numbers: fields of a form that are whole numbers.

    Raises:
        Refused: it is neither, or cannot be read.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    body = await request.body()
    if kind == FORM:
        return _form(body, lists, numbers)
    if kind and kind != "application/json":
        raise Refused(415, "a body is JSON or a form", expected=f"application/json or {FORM}", got=sayable(kind)[:100])
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        raise Refused(400, "the body cannot be read", expected="JSON in UTF-8", got="something else") from None
    if not isinstance(value, dict):
        raise Refused(400, "the body cannot be read", expected="a JSON object", got=f"a {type(value).__name__}")
    return value


def _form(body: bytes, lists: Collection[str], numbers: Collection[str]) -> dict[str, Any]:
    """The fields of a form; one that comes several times is a list."""
    try:
        pairs = parse_qsl(body.decode("utf-8"), keep_blank_values=True, errors="strict", max_num_fields=_FIELDS)
    except ValueError:
        raise Refused(400, "the body cannot be read", expected="a form in UTF-8", got="something else") from None
    several: dict[str, list[str]] = {}
    for name, value in pairs:
        several.setdefault(name, []).append(value)
    found: dict[str, Any] = {}
    for name, values in several.items():
        whole = name in numbers and len(values) == 1 and re.fullmatch(r"[0-9]{1,9}", values[0])
        found[name] = int(values[0]) if whole else values if len(values) > 1 or name in lists else values[0]
    return found


def described(body: type[BaseModel]) -> dict[str, Any]:
    """A body, JSON or a form, for the description of the interface."""
    content = {kind: {"schema": body.model_json_schema()} for kind in ("application/json", FORM)}
    return {"requestBody": {"required": True, "content": content}}
