"""From what went wrong to a status and a word for the client."""

from __future__ import annotations

from dataclasses import dataclass

from pydantic import ValidationError

from isthmus.core.errors import InputError, IsthmusError
from isthmus.serve.watch import Busy, Expired, Gone

RETRY_SECONDS = 1
"""When to ask again after 503."""


class Refused(IsthmusError):
    """A request that is refused for a reason with a status of its own.

    Args:
        status: of HTTP.
        rule: which rule was broken.
        expected: what the rule asks for.
        got: what was there instead.
        fix: what to do about it.
    """

    def __init__(self, status: int, rule: str, *, expected: str = "", got: str = "", fix: str = "") -> None:
        self.status = status
        super().__init__(rule, expected=expected, got=got, fix=fix)


@dataclass(frozen=True, slots=True)
class Problem:
    """What a client is told.

    Attributes:
        status: of HTTP.
        rule: which rule was broken.
        expected: what the rule asks for.
        got: what was there instead.
        where: the field.
        fix: what to do about it.
    """

    status: int
    rule: str
    expected: str = ""
    got: str = ""
    where: str = ""
    fix: str = ""

    @property
    def headers(self) -> dict[str, str]:
        """What goes with the status."""
        if self.status == 503:
            return {"Retry-After": str(RETRY_SECONDS)}
        return {"WWW-Authenticate": "Bearer"} if self.status == 401 else {}

    @property
    def sentence(self) -> str:
        """All of it in a line."""
        named = (("expected", self.expected), ("got", self.got), ("where", self.where), ("what to do", self.fix))
        return "; ".join([self.rule, *(f"{name}: {value}" for name, value in named if value)])

    def body(self) -> dict[str, dict[str, str]]:
        """All of it as JSON."""
        named = {"rule": self.rule, "expected": self.expected, "got": self.got, "where": self.where, "fix": self.fix}
        return {"error": {name: value for name, value in named.items() if value}}


def problem_of(error: Exception) -> Problem:
    """What to tell a client of an error; of what is not its own doing, only that it happened."""
    if isinstance(error, ValidationError):
        return _invalid(error)
    if isinstance(error, IsthmusError):
        status = _status(error)
        if status != 500:
            parts = (error.rule, error.expected, error.got, error.where, error.fix)
            return Problem(status, *(sayable(part) for part in parts))
    return Problem(500, "something went wrong in the server", fix="try again; its log says more")


def _status(error: IsthmusError) -> int:
    if isinstance(error, Refused):
        return error.status
    if isinstance(error, Busy | Gone):
        return 503
    if isinstance(error, Expired):
        return 504
    return 422 if isinstance(error, InputError) else 500


def _invalid(error: ValidationError) -> Problem:
    """The first of what is wrong with a body; the body itself is not repeated, for it may be large or no text."""
    first = error.errors(include_url=False, include_context=False, include_input=False)[0]
    more = f" (and {error.error_count() - 1} more)" if error.error_count() > 1 else ""
    place = ".".join(str(part) for part in first["loc"])
    return Problem(422, f"invalid request{more}", expected=sayable(first["msg"]), where=sayable(place)[:200])


def sayable(text: str) -> str:
    """A text that can be written as UTF-8: halves of surrogate pairs are shown by their number."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")
