"""Who may use the server: API keys, compared in constant time."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable
from pathlib import Path

from starlette.requests import Request

from isthmus.core.errors import InputError
from isthmus.core.files import existing_file
from isthmus.serve.errors import Refused

SHORTEST = 16
"""The fewest characters of a key; shorter ones can be guessed."""


class Keys:
    """The keys of a server; without any, everybody may use it.

    Args:
        keys: as clients send them.

    Raises:
        InputError: a key is too short, or holds what a header cannot.
    """

    def __init__(self, keys: Iterable[str] = ()) -> None:
        given = tuple(keys)
        for number, key in enumerate(given, 1):
            if len(key) < SHORTEST or not key.isascii() or not key.isprintable() or " " in key:
                raise InputError(
                    "an API key is long and goes into a header",
                    expected=f"at least {SHORTEST} visible ASCII characters without spaces",
                    got=f"{len(key)} characters",
                    where=f"key {number}",
                    fix="make one with: openssl rand -hex 24",
                )
        self._digests = tuple(_digest(key) for key in given)

    @classmethod
    def read(cls, path: Path) -> Keys:
        """The keys in a file, one a line; empty lines, and those that begin with `#`, do not count.

        Raises:
            InputError: the file is missing, is not UTF-8 or holds no key, or a key is no good.
        """
        try:
            lines = existing_file(path, "the file of API keys").read_text(encoding="utf-8").splitlines()
        except UnicodeDecodeError:
            raise InputError(
                "the file of API keys must be UTF-8", expected="UTF-8", got="other bytes", where=str(path)
            ) from None
        keys = [line.strip() for line in lines if line.strip() and not line.startswith("#")]
        if not keys:
            raise InputError(
                "a file of API keys holds at least one",
                expected="one key a line",
                got="none",
                where=str(path),
                fix="write a key into it, or leave --api-keys out",
            )
        return cls(keys)

    def __bool__(self) -> bool:
        return bool(self._digests)

    def know(self, given: str) -> bool:
        """Whether a key is one of them; it takes as long for any that is not."""
        digest = _digest(given)
        matches = [hmac.compare_digest(digest, one) for one in self._digests]
        return any(matches)

    def check(self, request: Request, given: str = "", status: int = 401) -> None:
        """Let a request through.

        Args:
            request: its headers may hold a key.
            given: a key that came otherwise.
            status: of the refusal.

        Raises:
            Refused: keys are asked for, and it has none of them.
        """
        if self and not self.know(given or _of_headers(request)):
            raise Refused(
                status,
                "this server asks for an API key",
                expected="Authorization: Bearer KEY",
                got="none, or another",
                fix="ask whoever runs the server for one",
            )


def _digest(key: str) -> bytes:
    return hashlib.sha256(key.encode("utf-8", "surrogatepass")).digest()


def _of_headers(request: Request) -> str:
    """The key in the headers, as one of several kinds of clients sends it."""
    scheme, _, key = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() in ("bearer", "deepl-auth-key"):
        return key.strip()
    return request.headers.get("x-api-key", "")
